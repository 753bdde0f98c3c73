#include "gate/kept_responses.h"

#include <array>
#include <utility>
#include <vector>

#include "base/aead.h"
#include "base/hash.h"
#include "base/paths.h"

namespace lantern::gate {
namespace {

constexpr std::array kMigrations = {std::string_view(
    "CREATE TABLE response (id TEXT PRIMARY KEY, caller TEXT NOT NULL, expires INTEGER NOT NULL,"
    " key_id TEXT NOT NULL, nonce BLOB NOT NULL, sealed BLOB NOT NULL) STRICT;"
    "CREATE INDEX response_caller ON response(caller, expires);")};

/// What the digest of a key is asked for, so that it serves nothing else.
constexpr std::string_view kKeyLabel = "lantern kept responses, AES-256-GCM, 1";

std::string_view text_of(const base::Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string context_of(std::string_view id, std::string_view caller, int64_t expires) {
  return fmt::format("{}\n{}\n{}", id, caller, expires);
}

Error nothing(std::string_view id) {
  return make_error(ErrorCode::kNotFound, "response \"{}\" is not kept here", id.substr(0, 100));
}

base::Database::Blob blob(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

Result<std::unique_ptr<KeptResponses>> KeptResponses::open() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_TRY(base::make_private_folder(folders.state));
  LANTERN_ASSIGN(audit::KeyRing keys, audit::KeyRing::of_user());
  return open(folders.state / "responses.db", std::move(keys), &base::utc_clock);
}

Result<std::unique_ptr<KeptResponses>> KeptResponses::open(const std::filesystem::path& path,
                                                           audit::KeyRing keys,
                                                           base::UtcTime (*clock)()) {
  LANTERN_ASSIGN(base::Database database, base::Database::open(path, kMigrations));
  // What is deleted is overwritten, not only unlinked.
  LANTERN_TRY(database.run("PRAGMA secure_delete = ON"));
  return std::unique_ptr<KeptResponses>(
      new KeptResponses(std::move(database), std::move(keys), clock));
}

Status KeptResponses::remove_expired() {
  return database_.run("DELETE FROM response WHERE expires <= ?", {clock_()});
}

Status KeptResponses::keep(std::string_view id, const Caller& caller, std::string_view content) {
  if (caller.user.empty())
    return make_error(
        ErrorCode::kInvalidArgument,
        "store: it is not known who asks, so nobody could read it back; leave it out");
  if (content.size() > kBytesMax)
    return make_error(ErrorCode::kTooLarge, "store: {} bytes are more than the {} that are kept",
                      content.size(), kBytesMax);
  LANTERN_ASSIGN(const audit::SecretKey root, keys_.digest_key());
  const base::Digest key = root.hmac(kKeyLabel);
  const int64_t expires = (clock_() + kLifetime).time_since_epoch().count();
  const std::string nonce = base::random_nonce();
  const std::string context = context_of(id, caller.user, expires);
  const std::string sealed =
      base::aead_seal({.key = text_of(key), .nonce = nonce, .context = context}, content);
  const std::lock_guard lock(mutex_);
  return database_.transaction([&]() -> Status {
    LANTERN_TRY(remove_expired());
    LANTERN_TRY(database_.run("INSERT INTO response VALUES (?, ?, ?, ?, ?, ?)",
                              {id, caller.user, expires, root.id(), blob(nonce), blob(sealed)}));
    return database_.run(
        "DELETE FROM response WHERE rowid IN (SELECT rowid FROM response WHERE caller = ? ORDER BY "
        "expires DESC, rowid DESC LIMIT -1 OFFSET ?)",
        {caller.user, kPerCallerMax});
  });
}

Result<std::string> KeptResponses::find(std::string_view id, const Caller& caller) {
  if (caller.user.empty()) return nothing(id);
  bool found = false;
  int64_t expires = 0;
  std::string key_id, nonce, sealed;
  {
    const std::lock_guard lock(mutex_);
    LANTERN_TRY(remove_expired());
    LANTERN_TRY(database_.run(
        "SELECT expires, key_id, nonce, sealed FROM response WHERE id = ? AND caller = ?",
        {id, caller.user}, [&](const base::Row& row) -> Status {
          found = true;
          expires = row.number(0);
          key_id = row.text(1);
          nonce = text_of(row.bytes(2));
          sealed = text_of(row.bytes(3));
          return {};
        }));
  }
  if (!found) return nothing(id);
  if (nonce.size() != base::kAeadNonceBytes)
    return make_error(ErrorCode::kCorrupt, "response \"{}\": its row was changed", id);
  LANTERN_ASSIGN(const audit::SecretKey root, keys_.digest_key(key_id));
  const base::Digest key = root.hmac(kKeyLabel);
  const std::string context = context_of(id, caller.user, expires);
  auto opened = base::aead_open({.key = text_of(key), .nonce = nonce, .context = context}, sealed);
  if (!opened.ok()) return std::move(opened).error().within(fmt::format("response \"{}\"", id));
  return std::string(opened->view());
}

Status KeptResponses::remove(std::string_view id, const Caller& caller) {
  if (caller.user.empty()) return nothing(id);
  const std::lock_guard lock(mutex_);
  int64_t n_removed = 0;
  LANTERN_TRY(remove_expired());
  const Status removed = database_.transaction([&]() -> Status {
    LANTERN_TRY(
        database_.run("DELETE FROM response WHERE id = ? AND caller = ?", {id, caller.user}));
    return database_.run("SELECT changes()", {}, [&](const base::Row& row) -> Status {
      n_removed = row.number(0);
      return {};
    });
  });
  LANTERN_TRY(removed);
  if (n_removed == 0) return nothing(id);
  return {};
}

}  // namespace lantern::gate
