// The schema of a policy document, field by field (docs/policy.md says what each means).
#include <algorithm>
#include <filesystem>

#include "base/printable.h"
#include "base/toml_reader.h"
#include "policy/policy.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

using base::TextCheck;
using base::TomlDocument;
using base::TomlTable;

constexpr size_t kKeysMax = 256;
constexpr size_t kPemBytesMax = 4096;
constexpr int64_t kTokensMax = int64_t{1} << 53;
constexpr int64_t kRequestsMax = 1'000'000;
constexpr int64_t kApproversMax = 16;
constexpr int64_t kDaysMax = 3650;
constexpr int64_t kBreakGlassHours = 12;
constexpr int64_t kDryRunHours = 24 * 365;
constexpr int64_t kGraceSeconds = 3600;
constexpr std::string_view kSensorModes[] = {"dry-run", "enforce"};
constexpr std::string_view kReserved = "lantern.";
constexpr std::string_view kKeyUses[] = {"models", "approvals", "revocations", "break-glass"};

std::string name_fault(std::string_view text) { return line_fault(text, kNameBytesMax); }
/// Of a person or a group. A name as `--subject` writes it would match nobody.
std::string account_fault(std::string_view text) {
  for (const std::string_view kind : {"user:", "group:", "key:"})
    if (text.starts_with(kind)) return fmt::format("write the name alone, without \"{}\"", kind);
  return name_fault(text);
}
std::string sentence_fault(std::string_view text) { return line_fault(text, kLineBytesMax); }

/// 1 to 64 of a-z 0-9 . _ -, a letter or digit first: rule ids, names of keys and classes, aliases.
std::string word_fault(std::string_view text) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const bool fine = !text.empty() && text.size() <= 64 && plain(text[0]) &&
                    std::all_of(text.begin(), text.end(), [&](char c) {
                      return plain(c) || c == '.' || c == '_' || c == '-';
                    });
  return fine ? "" : "1 to 64 of a-z 0-9 . _ - are needed, a letter or digit first";
}

std::string path_fault(std::string_view text) {
  if (std::string fault = line_fault(text, 4096); !fault.empty()) return fault;
  const std::filesystem::path path(text);
  const bool fine = path.is_absolute() && path.lexically_normal() == path &&
                    (text == "/" || text.back() != '/') && !text.starts_with("//");
  return fine ? "" : "an absolute path without . or .. or a slash at its end is needed";
}

/// "sha256:<hex>" or the digits alone.
Result<base::Digest> digest_of(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  return base::digest_from_hex(text);
}
std::string digest_fault(std::string_view text) {
  return digest_of(text).ok() ? "" : "sha256: and 64 hexadecimal digits are needed";
}

template <typename E, typename FromName>
TextCheck one_of(FromName from_name) {
  return [from_name](std::string_view text) -> std::string {
    auto value = from_name(text);
    return value.ok() ? "" : value.error().message;
  };
}

/// Reads the members of a policy in order; the first fault stays with the document.
class PolicyReader {
 public:
  explicit PolicyReader(TomlDocument& document) : root_(document.root()) {}

  Policy read() {
    read_head();
    read_keys();
    read_pins();
    read_models();
    read_signatures();
    read_approvals();
    read_revocations();
    read_break_glass();
    read_audit();
    read_prefix_cache();
    read_sensor();
    read_rules();
    root_.finish();
    for (const std::string& alias : unpinned_) policy_.unpinned_aliases.push_back(alias);
    return std::move(policy_);
  }

 private:
  void read_head() {
    root_.require("format");
    root_.integer("format", 1, 1);
    root_.require("version");
    policy_.version = root_.integer("version", 1, kVersionMax).value_or(0);
    root_.require("issued");
    policy_.issued = root_.time("issued").value_or(base::UtcTime());
    policy_.expires = root_.time("expires");
    if (policy_.expires && *policy_.expires <= policy_.issued)
      root_.wrong("expires", "is not after \"issued\"");
    policy_.ask = root_.text("ask", sentence_fault).value_or("");
  }

