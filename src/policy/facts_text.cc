#include "policy/facts_text.h"

#include <charconv>
#include <functional>
#include <span>

#include "base/printable.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

using Json = base::OrderedJson;

/// One fact: how it is read, and how it is shown.
struct Field {
  std::string_view name;
  std::function<Status(Facts&, std::string_view value)> set;
  std::function<void(Facts&)> forget;
  std::function<Json(const Facts&)> show;
};

Result<std::set<std::string>> parse_list(std::string_view text) {
  std::set<std::string> list;
  while (!text.empty()) {
    const size_t comma = std::min(text.find(','), text.size());
    const std::string_view entry = text.substr(0, comma);
    if (const std::string fault = line_fault(entry, kLineBytesMax); !fault.empty())
      return make_error(ErrorCode::kInvalidArgument, "an entry of the list: {}", fault);
    list.emplace(entry);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return list;
}

Result<std::string> parse_text(std::string_view text) { return std::string(text); }

Result<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return make_error(ErrorCode::kInvalidArgument, "true or false is needed");
}

template <typename T>
Result<T> parse_number(std::string_view text) {
  T value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0)
    return make_error(ErrorCode::kInvalidArgument, "a whole number is needed");
  return value;
}

Result<base::Digest> parse_digest(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  return base::digest_from_hex(text);
}

Result<std::set<base::Digest>> parse_digests(std::string_view text) {
  std::set<base::Digest> digests;
  LANTERN_ASSIGN(const std::set<std::string> list, parse_list(text));
  for (const std::string& entry : list) {
    LANTERN_ASSIGN(const base::Digest digest, parse_digest(entry));
    digests.insert(digest);
  }
  return digests;
}

/// "VERSION,ISSUED,EXPIRES"
Result<RevocationListFacts> parse_list_facts(std::string_view text) {
  const size_t first = text.find(','), second = text.rfind(',');
  if (first == std::string_view::npos || first == second)
    return make_error(ErrorCode::kInvalidArgument, "VERSION,ISSUED,EXPIRES is needed");
  RevocationListFacts list;
  LANTERN_ASSIGN(list.version, parse_number<int64_t>(text.substr(0, first)));
  LANTERN_ASSIGN(list.issued, base::parse_utc(text.substr(first + 1, second - first - 1)));
  LANTERN_ASSIGN(list.expires, base::parse_utc(text.substr(second + 1)));
  return list;
}

Json shown(const std::string& text) { return base::printable(text, kLineBytesMax); }
Json shown(bool value) { return value; }
Json shown(int value) { return value; }
Json shown(int64_t value) { return value; }
Json shown(base::UtcTime time) { return base::format_utc(time); }
Json shown(const base::Digest& digest) { return base::to_hex(digest); }
Json shown(Action action) { return action_name(action); }
Json shown(ModelState state) { return model_state_name(state); }
Json shown(Severity severity) { return severity_name(severity); }
Json shown(Tier tier) { return tier_name(tier); }
Json shown(const RevocationListFacts& list) {
  return {{"version", list.version},
          {"issued", base::format_utc(list.issued)},
          {"expires", base::format_utc(list.expires)}};
}
template <typename T>
Json shown(const std::set<T>& entries) {
  Json list = Json::array();
  for (const T& entry : entries) list.push_back(shown(entry));
  return list;
}

template <typename T, typename Parse>
Field field(std::string_view name, Fact<T> Facts::*member, Parse parse) {
  return {.name = name,
          .set = [member, parse](Facts& facts, std::string_view text) -> Status {
            LANTERN_ASSIGN(facts.*member, parse(text));
            return {};
          },
          .forget = [member](Facts& facts) { (facts.*member).reset(); },
          .show = [member](const Facts& facts) -> Json {
            return facts.*member ? shown(*(facts.*member)) : Json();
          }};
}

std::span<const Field> fields() {
  static const Field kFields[] = {
      field("now", &Facts::now, base::parse_utc),
      field("user", &Facts::user, parse_text),
      field("group", &Facts::groups, parse_list),
      field("key", &Facts::keys, parse_list),
      field("program", &Facts::program, parse_text),
      field("action", &Facts::action, action_from_name),
      field("script", &Facts::approval_in_script, parse_bool),
      field("id", &Facts::model_id, parse_digest),
      field("files", &Facts::files, parse_digests),
      field("licence", &Facts::licence, parse_text),
      field("architecture", &Facts::architecture, parse_text),
      field("publisher", &Facts::publisher, parse_text),
      field("signer", &Facts::signers, parse_list),
      field("state", &Facts::state, model_state_from_name),
      field("catalog", &Facts::in_catalog, parse_bool),
      field("revoked", &Facts::revoked, parse_bool),
      field("advisories", &Facts::advisories, parse_list),
      field("advisory_severity", &Facts::advisory_severity, severity_from_name),
      field("approvers", &Facts::n_approvers, parse_number<int>),
      field("tier", &Facts::tier, tier_from_name),
      field("in_place", &Facts::in_place_path, parse_text),
      field("revocation_list", &Facts::revocation_list, parse_list_facts),
      field("label", &Facts::labels, parse_list),
      field("tokens_today", &Facts::tokens_today, parse_number<int64_t>),
      field("requests_this_minute", &Facts::requests_this_minute, parse_number<int64_t>),
  };
  return kFields;
}

}  // namespace

Status set_fact(Facts& facts, std::string_view assignment) {
  const size_t equals = assignment.find('=');
  const std::string_view name = assignment.substr(0, equals);
  std::vector<std::string_view> names;
  for (const Field& field : fields()) {
    names.push_back(field.name);
    if (equals == std::string_view::npos || field.name != name) continue;
    const std::string_view value = assignment.substr(equals + 1);
    if (value == "?") {
      field.forget(facts);
      return {};
    }
    const Status set = field.set(facts, value);
    if (set.ok()) return {};
    return make_error(ErrorCode::kInvalidArgument, "{}: {}", base::printable(assignment),
                      set.error().message);
  }
  return make_error(ErrorCode::kInvalidArgument, "{}: NAME=VALUE is needed; names are {}",
                    base::printable(assignment), listed(names));
}

Json facts_to_json(const Facts& facts) {
  Json json = Json::object();
  for (const Field& field : fields()) json[std::string(field.name)] = field.show(facts);
  return json;
}

Json decision_to_json(const Decision& decision) {
  Json data = Json::array();
  for (const auto& [where, action] : decision.data_actions)
    data.push_back({{"path", data_path_name(where.first)},
                    {"class", where.second},
                    {"action", data_action_name(action)}});
  return {{"effect", effect_name(decision.effect)},
          {"rule", decision.rule},
          {"reason", decision.reason},
          {"how_to_ask", decision.how_to_ask},
          {"final", decision.is_final},
          {"priority", priority_name(decision.priority)},
          {"prefix_group", decision.prefix_group},
          {"data", std::move(data)}};
}

Json explanation_to_json(const Explanation& explanation) {
  Json rules = Json::array();
  for (const RuleTrace& trace : explanation.rules)
    rules.push_back({{"rule", trace.rule},
                     {"effect", effect_name(trace.effect)},
                     {"built_in", trace.built_in},
                     {"match", truth_name(trace.match)},
                     {"applies", trace.applies},
                     {"why", trace.why}});
  return {{"decision", decision_to_json(explanation.decision)}, {"rules", std::move(rules)}};
}

}  // namespace lantern::policy
