#include "audit/key_ring.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>

#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kHmacKind = "hmac-sha256";
constexpr uint64_t kInfoBytesMax = 16u << 10;

constexpr PurposeInfo kPurposes[] = {
    {KeyPurpose::kLog, "log", "signs the audit log's checkpoints and receipts",
     "the log can be continued only after `lantern keys rotate log`; what was signed before still "
     "verifies",
     "others can sign a forged log; only checkpoints kept elsewhere tell it from this one"},
    {KeyPurpose::kSigning, "signing", "signs models (lantern sign)",
     "nothing more can be signed as this signer; what was signed before still verifies",
     "others can sign models as this signer: revoke it in the policy, then rotate"},
    {KeyPurpose::kDigest, "digest", "keys content digests and receipts of unchanged files",
     "no old digest can be compared with content any more; files are hashed once again",
     "digests of short or guessable content can be guessed back, and receipts of files forged"},
};

std::string now_text() {
  return format_time(std::chrono::duration_cast<std::chrono::milliseconds>(
                         std::chrono::system_clock::now().time_since_epoch())
                         .count());
}

/// Changes to a ring, one process at a time.
Result<base::UniqueFd> lock_ring(const fs::path& folder) {
  LANTERN_TRY(base::make_private_folder(folder));
  const fs::path path = folder / "lock";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  while (::fcntl(fd.get(), F_OFD_SETLKW, &range) != 0)
    if (errno != EINTR) return base::errno_error(errno, path.string());
  return fd;
}

fs::path info_file(const fs::path& folder, const KeyInfo& key) {
  return folder / purpose_info(key.purpose).name / (key.id + ".json");
}
fs::path private_file(const fs::path& folder, const KeyInfo& key) {
  return folder / purpose_info(key.purpose).name / (key.id + ".key");
}

Status write_info(const fs::path& folder, const KeyInfo& key) {
  return base::write_file_atomically(info_file(folder, key), key_info_to_json(key));
}

Result<KeyInfo> read_info(const fs::path& path, KeyPurpose purpose) {
  const std::string what = path.string();
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kInfoBytesMax));
  LANTERN_ASSIGN(KeyInfo key, key_info_from_json(text, what));
  if (key.id != path.stem() || key.purpose != purpose)
    return make_error(ErrorCode::kCorrupt, "{}: is the {} key {}", what,
                      purpose_info(key.purpose).name, key.id);
  return key;
}

Status write_secret(const fs::path& path, std::string_view text) {
  const base::UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  while (!text.empty()) {
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::errno_error(n < 0 ? errno : EIO, path.string());
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (::fsync(fd.get()) != 0) return base::errno_error(errno, path.string());
  return base::sync_folder(path.parent_path());
}

/// The name of an HMAC key in records; 32 random bytes cannot be found from it.
std::string hmac_key_id(std::span<const std::byte, 32> bytes) {
  base::Sha256 hash;
  hash.update("lantern hmac key\n");
  hash.update(bytes);
  return base::to_hex(hash.finish());
}

/// Makes both halves; the private one first, so that no key is listed that cannot be used.
Result<KeyInfo> make_key(const fs::path& folder, KeyPurpose purpose, std::string_view kind) {
  KeyInfo key{.purpose = purpose, .kind = std::string(kind), .created_at = now_text()};
  LANTERN_TRY(base::make_private_folder(folder / purpose_info(purpose).name));
  if (kind == kHmacKind) {
    base::Digest bytes{};
    if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()),
                   static_cast<int>(bytes.size())) != 1)
      return make_error(ErrorCode::kInternal, "OpenSSL has no random numbers");
    key.id = hmac_key_id(bytes);
    std::string hex = base::to_hex(bytes);
    explicit_bzero(bytes.data(), bytes.size());
    const Status written = write_secret(private_file(folder, key), hex);
    explicit_bzero(hex.data(), hex.size());
    LANTERN_TRY(written);
  } else {
    LANTERN_ASSIGN(const base::KeyKind key_kind, base::key_kind_from_name(kind));
    LANTERN_ASSIGN(const auto private_key, base::PrivateKey::generate(key_kind));
    key.public_key = private_key.public_key();
    key.id = base::to_hex(key.public_key->id());
    LANTERN_TRY(private_key.save(private_file(folder, key)));
  }
  LANTERN_TRY(write_info(folder, key));
  key.has_private = true;
  return key;
}

