#include "gate/api_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <utility>

#include "base/paths.h"
#include "base/printable.h"
#include "gate/governance.h"
#include "gate/log_facts.h"
#include "policy/words.h"

namespace lantern::gate {
namespace {

using supply::ApiKeyRecord;

constexpr std::string_view kPrefix = "lantern_";
constexpr size_t kIdDigits = 12, kSecretDigits = 64;
constexpr size_t kKeyBytes = kPrefix.size() + kIdDigits + 1 + kSecretDigits;
constexpr size_t kNamesMax = 256;
constexpr int64_t kLimitMax = 1'000'000'000'000'000;
/// Refusals within so long are one entry: whoever tries keys must not fill the log.
constexpr auto kRefusalsApart = std::chrono::seconds(1);

Result<supply::ApiKeyStore> open_store() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return supply::ApiKeyStore::open(folders.data);
}

Result<base::Digest> random_digest() {
  base::Digest bytes;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) !=
      1)
    return make_error(ErrorCode::kInternal, "no random bytes for a key");
  return bytes;
}

bool is_lower_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string_view id_in(std::string_view key) { return key.substr(kPrefix.size(), kIdDigits); }
std::string_view secret_in(std::string_view key) { return key.substr(kKeyBytes - kSecretDigits); }

base::Digest hash_of(const base::Digest& salt, std::string_view secret) {
  return base::hmac_sha256(salt, std::as_bytes(std::span(secret)));
}

Status check_name(std::string_view what, std::string_view name) {
  if (const std::string fault = policy::line_fault(name, policy::kNameBytesMax); !fault.empty())
    return make_error(ErrorCode::kInvalidArgument, "{}: {}", what, fault);
  return {};
}

Status check_request(const ApiKeyRequest& request) {
  LANTERN_TRY(check_name("the key's name", request.name));
  LANTERN_TRY(check_name("the key's user", request.user));
  if (request.models.size() > kNamesMax)
    return make_error(ErrorCode::kInvalidArgument, "a key has at most {} models", kNamesMax);
  for (const std::string& model : request.models)
    LANTERN_TRY(check_name("the key's models", model));
  for (const std::string& scope : request.scopes)
    if (std::find(std::begin(kKeyScopes), std::end(kKeyScopes), scope) == std::end(kKeyScopes))
      return make_error(ErrorCode::kInvalidArgument, "no scope is called \"{}\"; there are {}",
                        base::printable(scope), policy::listed(kKeyScopes));
  return {};
}

constexpr const char* kApiKeyFact = "api_key";

/// All keys, with the state's word on their revocation.
Result<std::vector<ApiKeyRecord>> keys_of(supply::ApiKeyStore& store, supply::State& state) {
  LANTERN_ASSIGN(std::vector<ApiKeyRecord> keys, store.list());
  LANTERN_ASSIGN(const auto revocations, state.revocations_from(kLocalRevocation));
  std::map<base::Digest, base::UtcTime> revoked;
  for (const supply::RevocationRecord& one : revocations) revoked.emplace(one.digest, one.at);
  for (ApiKeyRecord& key : keys)
    if (const auto found = revoked.find(supply::revocation_digest(key.id)); found != revoked.end())
      key.revoked = found->second;
  return keys;
}

audit::Event key_event(audit::Action action, const ApiKeyRecord& key,
                       const std::optional<audit::Actor>& asker) {
  audit::Event event{.action = action,
                     .actor = asker ? *asker : audit::this_process(),
                     .facts = {{.name = kApiKeyFact, .value = key.id},
                               {.name = "name", .value = key.name},
                               {.name = "user", .value = key.user}}};
  return event;
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ","));
}

/// A whole number, "k" or "M" after it for thousands and millions, then `unit`.
Result<int64_t> limit_from_text(std::string_view text, std::string_view unit) {
  const auto fault = [&] {
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\": a number is needed, such as 500{}, 20k{} or 2M{}",
                      base::printable(text), unit, unit, unit);
  };
  std::string_view rest = text;
  if (rest.ends_with(unit)) rest.remove_suffix(unit.size());
  int64_t scale = 1;
  if (!rest.empty() && (rest.back() == 'k' || rest.back() == 'M')) {
    scale = rest.back() == 'k' ? 1000 : 1'000'000;
    rest.remove_suffix(1);
  }
  int64_t value = 0;
  const auto [stop, wrong] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (wrong != std::errc() || stop != rest.data() + rest.size() || value <= 0 ||
      value > kLimitMax / scale)
    return fault();
  return value * scale;
}

