#include "policy/break_glass.h"

#include <algorithm>

#include "base/dsse.h"
#include "policy/clock.h"
#include "policy/json_fields.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

constexpr size_t kModelsMax = 100;

std::string to_json(const BreakGlass& statement) {
  base::OrderedJson document = {{"person", statement.person},
                                {"reason", statement.reason},
                                {"issued", base::format_utc(statement.issued)},
                                {"expires", base::format_utc(statement.expires)}};
  for (const base::Digest& id : statement.models) document["models"].push_back(base::to_hex(id));
  for (const Action action : statement.actions) document["actions"].push_back(action_name(action));
  return document.dump();
}

Result<BreakGlass> parse(std::string_view json, std::string_view what) {
  LANTERN_ASSIGN(const base::Json document, parse_payload(json, what, kBreakGlassBytesMax));
  std::optional<Error> fault;
  JsonFields fields(document, std::string(what), fault);
  BreakGlass statement;
  statement.person = fields.line("person", kNameBytesMax);
  statement.reason = fields.line("reason", kLineBytesMax);
  statement.issued = fields.time("issued");
  statement.expires = fields.time("expires");
  if (statement.expires <= statement.issued) fields.wrong("expires", "is not after \"issued\"");
  if (statement.expires - statement.issued > kBreakGlassHoursMax)
    fields.wrong("expires", fmt::format("lasts longer than {} hours", kBreakGlassHoursMax.count()));
  for (const std::string& hex : fields.optional_lines("models", kModelsMax)) {
    auto id = base::digest_from_hex(hex);
    if (id.ok())
      statement.models.insert(*id);
    else
      fields.wrong("models", "64 hexadecimal digits are needed");
  }
  for (const std::string& name : fields.optional_lines("actions", kActionCount)) {
    auto action = action_from_name(name);
    if (action.ok())
      statement.actions.insert(*action);
    else
      fields.wrong("actions", action.error().message);
  }
  fields.finish();
  if (fault) return *fault;
  return statement;
}

Status check_allowed(const BreakGlass& statement, const Policy& policy, std::string_view what,
                     base::UtcTime now) {
  const BreakGlassRequirements& wanted = policy.break_glass;
  if (std::find(wanted.people.begin(), wanted.people.end(), statement.person) ==
      wanted.people.end())
    return make_error(ErrorCode::kDenied, "{}: the policy does not let {} break the glass", what,
                      statement.person);
  if (statement.expires - statement.issued > std::chrono::hours(wanted.hours_max))
    return make_error(ErrorCode::kDenied, "{}: lasts longer than the policy's {} hours", what,
                      wanted.hours_max);
  if (now >= statement.expires)
    return make_error(ErrorCode::kDenied, "{}: expired on {}", what,
                      base::format_utc(statement.expires));
  if (statement.issued - now > kClockBehindMax)
    return make_error(ErrorCode::kDenied, "{}: issued on {}, which is yet to come", what,
                      base::format_utc(statement.issued));
  return {};
}

}  // namespace

Result<std::string> sign_break_glass(const BreakGlass& statement, const base::PrivateKey& key) {
  const std::string json = to_json(statement);
  auto read = parse(json, "break-glass");
  if (!read.ok()) return Error{ErrorCode::kInvalidArgument, read.error().message};
  LANTERN_ASSIGN(const base::DsseEnvelope envelope,
                 base::dsse_sign(kBreakGlassPayloadType, json, key));
  return base::dsse_to_json(envelope).dump() + "\n";
}

Result<BreakGlass> verify_break_glass(std::string_view envelope_text, std::string_view what,
                                      const Policy& policy,
                                      std::span<const base::PublicKey> service_keys,
                                      base::UtcTime now) {
  if (envelope_text.size() > kBreakGlassBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what,
                      envelope_text.size(), kBreakGlassBytesMax);
  LANTERN_ASSIGN(const base::DsseEnvelope envelope, base::parse_dsse(envelope_text, what));
  if (envelope.payload_type != kBreakGlassPayloadType)
    return make_error(ErrorCode::kCorrupt, "{}: the payload is no break-glass statement", what);
  std::vector<base::PublicKey> trusted(service_keys.begin(), service_keys.end());
  for (const base::PublicKey& key : policy.keys_for(KeyUse::kBreakGlass)) trusted.push_back(key);
  const std::vector<base::PublicKey> signers = base::dsse_signers(envelope, trusted);
  if (signers.empty())
    return make_error(ErrorCode::kDenied, "{}: no key that may break the glass signed it", what);
  LANTERN_ASSIGN(BreakGlass statement, parse(envelope.payload, what));
  const auto speaks = [&](const base::PublicKey& key) {
    const base::Digest id = key.id();
    if (std::any_of(service_keys.begin(), service_keys.end(),
                    [&](const base::PublicKey& service) { return service.id() == id; }))
      return true;
    return std::any_of(policy.keys.begin(), policy.keys.end(), [&](const NamedKey& named) {
      return named.uses.contains(KeyUse::kBreakGlass) && named.key.id() == id &&
             named.user == statement.person;
    });
  };
  if (std::none_of(signers.begin(), signers.end(), speaks))
    return make_error(ErrorCode::kDenied, "{}: the key that signed it is not {}'s", what,
                      statement.person);
  LANTERN_TRY(check_allowed(statement, policy, what, now));
  return statement;
}

Decision lift(Decision decision, const BreakGlass& statement, const Facts& facts) {
  if (decision.allowed() || decision.is_final || facts.action == Action::kApprove) return decision;
  const bool covers =
      facts.user && *facts.user == statement.person && facts.now &&
      *facts.now < statement.expires && statement.issued - *facts.now <= kClockBehindMax &&
      (statement.models.empty() ||
       (facts.model_id && statement.models.contains(*facts.model_id))) &&
      (statement.actions.empty() || (facts.action && statement.actions.contains(*facts.action)));
  if (!covers) return decision;
  decision.reason = fmt::format("{} broke the glass until {}: {}; it was denied by rule {}: {}",
                                statement.person, base::format_utc(statement.expires),
                                statement.reason, decision.rule, decision.reason);
  decision.effect = Effect::kAllow;
  decision.rule = kBreakGlassRule;
  decision.how_to_ask.clear();
  return decision;
}

}  // namespace lantern::policy