std::string_view own_kind(KeyPurpose purpose) {
  switch (purpose) {
    case KeyPurpose::kLog:
      return "ed25519";
    case KeyPurpose::kSigning:
      return "p256";
    case KeyPurpose::kDigest:
      return kHmacKind;
  }
  return {};
}

bool suits(KeyPurpose purpose, std::string_view kind) {
  if (purpose == KeyPurpose::kSigning) return kind == "p256" || kind == "p384" || kind == "p521";
  return kind == own_kind(purpose);
}

Result<KeyInfo> current_or_new(const KeyRing& ring, KeyPurpose purpose) {
  auto key = ring.current(purpose);
  if (key.ok() || key.error().code != ErrorCode::kNotFound) return key;
  auto made = ring.create(purpose);
  if (made.ok() || made.error().code != ErrorCode::kInvalidArgument) return made;
  return ring.current(purpose);  // another process was faster
}

/// The HMAC key that the 64 digits are, held against its id.
Result<SecretKey> digest_key_from(std::string_view hex, const std::string& id,
                                  std::string_view what) {
  auto bytes = base::digest_from_hex(hex);
  if (!bytes.ok() || hmac_key_id(*bytes) != id)
    return make_error(ErrorCode::kCorrupt, "{}: not the key of its id", what);
  SecretKey secret(*bytes, id);
  explicit_bzero(bytes->data(), bytes->size());
  return secret;
}

Result<SecretKey> read_digest_key(const fs::path& folder, const KeyInfo& key) {
  const fs::path path = private_file(folder, key);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return base::errno_error(errno, path.string());
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: others than its owner may use this key; chmod 600 it", path.string());
  LANTERN_ASSIGN(std::string hex, base::read_text_file(path, 64));
  auto secret = digest_key_from(hex, key.id, path.string());
  explicit_bzero(hex.data(), hex.size());
  return secret;
}

/// The newest that is not retired.
const KeyInfo* current_of(std::span<const KeyInfo> keys, KeyPurpose purpose) {
  const KeyInfo* newest = nullptr;
  for (const KeyInfo& key : keys)
    if (key.purpose == purpose && key.retired_at.empty() &&
        (newest == nullptr ||
         std::tie(key.created_at, key.id) >= std::tie(newest->created_at, newest->id)))
      newest = &key;
  return newest;
}

/// Takes it out of use. What it signed still verifies; nothing more is signed with it.
Status retire(const fs::path& folder, KeyInfo key) {
  key.retired_at = now_text();
  LANTERN_TRY(write_info(folder, key));
  if (!key.public_key) return {};
  const fs::path secret = private_file(folder, key);
  std::error_code error;
  fs::remove(secret, error);
  if (error) return base::errno_error(error.value(), secret.string());
  return base::sync_folder(secret.parent_path());
}

/// The current keys here that a backup's would take the place of.
std::vector<std::pair<KeyInfo, KeyInfo>> displaced(std::span<const KeyInfo> here,
                                                   std::span<const KeyInfo> backup) {
  std::vector<std::pair<KeyInfo, KeyInfo>> pairs;
  for (const PurposeInfo& purpose : kPurposes) {
    const KeyInfo* own = current_of(here, purpose.purpose);
    const KeyInfo* other = current_of(backup, purpose.purpose);
    if (own == nullptr || other == nullptr || own->id == other->id) continue;
    // One that was retired here since the backup is history, and no rival.
    const bool is_history = std::any_of(here.begin(), here.end(), [&](const KeyInfo& key) {
      return key.id == other->id && !key.retired_at.empty();
    });
    if (!is_history) pairs.emplace_back(*own, *other);
  }
  return pairs;
}

}  // namespace

