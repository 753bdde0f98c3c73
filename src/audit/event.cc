#include "audit/event.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "base/hash.h"
#include "base/json.h"

namespace lantern::audit {
namespace {

constexpr int kVersion = 1;
constexpr size_t kTextBytesMax = 8192;  // a path and some
constexpr size_t kListMax = 64;         // digests, facts

constexpr std::string_view kActions[] = {"load",
                                         "chat",
                                         "embed",
                                         "tune",
                                         "export",
                                         "convert",
                                         "pull",
                                         "import",
                                         "scan",
                                         "approve",
                                         "deny",
                                         "revoke",
                                         "stop",
                                         "remove",
                                         "sign",
                                         "verify",
                                         "finding",
                                         "policy_change",
                                         "revocations_import",
                                         "advisories_import",
                                         "break_glass",
                                         "key_create",
                                         "key_rotate",
                                         "key_backup",
                                         "key_restore",
                                         "log_export",
                                         "log_prune",
                                         "clock_corrected"};
static_assert(std::size(kActions) == static_cast<size_t>(Action::kClockCorrected) + 1);
constexpr std::string_view kDecisions[] = {"allow", "deny", "record", "error"};
static_assert(std::size(kDecisions) == static_cast<size_t>(Decision::kError) + 1);

template <typename Enum, size_t n>
Result<Enum> from_name(const std::string_view (&names)[n], std::string_view name,
                       std::string_view what) {
  for (size_t i = 0; i < n; ++i)
    if (names[i] == name) return static_cast<Enum>(i);
  return make_error(ErrorCode::kUnsupported, "no {} is called \"{}\"", what, name);
}

Error bad_field(std::string_view field, std::string_view fault) {
  return make_error(ErrorCode::kInvalidArgument, "audit event: {}: {}", field, fault);
}

/// Adds a text where there is one. (JSON escapes control characters.)
Status put_text(base::OrderedJson& object, std::string_view field, const std::string& text) {
  if (text.empty()) return {};
  if (text.size() > kTextBytesMax) return bad_field(field, "longer than 8192 bytes");
  object[std::string(field)] = text;
  return {};
}

bool is_hex(std::string_view text) { return base::digest_from_hex(text).ok(); }

bool is_fact_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

Status put_actor(base::OrderedJson& out, const Actor& actor) {
  base::OrderedJson object = base::OrderedJson::object();
  LANTERN_TRY(put_text(object, "user", actor.user));
  if (actor.uid) object["uid"] = *actor.uid;
  LANTERN_TRY(put_text(object, "program", actor.program));
  LANTERN_TRY(put_text(object, "key_id", actor.key_id));
  out["actor"] = std::move(object);
  return {};
}

Status put_model(base::OrderedJson& out, const ModelRef& model) {
  base::OrderedJson object = base::OrderedJson::object();
  if (!model.id.empty() && !is_hex(model.id)) return bad_field("model.id", "is no SHA-256 digest");
  LANTERN_TRY(put_text(object, "id", model.id));
  LANTERN_TRY(put_text(object, "name", model.name));
  LANTERN_TRY(put_text(object, "signer", model.signer));
  LANTERN_TRY(put_text(object, "state", model.state));
  out["model"] = std::move(object);
  return {};
}

Status put_digests(base::OrderedJson& out, const std::vector<KeyedDigest>& digests) {
  if (digests.empty()) return {};
  if (digests.size() > kListMax) return bad_field("digests", "more than 64");
  base::OrderedJson list = base::OrderedJson::array();
  for (const KeyedDigest& digest : digests) {
    base::OrderedJson object = base::OrderedJson::object();
    if (!is_fact_name(digest.of)) return bad_field("digests.of", "is no name ([a-z0-9_])");
    if (!is_hex(digest.hmac)) return bad_field("digests.hmac", "is no HMAC-SHA-256");
    object["of"] = digest.of;
    object["hmac"] = digest.hmac;
    LANTERN_TRY(put_text(object, "key_id", digest.key_id));
    object["bytes"] = digest.bytes;
    list.push_back(std::move(object));
  }
  out["digests"] = std::move(list);
  return {};
}

Status put_facts(base::OrderedJson& out, const std::vector<Fact>& facts) {
  if (facts.empty()) return {};
  if (facts.size() > kListMax) return bad_field("facts", "more than 64");
  base::OrderedJson object = base::OrderedJson::object();
  for (const Fact& fact : facts) {
    if (!is_fact_name(fact.name)) return bad_field("facts", "a name has other than [a-z0-9_]");
    if (object.contains(fact.name)) return bad_field(fact.name, "stands twice");
    if (const auto* number = std::get_if<int64_t>(&fact.value)) {
      object[fact.name] = *number;
    } else {
      object[fact.name] = "";
      LANTERN_TRY(put_text(object, fact.name, std::get<std::string>(fact.value)));
    }
  }
  out["facts"] = std::move(object);
  return {};
}

Error misses(std::string_view what, std::string_view field) {
  return make_error(ErrorCode::kCorrupt, "{}: {} is missing or of another type", what, field);
}

std::string text_of(const base::Json& object, const char* field) {
  const auto at = object.find(field);
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

std::vector<KeyedDigest> digests_of(const base::Json& json) {
  std::vector<KeyedDigest> digests;
  const auto list = json.find("digests");
  if (list == json.end() || !list->is_array()) return digests;
  for (const auto& item : *list) {
    if (!item.is_object()) continue;
    const auto bytes = item.find("bytes");
    digests.push_back(
        {.of = text_of(item, "of"),
         .hmac = text_of(item, "hmac"),
         .key_id = text_of(item, "key_id"),
         .bytes = bytes != item.end() && bytes->is_number_unsigned() ? bytes->get<uint64_t>() : 0});
  }
  return digests;
}

std::vector<Fact> facts_of(const base::Json& json) {
  std::vector<Fact> facts;
  const auto object = json.find("facts");
  if (object == json.end() || !object->is_object()) return facts;
  for (const auto& [name, value] : object->items()) {
    if (value.is_number_integer())
      facts.push_back({name, value.get<int64_t>()});
    else if (value.is_string())
      facts.push_back({name, value.get<std::string>()});
  }
  return facts;
}

}  // namespace

std::string_view action_name(Action action) { return kActions[static_cast<size_t>(action)]; }
Result<Action> action_from_name(std::string_view name) {
  return from_name<Action>(kActions, name, "action");
}
std::string_view decision_name(Decision decision) {
  return kDecisions[static_cast<size_t>(decision)];
}
Result<Decision> decision_from_name(std::string_view name) {
  return from_name<Decision>(kDecisions, name, "decision");
}

Result<std::string> event_to_json(const Event& event) {
  base::OrderedJson out;
  out["v"] = kVersion;
  out["time"] = format_time(event.time_ms);
  out["action"] = action_name(event.action);
  out["decision"] = decision_name(event.decision);
  LANTERN_TRY(put_actor(out, event.actor));
  if (event.model) LANTERN_TRY(put_model(out, *event.model));
  LANTERN_TRY(put_text(out, "rule", event.rule));
  LANTERN_TRY(put_text(out, "reason", event.reason));
  LANTERN_TRY(put_digests(out, event.digests));
  LANTERN_TRY(put_facts(out, event.facts));
  LANTERN_TRY(put_text(out, "spool_id", event.spool_id));
  // A path or a name that is no UTF-8 is recorded with replacement characters, not refused.
  std::string line = out.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace);
  if (line.size() > kEntryBytesMax)
    return make_error(ErrorCode::kTooLarge, "audit event: {} bytes, at most {} are recorded",
                      line.size(), kEntryBytesMax);
  return line;
}

Result<Event> event_from_json(std::string_view text, std::string_view what) {
  LANTERN_ASSIGN(const base::Json json,
                 base::parse_json(text, what, {.bytes_max = kEntryBytesMax, .depth_max = 8}));
  if (!json.is_object()) return misses(what, "the object");
  const auto version = json.find("v");
  if (version == json.end() || !version->is_number_integer()) return misses(what, "v");
  if (*version != kVersion)
    return make_error(ErrorCode::kUnsupported, "{}: event version {}, this program knows {}", what,
                      version->dump(), kVersion);
  Event event;
  const auto within = [&](auto result) {
    if (!result.ok()) result = std::move(result).error().within(what);
    return result;
  };
  LANTERN_ASSIGN(event.time_ms, within(parse_time(text_of(json, "time"))));
  LANTERN_ASSIGN(event.action, within(action_from_name(text_of(json, "action"))));
  LANTERN_ASSIGN(event.decision, within(decision_from_name(text_of(json, "decision"))));
  const auto actor = json.find("actor");
  if (actor == json.end() || !actor->is_object()) return misses(what, "actor");
  event.actor = {.user = text_of(*actor, "user"),
                 .program = text_of(*actor, "program"),
                 .key_id = text_of(*actor, "key_id")};
  if (const auto uid = actor->find("uid"); uid != actor->end() && uid->is_number_unsigned())
    event.actor.uid = static_cast<uint32_t>(uid->get<uint64_t>());
  if (const auto model = json.find("model"); model != json.end() && model->is_object())
    event.model = ModelRef{.id = text_of(*model, "id"),
                           .name = text_of(*model, "name"),
                           .signer = text_of(*model, "signer"),
                           .state = text_of(*model, "state")};
  event.rule = text_of(json, "rule");
  event.reason = text_of(json, "reason");
  event.digests = digests_of(json);
  event.facts = facts_of(json);
  event.spool_id = text_of(json, "spool_id");
  return event;
}

Result<int64_t> event_time(std::string_view text, std::string_view what) {
  LANTERN_ASSIGN(const base::Json json,
                 base::parse_json(text, what, {.bytes_max = kEntryBytesMax, .depth_max = 8}));
  if (!json.is_object()) return misses(what, "the object");
  return parse_time(text_of(json, "time"));
}

std::string format_time(int64_t time_ms) {
  const auto seconds = static_cast<time_t>(time_ms / 1000 - (time_ms % 1000 < 0 ? 1 : 0));
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     time_ms - static_cast<int64_t>(seconds) * 1000);
}