  void read_keys() {
    std::set<std::string> names;
    std::set<base::Digest> ids;
    for (TomlTable& table : root_.tables("keys", kKeysMax)) {
      for (const char* key : {"name", "pem", "uses"}) table.require(key);
      const std::string name = table.text("name", word_fault).value_or("");
      if (!names.insert(name).second) table.wrong("name", "another key has this name");
      const auto pem = table.text("pem", [](std::string_view text) -> std::string {
        return text.size() > kPemBytesMax ? "too long for a key" : "";
      });
      std::set<KeyUse> uses;
      for (const std::string& use :
           table.texts("uses", use_fault).value_or(std::vector<std::string>{}))
        uses.insert(*enum_of<KeyUse>(kKeyUses, use));
      const std::string user = table.text("user", account_fault).value_or("");
      const bool speaks = uses.contains(KeyUse::kApprovals) || uses.contains(KeyUse::kBreakGlass);
      if (speaks && user.empty()) table.wrong("user", "is missing: whose approvals the key signs");
      table.finish();
      if (!pem) continue;
      auto key = base::PublicKey::from_pem(*pem, name);
      if (!key.ok()) {
        table.wrong("pem", base::printable(key.error().message, 200));
        continue;
      }
      if (!ids.insert(key->id()).second) table.wrong("pem", "another name has this key");
      policy_.keys.push_back(
          {.name = name, .key = std::move(*key), .uses = std::move(uses), .user = user});
    }
  }
  static std::string use_fault(std::string_view text) {
    return enum_of<KeyUse>(kKeyUses, text) ? "" : "no such use; there are " + listed(kKeyUses);
  }

  void read_pins() {
    auto table = root_.table("pins");
    if (!table) return;
    for (const std::string& alias : table->keys()) {
      if (const std::string fault = word_fault(alias); !fault.empty()) table->wrong(alias, fault);
      if (const auto id = table->text(alias, digest_fault))
        policy_.pins.emplace(alias, digest_of(*id).value());
    }
    table->finish();
  }

  void read_models() {
    auto table = root_.table("models");
    if (!table) return;
    ModelRequirements& models = policy_.models;
    static constexpr std::string_view kCatalog[] = {"needs-approval", "approved"};
    const auto catalog = table->text("catalog", [](std::string_view text) -> std::string {
      return enum_of<int>(kCatalog, text) ? "" : "no such choice; there are " + listed(kCatalog);
    });
    models.catalog_is_approved = catalog == "approved";
    models.in_place = table->texts("in_place", path_fault).value_or(std::vector<std::string>{});
    if (const auto tiers = table->texts("tiers", one_of<Tier>(tier_from_name))) {
      models.tiers.emplace();
      for (const std::string& tier : *tiers) models.tiers->insert(tier_from_name(tier).value());
    }
    static constexpr std::string_view kAdvisories[] = {"deny", "allow"};
    const auto advisories = table->text("advisories", [](std::string_view text) -> std::string {
      return enum_of<int>(kAdvisories, text) ? ""
                                             : "no such choice; there are " + listed(kAdvisories);
    });
    models.advisories_deny = advisories != "allow";
    if (const auto least = severity(*table)) {
      models.advisory_severity_min = *least;
      if (!models.advisories_deny)
        table->wrong(kSeverityKey, "has no effect with advisories = \"allow\"");
    }
    table->finish();
  }

  void read_signatures() {
    auto table = root_.table("signatures");
    if (!table) return;
    policy_.signatures.required = table->boolean("required").value_or(false);
    policy_.signatures.signers = signers(*table, "signers").value_or(std::vector<std::string>{});
    policy_.signatures.recheck_certificates =
        table->boolean("recheck_certificates").value_or(false);
    if (!policy_.signatures.required && table->has("signers"))
      table->wrong("signers", "has no effect without required = true");
    table->finish();
  }

  void read_approvals() {
    auto table = root_.table("approvals");
    if (!table) return;
    ApprovalRequirements& approvals = policy_.approvals;
    approvals.approvers_min =
        static_cast<int>(table->integer("approvers_min", 0, kApproversMax).value_or(1));
    approvals.importer_may_approve = table->boolean("importer_may_approve").value_or(false);
    approvals.in_scripts = table->boolean("in_scripts").value_or(false);
    if (const auto days = table->integer("days_max", 0, kDaysMax))
      approvals.days_max = *days == 0 ? std::nullopt : std::optional(static_cast<int>(*days));
    table->finish();
  }