std::string limit_text(int64_t value, std::string_view unit) {
  if (value == 0) return {};
  if (value % 1'000'000 == 0) return fmt::format("{}M{}", value / 1'000'000, unit);
  if (value % 1000 == 0) return fmt::format("{}k{}", value / 1000, unit);
  return fmt::format("{}{}", value, unit);
}

constexpr std::string_view kRefusal = "denied by rule lantern.key: ";

Error refused(std::string_view why) {
  return make_error(ErrorCode::kDenied, "{}{}; `lantern key create` makes one", kRefusal, why);
}

Status standing(const ApiKeyRecord& key) {
  if (key.revoked) return refused("the API key is revoked");
  if (!key.stands(base::utc_clock())) return refused("the API key has expired");
  return {};
}

}  // namespace

Result<int64_t> tokens_a_day_from_text(std::string_view text) {
  return limit_from_text(text, "/day");
}
Result<int64_t> requests_a_minute_from_text(std::string_view text) {
  return limit_from_text(text, "/minute");
}
std::string tokens_a_day_text(int64_t tokens) { return limit_text(tokens, "/day"); }
std::string requests_a_minute_text(int64_t requests) { return limit_text(requests, "/minute"); }

Result<NewApiKey> create_api_key(const ApiKeyRequest& request,
                                 const std::optional<audit::Actor>& asker) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(supply::ApiKeyStore store, open_store());
  LANTERN_ASSIGN(const base::UtcTime now, governance.now());
  ApiKeyRequest asked = request;
  const std::string by = asker ? asker->user : governance.person();
  if (asked.user.empty()) asked.user = by;
  if (asked.scopes.empty()) asked.scopes = {"answers", "models"};
  LANTERN_TRY(check_request(asked));
  LANTERN_ASSIGN(const base::Digest id, random_digest());
  LANTERN_ASSIGN(const base::Digest secret, random_digest());
  LANTERN_ASSIGN(const base::Digest salt, random_digest());
  LANTERN_ASSIGN(const std::vector<ApiKeyRecord> known, keys_of(store, governance.state()));
  for (const ApiKeyRecord& key : known)
    if (key.name == asked.name && key.stands(now))
      return make_error(ErrorCode::kInvalidArgument,
                        "there is a key named {} already: revoke it first, or choose another name",
                        base::printable(asked.name));
  NewApiKey made{.record = {.id = base::to_hex(id).substr(0, kIdDigits),
                            .name = asked.name,
                            .user = asked.user,
                            .salt = salt,
                            .hash = hash_of(salt, base::to_hex(secret)),
                            .models = asked.models,
                            .scopes = asked.scopes,
                            .tokens_a_day = asked.tokens_a_day,
                            .requests_a_minute = asked.requests_a_minute,
                            .by = by,
                            .at = now}};
  if (asked.lasts) made.record.expires = now + *asked.lasts;
  made.key = fmt::format("{}{}_{}", kPrefix, made.record.id, base::to_hex(secret));

  audit::Event event = key_event(audit::Action::kKeyCreate, made.record, asker);
  event.facts.push_back({.name = "scopes", .value = joined(made.record.scopes)});
  if (!asked.models.empty())
    event.facts.push_back({.name = "models", .value = joined(asked.models)});
  if (made.record.expires)
    event.facts.push_back({.name = "expires", .value = base::format_utc(*made.record.expires)});
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  LANTERN_TRY(store.add(made.record));
  return made;
}

Result<std::vector<ApiKeyRecord>> list_api_keys() {
  // Brings what is kept up to the log, where that can be.
  LANTERN_ASSIGN(Governance governance, Governance::open_to_look());
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  auto store = supply::ApiKeyStore::open(folders.data);
  if (!store.ok()) store = supply::ApiKeyStore::open_read_only(folders.data);
  LANTERN_ASSIGN(supply::ApiKeyStore readable, std::move(store));
  return keys_of(readable, governance.state());
}

Result<ApiKeyRecord> revoke_api_key(std::string_view name_or_id,
                                    const std::optional<audit::Actor>& asker) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(supply::ApiKeyStore store, open_store());
  LANTERN_ASSIGN(const std::vector<ApiKeyRecord> keys, keys_of(store, governance.state()));
  const ApiKeyRecord* found = nullptr;
  for (const ApiKeyRecord& key : keys)
    if (key.id == name_or_id || (key.name == name_or_id && !key.revoked)) found = &key;
  if (found == nullptr)
    return make_error(ErrorCode::kNotFound,
                      "no key is called \"{}\"; `lantern key list` shows them",
                      base::printable(name_or_id));
  ApiKeyRecord key = *found;
  if (key.revoked) return key;
  key.revoked = base::utc_clock();
  const std::string by = asker ? asker->user : governance.person();
  const base::Digest digest = supply::revocation_digest(key.id);
  LANTERN_TRY(governance.state().revoke({.digest = digest,
                                         .by = by,
                                         .reason = "API key " + key.id,
                                         .source = kLocalRevocation,
                                         .at = *key.revoked}));
  audit::Event event = key_event(audit::Action::kRevoke, key, asker);
  event.model = audit::ModelRef{.id = base::to_hex(digest), .name = "API key " + key.id};
  event.reason = "API key " + key.id;
  (void)governance.log().append_or_spool(event);
  return key;
}