std::span<const PurposeInfo> key_purposes() { return kPurposes; }
const PurposeInfo& purpose_info(KeyPurpose purpose) {
  return kPurposes[static_cast<size_t>(purpose)];
}
Result<KeyPurpose> purpose_from_name(std::string_view name) {
  for (const PurposeInfo& info : kPurposes)
    if (info.name == name) return info.purpose;
  return make_error(ErrorCode::kInvalidArgument,
                    "no key is called \"{}\"; there are log, signing and digest", name);
}

std::string key_info_to_json(const KeyInfo& key) {
  base::OrderedJson json = {{"purpose", purpose_info(key.purpose).name},
                            {"kind", key.kind},
                            {"id", key.id},
                            {"created_at", key.created_at}};
  if (!key.retired_at.empty()) json["retired_at"] = key.retired_at;
  if (key.public_key) json["public_key"] = key.public_key->to_pem();
  return json.dump(2) + "\n";
}

Result<KeyInfo> key_info_from_json(std::string_view text, std::string_view what) {
  LANTERN_ASSIGN(const base::Json json,
                 base::parse_json(text, what, {.bytes_max = kInfoBytesMax, .depth_max = 4}));
  const auto field = [&](const char* name) {
    const auto at = json.is_object() ? json.find(name) : json.end();
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto purpose = purpose_from_name(field("purpose"));
  KeyInfo key{.purpose = purpose.ok() ? *purpose : KeyPurpose::kLog,
              .kind = field("kind"),
              .id = field("id"),
              .created_at = field("created_at"),
              .retired_at = field("retired_at")};
  const auto digest = base::digest_from_hex(key.id);
  if (!purpose.ok() || !digest.ok() || base::to_hex(*digest) != key.id ||
      !suits(key.purpose, key.kind) || !parse_time(key.created_at).ok() ||
      (!key.retired_at.empty() && !parse_time(key.retired_at).ok()))
    return make_error(ErrorCode::kCorrupt,
                      "{}: purpose, kind, id and times do not say which key this is", what);
  if (key.kind == kHmacKind) return key;
  LANTERN_ASSIGN(key.public_key, base::PublicKey::from_pem(field("public_key"), what));
  if (base::to_hex(key.public_key->id()) != key.id ||
      base::key_kind_name(key.public_key->kind()) != key.kind)
    return make_error(ErrorCode::kCorrupt, "{}: its public key is not the one of its id", what);
  return key;
}

Status check_private_half(const KeyInfo& key, std::string_view secret, std::string_view what) {
  if (!key.public_key) {
    LANTERN_ASSIGN(const SecretKey digest_key, digest_key_from(secret, key.id, what));
    return {};
  }
  LANTERN_ASSIGN(const auto private_key, base::PrivateKey::from_pem(secret, what));
  if (base::to_hex(private_key.public_key().id()) == key.id) return {};
  return make_error(ErrorCode::kCorrupt, "{}: not the key of its id", what);
}

SecretKey::SecretKey(std::span<const std::byte, 32> bytes, std::string id) : id_(std::move(id)) {
  std::copy(bytes.begin(), bytes.end(), bytes_.begin());
}
SecretKey::~SecretKey() { explicit_bzero(bytes_.data(), bytes_.size()); }

base::Digest SecretKey::hmac(std::string_view message) const {
  return base::hmac_sha256(bytes_, std::as_bytes(std::span(message)));
}

KeyedDigest SecretKey::digest(std::string_view of, std::string_view content) const {
  return {.of = std::string(of),
          .hmac = base::to_hex(hmac(content)),
          .key_id = id_,
          .bytes = content.size()};
}

Result<KeyRing> KeyRing::of_user() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return KeyRing(folders.state / "keys");
}