  void read_revocations() {
    auto table = root_.table("revocations");
    if (!table) return;
    RevocationRequirements& revocations = policy_.revocations;
    revocations.required = table->boolean("required").value_or(true);
    revocations.version_min = table->integer("version_min", 0, kVersionMax).value_or(0);
    if (const auto days = table->integer("age_days_max", 0, kDaysMax))
      revocations.age_days_max = *days == 0 ? std::nullopt : std::optional(static_cast<int>(*days));
    table->finish();
  }

  void read_break_glass() {
    auto table = root_.table("break_glass");
    if (!table) return;
    table->require("people");
    policy_.break_glass.people =
        table->texts("people", account_fault).value_or(std::vector<std::string>{});
    policy_.break_glass.hours_max =
        static_cast<int>(table->integer("hours_max", 1, kBreakGlassHours).value_or(1));
    table->finish();
  }

  void read_audit() {
    auto table = root_.table("audit");
    if (!table) return;
    table->require("keep_days_min");
    if (const auto days = table->integer("keep_days_min", 0, kDaysMax))
      policy_.audit.keep_days_min = static_cast<int>(*days);
    table->finish();
  }

  void read_prefix_cache() {
    auto table = root_.table("prefix_cache");
    if (!table) return;
    table->require("groups");
    policy_.prefix_cache.groups =
        table->texts("groups", account_fault).value_or(std::vector<std::string>{});
    table->finish();
  }

  void read_sensor() {
    auto table = root_.table("sensor");
    if (!table) return;
    SensorResponses& sensor = policy_.sensor.emplace();
    table->require("mode");
    sensor.enforce = table->text("mode", [](std::string_view text) -> std::string {
      return enum_of<int>(kSensorModes, text) ? ""
                                              : "no such choice; there are " + listed(kSensorModes);
    }) == kSensorModes[1];
    const auto read = [&](const char* key, SensorResponse& response) {
      const auto name = table->text(key, [](std::string_view text) -> std::string {
        return sensor_response(text) ? "" : "observe, notify or stop is needed";
      });
      if (name) response = *sensor_response(*name);
    };
    read("revoked", sensor.revoked);
    read("unknown", sensor.unknown);
    read("known", sensor.known);
    using Names = std::vector<std::string>;
    sensor.except_users = table->texts("except_users", account_fault).value_or(Names{});
    sensor.except_groups = table->texts("except_groups", account_fault).value_or(Names{});
    sensor.except_programs = table->texts("except_programs", path_fault).value_or(Names{});
    sensor.dry_run_hours =
        static_cast<int>(table->integer("dry_run_hours", 0, kDryRunHours).value_or(24));
    sensor.grace_s = static_cast<int>(table->integer("grace_s", 0, kGraceSeconds).value_or(10));
    if (sensor.revoked == SensorResponse::kObserve && sensor.unknown == SensorResponse::kObserve &&
        sensor.known == SensorResponse::kObserve)
      table->wrong("mode", "has no effect where all is observed");
    table->finish();
  }
  static std::optional<SensorResponse> sensor_response(std::string_view name) {
    for (const auto response :
         {SensorResponse::kObserve, SensorResponse::kNotify, SensorResponse::kStop})
      if (sensor_response_name(response) == name) return response;
    return {};
  }

  void read_rules() {
    std::set<std::string> ids;
    for (TomlTable& table : root_.tables("rules", kRulesMax)) {
      Rule rule = read_rule(table);
      if (!ids.insert(rule.id).second) table.wrong("id", "another rule has this id");
      policy_.rules.push_back(std::move(rule));
    }
  }

  Rule read_rule(TomlTable& table) {
    Rule rule{.line = table.line()};
    for (const char* key : {"id", "effect", "action"}) table.require(key);
    rule.id = table.text("id", word_fault).value_or("");
    if (rule.id.starts_with(kReserved))
      table.wrong("id", "ids that begin with \"lantern.\" are built in");
    rule.effect = table.text("effect", effect_fault) == "allow" ? Effect::kAllow : Effect::kDeny;
    read_actions(table, rule);
    read_conditions(table, rule, rule.match);
    if (auto unless = table.table("unless")) {
      read_conditions(*unless, rule, rule.unless);
      if (rule.unless.empty()) table.wrong("unless", "asks for nothing");
      unless->finish();
    }
    check_kinds(table, rule, rule.match, rule.effect == Effect::kAllow);
    check_kinds(table, rule, rule.unless, rule.effect == Effect::kDeny);
    read_outcome(table, rule);
    rule.reason = table.text("reason", sentence_fault).value_or("");
    rule.ask = table.text("ask", sentence_fault).value_or("");
    table.finish();
    return rule;
  }
  static std::string effect_fault(std::string_view text) {
    return text == "allow" || text == "deny" ? "" : "\"allow\" or \"deny\" is needed";
  }

