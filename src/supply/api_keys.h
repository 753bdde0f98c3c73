// API keys of the service, as this machine keeps them: SQLite, `api-keys.db` in the store's folder.
// Records are only ever added, as those of the state are, which has the keys' revocations; a key's
// secret is not among them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/sqlite.h"
#include "base/time.h"

namespace lantern::supply {

/// `hash` is the HMAC-SHA-256 of the secret under `salt`, which nobody turns back, since a secret
/// has 256 random bits.
struct ApiKeyRecord {
  std::string id = {};    // of the key itself; no secret
  std::string name = {};  // a person's name for it, unique among those that stand
  std::string user = {};  // for whom it speaks
  base::Digest salt{}, hash{};
  std::vector<std::string> models = {};  // that it may ask; empty: any that the policy lets it
  std::vector<std::string> scopes = {};
  int64_t tokens_a_day = 0, requests_a_minute = 0;  // 0: no limit of its own
  std::string by = {};
  base::UtcTime at = {};
  std::optional<base::UtcTime> expires = {};
  std::optional<base::UtcTime> revoked = {};  // by the state's word; not kept here

  /// Neither revoked nor past its end.
  [[nodiscard]] bool stands(base::UtcTime now) const {
    return !revoked && (!expires || now < *expires);
  }
};

/// One thread at a time.
class ApiKeyStore {
 public:
  /// Opens `folder`/api-keys.db, made where it is missing.
  static Result<ApiKeyStore> open(const std::filesystem::path& folder);
  /// For whoever cannot write there; a missing one reads as empty.
  static Result<ApiKeyStore> open_read_only(const std::filesystem::path& folder);

  Status add(const ApiKeyRecord& record);
  /// All of them, oldest first.
  Result<std::vector<ApiKeyRecord>> list();
  /// Changes when another process or connection has written.
  Result<int64_t> data_version() { return database_.data_version(); }

 private:
  explicit ApiKeyStore(base::Database database) : database_(std::move(database)) {}
  base::Database database_;
};

/// What stands for a key among the state's revocations.
base::Digest revocation_digest(std::string_view key_id);

}  // namespace lantern::supply