Result<int64_t> parse_time(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00.000Z";
  bool fits = text.size() == kForm.size();
  for (size_t i = 0; fits && i < text.size(); ++i)
    fits = kForm[i] == '0' ? text[i] >= '0' && text[i] <= '9' : text[i] == kForm[i];
  const auto number = [&](size_t at, size_t n) {
    int value = 0;
    for (const char c : text.substr(at, n)) value = value * 10 + (c - '0');
    return value;
  };
  if (fits) {
    std::tm parts{};
    parts.tm_year = number(0, 4) - 1900;
    parts.tm_mon = number(5, 2) - 1;
    parts.tm_mday = number(8, 2);
    parts.tm_hour = number(11, 2);
    parts.tm_min = number(14, 2);
    parts.tm_sec = number(17, 2);
    const int64_t time_ms = static_cast<int64_t>(timegm(&parts)) * 1000 + number(20, 3);
    // timegm() makes a date of any numbers; only a real one comes back as it was written.
    if (format_time(time_ms) == text) return time_ms;
  }
  return make_error(ErrorCode::kCorrupt, "time \"{}\" is not of the form {}", text,
                    "2026-11-22T18:41:41.123Z");
}

Actor this_process() {
  Actor actor{.uid = ::geteuid()};
  char buffer[16384];
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
    actor.user = entry.pw_name;
  // Who ran us: the shell, an editor, a service manager.
  std::error_code error;
  actor.program =
      std::filesystem::read_symlink(fmt::format("/proc/{}/exe", ::getppid()), error).string();
  if (error) actor.program.clear();
  return actor;
}

}  // namespace lantern::audit