Result<std::vector<KeyInfo>> KeyRing::list() const {
  std::vector<KeyInfo> keys;
  for (const PurposeInfo& purpose : kPurposes) {
    const size_t first = keys.size();
    std::error_code error;
    const fs::path folder = folder_ / purpose.name;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      if (at->path().extension() != ".json") continue;
      if (keys.size() == kRingKeysMax)
        return make_error(ErrorCode::kTooLarge, "{}: more than {} keys", folder.string(),
                          kRingKeysMax);
      LANTERN_ASSIGN(KeyInfo key, read_info(at->path(), purpose.purpose));
      std::error_code ignored;
      key.has_private = fs::exists(private_file(folder_, key), ignored);
      keys.push_back(std::move(key));
    }
    if (error && error != std::errc::no_such_file_or_directory)
      return base::errno_error(error.value(), folder.string());
    std::sort(keys.begin() + static_cast<ptrdiff_t>(first), keys.end(),
              [](const KeyInfo& a, const KeyInfo& b) {
                return std::tie(a.created_at, a.id) < std::tie(b.created_at, b.id);
              });
  }
  return keys;
}

Result<KeyInfo> KeyRing::current(KeyPurpose purpose) const {
  LANTERN_ASSIGN(const std::vector<KeyInfo> keys, list());
  if (const KeyInfo* key = current_of(keys, purpose)) return *key;
  return make_error(ErrorCode::kNotFound, "{}: no {} key; lantern keys create {} makes one",
                    folder_.string(), purpose_info(purpose).name, purpose_info(purpose).name);
}

Result<base::PrivateKey> KeyRing::signing_key(KeyPurpose purpose) const {
  LANTERN_ASSIGN(const KeyInfo key, current_or_new(*this, purpose));
  if (key.kind == kHmacKind)
    return make_error(ErrorCode::kInvalidArgument, "the {} key signs nothing",
                      purpose_info(purpose).name);
  LANTERN_ASSIGN(auto private_key, base::PrivateKey::load(private_file(folder_, key)));
  if (base::to_hex(private_key.public_key().id()) != key.id)
    return make_error(ErrorCode::kCorrupt, "{}: not the key of its id",
                      private_file(folder_, key).string());
  return private_key;
}

Result<SecretKey> KeyRing::digest_key() const {
  LANTERN_ASSIGN(const KeyInfo key, current_or_new(*this, KeyPurpose::kDigest));
  return read_digest_key(folder_, key);
}

Result<SecretKey> KeyRing::digest_key(std::string_view id) const {
  LANTERN_ASSIGN(const std::vector<KeyInfo> keys, list());
  for (const KeyInfo& key : keys)
    if (key.purpose == KeyPurpose::kDigest && key.id == id) return read_digest_key(folder_, key);
  return make_error(ErrorCode::kNotFound, "{}: no digest key {}", folder_.string(), id);
}

Result<std::vector<base::PublicKey>> KeyRing::public_keys(KeyPurpose purpose) const {
  LANTERN_ASSIGN(const std::vector<KeyInfo> keys, list());
  std::vector<base::PublicKey> found;
  for (auto key = keys.rbegin(); key != keys.rend(); ++key)
    if (key->purpose == purpose && key->public_key) found.push_back(*key->public_key);
  return found;
}

Result<KeyInfo> KeyRing::create(KeyPurpose purpose, std::string_view kind) const {
  if (kind.empty()) kind = own_kind(purpose);
  const PurposeInfo& info = purpose_info(purpose);
  if (!suits(purpose, kind))
    return make_error(ErrorCode::kInvalidArgument, "a {} key is {}, not {}", info.name,
                      purpose == KeyPurpose::kSigning ? "p256, p384 or p521" : own_kind(purpose),
                      kind);
  LANTERN_ASSIGN(const base::UniqueFd lock, lock_ring(folder_));
  if (const auto key = current(purpose); key.ok())
    return make_error(ErrorCode::kInvalidArgument,
                      "there is a {} key already, {}; lantern keys rotate {} replaces it",
                      info.name, key->id.substr(0, 16), info.name);
  else if (key.error().code != ErrorCode::kNotFound)
    return key.error();
  return make_key(folder_, purpose, kind);
}