  void read_actions(TomlTable& table, Rule& rule) {
    const auto names = table.texts("action", [](std::string_view text) -> std::string {
      if (text == "any") return "";
      auto action = action_from_name(text);
      return action.ok() ? "" : action.error().message + ", or any";
    });
    if (!names) return;
    for (const std::string& name : *names) {
      if (name != "any") {
        rule.actions.insert(action_from_name(name).value());
        continue;
      }
      if (names->size() != 1) table.wrong("action", "\"any\" stands alone");
      for (size_t i = 0; i < kActionCount; ++i) rule.actions.insert(static_cast<Action>(i));
    }
  }

  void read_conditions(TomlTable& table, const Rule& rule, Conditions& conditions) {
    if (auto subject = table.table("subject")) {
      conditions.users = subject->texts("user", account_fault);
      conditions.groups = subject->texts("group", account_fault);
      conditions.keys = subject->texts("key", name_fault);
      conditions.programs = subject->texts("program", path_fault);
      if (conditions.empty()) table.wrong("subject", "asks for nothing");
      subject->finish();
    }
    if (auto model = table.table("model")) {
      if (model->keys().empty()) table.wrong("model", "asks for nothing");
      read_model_conditions(*model, rule, conditions);
    }
    conditions.labels = table.texts("label", name_fault);
    if (auto budget = table.table("budget")) {
      conditions.tokens_a_day = budget->integer("tokens_a_day", 1, kTokensMax);
      conditions.requests_a_minute = budget->integer("requests_a_minute", 1, kRequestsMax);
      if (!conditions.tokens_a_day && !conditions.requests_a_minute)
        table.wrong("budget", "asks for nothing");
      budget->finish();
    }
  }

  void read_model_conditions(TomlTable& model, const Rule& rule, Conditions& conditions) {
    if (const auto ids = model.texts("id", digest_fault)) {
      conditions.ids.emplace();
      for (const std::string& id : *ids) conditions.ids->push_back(digest_of(id).value());
    }
    if (const auto aliases = model.texts("alias", word_fault)) {
      conditions.aliases.emplace();
      for (const std::string& alias : *aliases) {
        const auto pin = policy_.pins.find(alias);
        const bool pinned = pin != policy_.pins.end();
        if (!pinned) unpinned_.insert(alias);
        conditions.aliases->push_back(
            {.alias = alias, .id = pinned ? std::optional(pin->second) : std::nullopt});
      }
    }
    // Claims of the file itself: nobody verified them, so no permission may rest on them.
    for (const char* claim : {"licence", "architecture", "publisher"})
      if (rule.effect == Effect::kAllow && model.has(claim))
        model.wrong(claim,
                    "is the file's own claim, on which an allow rule cannot rest; deny what has "
                    "another one (docs/policy.md, \"unless\")");
    conditions.licences = model.texts("licence", name_fault);
    conditions.architectures = model.texts("architecture", name_fault);
    conditions.publishers = model.texts("publisher", name_fault);
    conditions.signers = signers(model, "signer");
    if (const auto states = model.texts("state", one_of<ModelState>(model_state_from_name))) {
      conditions.states.emplace();
      for (const std::string& state : *states)
        conditions.states->push_back(model_state_from_name(state).value());
    }
    conditions.in_catalog = model.boolean("catalog");
    conditions.approved = model.boolean("approved");
    conditions.advisory_severity_min = severity(model);
    model.finish();
  }

  /// `advisory_severity_at_least`, which cannot be "none": every advisory is at least that.
  static std::optional<Severity> severity(TomlTable& table) {
    const auto name = table.text(kSeverityKey, [](std::string_view text) -> std::string {
      if (text == severity_name(Severity::kNone)) return "low, medium, high or critical is needed";
      auto severity = severity_from_name(text);
      return severity.ok() ? "" : severity.error().message;
    });
    return name ? std::optional(severity_from_name(*name).value()) : std::nullopt;
  }