Result<std::unique_ptr<ApiKeys>> ApiKeys::open() {
  // Opening all of it brings the state up to the log first.
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(supply::ApiKeyStore store, open_store());
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_ASSIGN(supply::State state, supply::State::open(folders.data));
  auto keys =
      std::unique_ptr<ApiKeys>(new ApiKeys(std::move(store), std::move(state), governance.log()));
  const std::lock_guard lock(keys->mutex_);
  LANTERN_TRY(keys->refresh());
  return keys;
}

Status ApiKeys::refresh() {
  LANTERN_ASSIGN(const int64_t store_version, store_.data_version());
  LANTERN_ASSIGN(const int64_t state_version, state_.data_version());
  if (store_version == store_version_ && state_version == state_version_) return {};
  LANTERN_ASSIGN(keys_, keys_of(store_, state_));
  store_version_ = store_version;
  state_version_ = state_version;
  return {};
}

bool ApiKeys::is_key(std::string_view text) {
  return text.size() == kKeyBytes && text.starts_with(kPrefix) && is_lower_hex(id_in(text)) &&
         text[kPrefix.size() + kIdDigits] == '_' && is_lower_hex(secret_in(text));
}

bool ApiKeys::is_refusal(const Error& error) {
  return error.code == ErrorCode::kDenied && error.message.starts_with(kRefusal);
}

Result<std::shared_ptr<const KeyGrant>> ApiKeys::check(std::string_view presented) {
  if (!is_key(presented)) return refused("this is no API key of Lantern");
  const std::lock_guard lock(mutex_);
  LANTERN_TRY(refresh());
  static const ApiKeyRecord kNobody;
  const ApiKeyRecord* found = &kNobody;
  for (const ApiKeyRecord& key : keys_)
    if (key.id == id_in(presented)) found = &key;
  const base::Digest hash = hash_of(found->salt, secret_in(presented));
  const bool same = CRYPTO_memcmp(hash.data(), found->hash.data(), hash.size()) == 0;
  if (!same || found == &kNobody) return refused("the API key is not known");
  LANTERN_TRY(standing(*found));
  return std::make_shared<const KeyGrant>(
      KeyGrant{.id = found->id,
               .name = found->name,
               .user = found->user,
               .scopes = {found->scopes.begin(), found->scopes.end()},
               .models = found->models,
               .tokens_a_day = found->tokens_a_day,
               .requests_a_minute = found->requests_a_minute,
               .expires = found->expires});
}

Status ApiKeys::stands(std::string_view id) {
  const std::lock_guard lock(mutex_);
  LANTERN_TRY(refresh());
  const auto found = std::ranges::find(keys_, id, &ApiKeyRecord::id);
  return found == keys_.end() ? refused("the API key is not known") : standing(*found);
}

Result<bool> ApiKeys::any() {
  const std::lock_guard lock(mutex_);
  LANTERN_TRY(refresh());
  const base::UtcTime now = base::utc_clock();
  return std::any_of(keys_.begin(), keys_.end(),
                     [&](const ApiKeyRecord& key) { return key.stands(now); });
}

void ApiKeys::record_refusal(const Caller& caller, std::string_view rule, std::string_view reason) {
  audit::Event event{.action = audit::Action::kDeny,
                     .decision = audit::Decision::kDeny,
                     .actor = {.user = caller.user,
                               .uid = caller.uid,
                               .program = caller.program,
                               .key_id = caller.key_id},
                     .rule = std::string(rule),
                     .reason = base::printable(reason, policy::kLineBytesMax)};
  {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (now - recorded_at_ < kRefusalsApart) {
      ++n_unrecorded_;
      return;
    }
    recorded_at_ = now;
    if (n_unrecorded_ > 0)
      event.facts.push_back({.name = "refused_before", .value = std::exchange(n_unrecorded_, 0)});
  }
  (void)log_.append_or_spool(event);
}

}  // namespace lantern::gate