Result<KeyInfo> KeyRing::rotate(KeyPurpose purpose) const {
  LANTERN_ASSIGN(const base::UniqueFd lock, lock_ring(folder_));
  LANTERN_ASSIGN(KeyInfo old, current(purpose));
  LANTERN_ASSIGN(KeyInfo fresh, make_key(folder_, purpose, old.kind));
  // Two current keys for a moment: the newer one counts.
  LANTERN_TRY(retire(folder_, std::move(old)));
  return fresh;
}

Result<std::vector<KeyCopy>> KeyRing::copies() const {
  LANTERN_ASSIGN(const base::UniqueFd lock, lock_ring(folder_));
  LANTERN_ASSIGN(const std::vector<KeyInfo> keys, list());
  if (keys.empty())
    return make_error(ErrorCode::kNotFound, "{}: no keys to back up", folder_.string());
  std::vector<KeyCopy> copies;
  for (const KeyInfo& key : keys) {
    KeyCopy copy{.info = key};
    if (key.has_private) {
      const fs::path path = private_file(folder_, key);
      LANTERN_ASSIGN(std::string text, base::read_text_file(path, kInfoBytesMax));
      copy.private_half = base::Secret::of(text);
      explicit_bzero(text.data(), text.size());
      LANTERN_TRY(check_private_half(key, copy.private_half.view(), path.string()));
    }
    copies.push_back(std::move(copy));
  }
  return copies;
}

Result<Restored> KeyRing::restore(std::span<const KeyCopy> copies, bool replace) const {
  LANTERN_ASSIGN(const base::UniqueFd lock, lock_ring(folder_));
  LANTERN_ASSIGN(const std::vector<KeyInfo> here, list());
  std::vector<KeyInfo> backup;
  for (const KeyCopy& copy : copies) backup.push_back(copy.info);
  const auto rivals = displaced(here, backup);
  if (!rivals.empty() && !replace) {
    const auto& [own, other] = rivals.front();
    return make_error(ErrorCode::kInvalidArgument,
                      "there is another {} key here, {}, than in the backup, {}; nothing was "
                      "restored. --replace retires the one here",
                      purpose_info(own.purpose).name, own.id.substr(0, 16), other.id.substr(0, 16));
  }
  Restored restored;
  for (const KeyCopy& copy : copies) {
    const auto known = std::find_if(here.begin(), here.end(),
                                    [&](const KeyInfo& key) { return key.id == copy.info.id; });
    const bool is_new = known == here.end();
    const bool destroyed = !is_new && known->public_key && !known->retired_at.empty();
    const bool lacks = is_new || (!known->has_private && !destroyed);
    LANTERN_TRY(base::make_private_folder(info_file(folder_, copy.info).parent_path()));
    const bool writes = lacks && !copy.private_half.empty();
    if (writes) {
      // Left by a restore that did not end: no key is listed by it.
      std::error_code ignored;
      if (is_new) fs::remove(private_file(folder_, copy.info), ignored);
      LANTERN_TRY(write_secret(private_file(folder_, copy.info), copy.private_half.view()));
    }
    if (is_new) LANTERN_TRY(write_info(folder_, copy.info));
    ++(is_new ? restored.n_added : writes ? restored.n_completed : restored.n_present);
  }
  for (const auto& [own, other] : rivals) {
    LANTERN_TRY(retire(folder_, own));
    restored.replaced.push_back(own.purpose);
  }
  return restored;
}

}  // namespace lantern::audit
