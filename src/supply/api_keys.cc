#include "supply/api_keys.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/paths.h"

namespace lantern::supply {
namespace {

constexpr std::array<std::string_view, 1> kMigrations = {R"(
  CREATE TABLE api_keys (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, user TEXT NOT NULL, salt BLOB NOT NULL,
    hash BLOB NOT NULL, models TEXT NOT NULL, scopes TEXT NOT NULL, tokens_a_day INTEGER NOT NULL,
    requests_a_minute INTEGER NOT NULL, by TEXT NOT NULL, at INTEGER NOT NULL,
    expires INTEGER NOT NULL) STRICT;
)"};
constexpr const char* kFile = "api-keys.db";

/// Lists of names are kept a line each.
std::string lines_of(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += name + "\n";
  return text;
}
std::vector<std::string> names_in(std::string_view text) {
  std::vector<std::string> names;
  for (size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
    names.emplace_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return names;
}

}  // namespace

Result<ApiKeyStore> ApiKeyStore::open(const std::filesystem::path& folder) {
  LANTERN_TRY(base::make_private_folder(folder));
  LANTERN_ASSIGN(base::Database database, base::Database::open(folder / kFile, kMigrations));
  return ApiKeyStore(std::move(database));
}

Result<ApiKeyStore> ApiKeyStore::open_read_only(const std::filesystem::path& folder) {
  LANTERN_ASSIGN(base::Database database,
                 base::Database::open_read_only(folder / kFile, kMigrations));
  return ApiKeyStore(std::move(database));
}

Status ApiKeyStore::add(const ApiKeyRecord& r) {
  for (const auto* names : {&r.models, &r.scopes})
    for (const std::string& name : *names)
      if (name.empty() || name.find('\n') != std::string::npos)
        return make_error(ErrorCode::kInvalidArgument, "API key: an empty name in a list");
  return database_.run(
      "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      {r.id, r.name, r.user, r.salt, r.hash, lines_of(r.models), lines_of(r.scopes), r.tokens_a_day,
       r.requests_a_minute, r.by, r.at, r.expires});
}

Result<std::vector<ApiKeyRecord>> ApiKeyStore::list() {
  std::vector<ApiKeyRecord> keys;
  LANTERN_TRY(database_.run(
      "SELECT id, name, user, salt, hash, models, scopes, tokens_a_day, requests_a_minute, by, at, "
      "expires FROM api_keys ORDER BY at, rowid",
      {}, [&](const base::Row& row) -> Status {
        ApiKeyRecord key{.id = row.text(0),
                         .name = row.text(1),
                         .user = row.text(2),
                         .models = names_in(row.text(5)),
                         .scopes = names_in(row.text(6)),
                         .tokens_a_day = row.number(7),
                         .requests_a_minute = row.number(8),
                         .by = row.text(9),
                         .at = row.time(10),
                         .expires = row.time_if_any(11)};
        LANTERN_ASSIGN(key.salt, row.digest(3));
        LANTERN_ASSIGN(key.hash, row.digest(4));
        keys.push_back(std::move(key));
        return {};
      }));
  return keys;
}

base::Digest revocation_digest(std::string_view key_id) {
  return base::sha256(fmt::format("lantern API key {}", key_id));
}

}  // namespace lantern::supply