  /// `grants`: whether these conditions, where they hold, make it more likely to be allowed.
  static void check_kinds(TomlTable& table, const Rule& rule, const Conditions& conditions,
                          bool grants) {
    if (grants && conditions.advisory_severity_min)
      table.wrong(&conditions == &rule.match ? "model" : "unless",
                  "advisory_severity_at_least allows nothing: an advisory is a reason to deny");
    if (grants || (!conditions.tokens_a_day && !conditions.requests_a_minute)) return;
    const char* where = &conditions == &rule.match ? "budget" : "unless";
    table.wrong(where, rule.effect == Effect::kDeny
                           ? "a budget in a deny rule stands under \"unless\""
                           : "a budget in an allow rule stands beside \"action\"");
  }

  void read_outcome(TomlTable& table, Rule& rule) {
    if (auto data = table.table("data")) {
      for (const std::string& path_name : data->keys()) {
        const auto path = data_path_from_name(path_name);
        auto classes = data->table(path_name);
        if (!path.ok()) data->wrong(path_name, path.error().message);
        if (!path.ok() || !classes) continue;
        read_data_actions(*classes, *path, rule.data_actions);
      }
      if (rule.data_actions.empty()) table.wrong("data", "asks for nothing");
    }
    const auto priority = table.text("priority", one_of<Priority>(priority_from_name));
    if (priority) rule.priority = priority_from_name(*priority).value();
    rule.is_final = table.boolean("final").value_or(false);
    for (const char* key : {"data", "priority"})
      if (rule.effect == Effect::kDeny && table.has(key))
        table.wrong(key, "has no effect in a deny rule");
    if (rule.effect == Effect::kAllow && table.has("final"))
      table.wrong("final", "has no effect in an allow rule");
  }
  static void read_data_actions(TomlTable& classes, DataPath path, DataActions& actions) {
    for (const std::string& name : classes.keys()) {
      if (const std::string fault = name == "*" ? "" : word_fault(name); !fault.empty())
        classes.wrong(name, fault);
      if (const auto action = classes.text(name, one_of<DataAction>(data_action_from_name)))
        actions.emplace(std::pair(path, name), data_action_from_name(*action).value());
    }
  }

  /// Names of [[keys]] for models become what facts call them.
  std::optional<std::vector<std::string>> signers(TomlTable& table, std::string_view key) {
    auto texts = table.texts(key, [this](std::string_view text) { return signer_fault(text); });
    if (!texts) return {};
    for (std::string& text : *texts)
      if (const NamedKey* named = named_key(text)) text = signer_of(named->key);
    return texts;
  }
  [[nodiscard]] const NamedKey* named_key(std::string_view name) const {
    for (const NamedKey& key : policy_.keys)
      if (key.name == name && key.uses.contains(KeyUse::kModels)) return &key;
    return nullptr;
  }
  [[nodiscard]] std::string signer_fault(std::string_view text) const {
    constexpr std::string_view kKey = "key:", kCertificate = "certificate:";
    constexpr size_t kHex = 64;
    if (text.starts_with(kKey))
      return is_lower_digest(text.substr(kKey.size()))
                 ? ""
                 : "key: and 64 lower-case hexadecimal digits";
    if (text.starts_with(kCertificate)) {
      const std::string_view rest = text.substr(kCertificate.size());
      const bool fine = rest.size() > kHex + 1 && is_lower_digest(rest.substr(0, kHex)) &&
                        rest[kHex] == ':' && is_line(rest.substr(kHex + 1), kLineBytesMax);
      return fine ? "" : "certificate:<64 lower-case hexadecimal digits>:<subject> is needed";
    }
    return named_key(text) != nullptr
               ? ""
               : "neither key:..., certificate:... nor the name of one of [[keys]] for models";
  }
  static bool is_lower_digest(std::string_view text) {
    auto digest = base::digest_from_hex(text);
    return digest.ok() && base::to_hex(*digest) == text;
  }

  static constexpr std::string_view kSeverityKey = "advisory_severity_at_least";

  TomlTable root_;
  Policy policy_;
  std::set<std::string> unpinned_;
};

}  // namespace

Result<Policy> parse_policy(std::string_view toml, std::string_view what) {
  LANTERN_ASSIGN(const std::unique_ptr<TomlDocument> document,
                 TomlDocument::parse(toml, what, kPolicyBytesMax));
  Policy policy = PolicyReader(*document).read();
  LANTERN_TRY(document->status());
  return policy;
}

}  // namespace lantern::policy
