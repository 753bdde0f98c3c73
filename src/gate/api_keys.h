// API keys of the service: made, listed, revoked and checked.
//
// A key is "lantern_", 12 hexadecimal digits that name it, "_" and 64 that are its secret. It is
// shown once; a salted hash is kept. Making one is recorded before it counts, a revocation never
// waits for the log. It stands among the state's revocations, so that no old copy of keys or state
// undoes it (gate/log_facts.h).
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/event.h"
#include "base/result.h"
#include "gate/audit.h"
#include "gate/caller.h"
#include "supply/api_keys.h"
#include "supply/state.h"

namespace lantern::gate {

/// What a key may be for: "answers" (use of models), "models" (which there are), "metrics".
inline constexpr std::string_view kKeyScopes[] = {"answers", "models", "metrics"};

struct ApiKeyRequest {
  std::string name = {};
  std::string user = {};  // empty: whoever asks
  std::vector<std::string> models = {};
  std::vector<std::string> scopes = {};  // empty: answers and models
  int64_t tokens_a_day = 0, requests_a_minute = 0;
  std::optional<std::chrono::seconds> lasts = {};
};
struct NewApiKey {
  supply::ApiKeyRecord record = {};
  std::string key = {};  // the only time that it is seen
};

/// `asker` is who the record names; absent: this process. kInvalidArgument for a name that is taken
/// or no name; otherwise the errors of Governance::open() and of the log.
Result<NewApiKey> create_api_key(const ApiKeyRequest& request,
                                 const std::optional<audit::Actor>& asker = {});
Result<std::vector<supply::ApiKeyRecord>> list_api_keys();
/// By its name or its id. kNotFound.
Result<supply::ApiKeyRecord> revoke_api_key(std::string_view name_or_id,
                                            const std::optional<audit::Actor>& asker = {});

/// "2M/day", "500k/day", "1000/day"; "60/minute". More than nothing. kInvalidArgument.
Result<int64_t> tokens_a_day_from_text(std::string_view text);
Result<int64_t> requests_a_minute_from_text(std::string_view text);
/// The reverse; empty for 0.
std::string tokens_a_day_text(int64_t tokens);
std::string requests_a_minute_text(int64_t requests);

/// The keys as a running service checks them: a change by any process counts at the next check.
/// Safe for any number of threads.
class ApiKeys {
 public:
  static Result<std::unique_ptr<ApiKeys>> open();

  /// Whether `text` has the form of a key: what has not is somebody's filler, not an attempt.
  static bool is_key(std::string_view text);
  /// What `presented` allows. Takes as long for an unknown key as for a wrong one. kDenied, with
  /// the rule lantern.key; what cannot be read is an error too.
  Result<std::shared_ptr<const KeyGrant>> check(std::string_view presented);
  /// Whether `error` says that a key does not stand, or that there is none: the rule lantern.key.
  static bool is_refusal(const Error& error);
  /// Whether the key with that id still stands. kDenied as check() says it; what cannot be read is
  /// an error too.
  Status stands(std::string_view id);
  /// Whether any key stands.
  Result<bool> any();
  /// Records that somebody was turned away; of many within a second one entry, with their number.
  void record_refusal(const Caller& caller, std::string_view rule, std::string_view reason);

 private:
  ApiKeys(supply::ApiKeyStore store, supply::State state, AuditLog log)
      : store_(std::move(store)), state_(std::move(state)), log_(std::move(log)) {}
  Status refresh();

  std::mutex mutex_;
  supply::ApiKeyStore store_;  // under the mutex, as all below
  supply::State state_;
  AuditLog log_;
  int64_t store_version_ = -1, state_version_ = -1;
  std::vector<supply::ApiKeyRecord> keys_;
  std::chrono::steady_clock::time_point recorded_at_ = {};
  int64_t n_unrecorded_ = 0;
};

}  // namespace lantern::gate
