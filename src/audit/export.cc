#include "audit/export.h"

#include <algorithm>

#include "base/json.h"

namespace lantern::audit {
namespace {

using base::OrderedJson;

constexpr std::string_view kOcsfVersion = "1.8.0";

std::string dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

/// The entry as our writer makes it: one line. (JSON allows line breaks between its parts.)
std::string line_of(std::string_view entry) {
  if (entry.find_first_of("\r\n") == std::string_view::npos) return std::string(entry);
  return dump(OrderedJson::parse(entry, nullptr, false));
}

std::string_view or_else(const std::string& text, std::string_view other) {
  return text.empty() ? other : std::string_view(text);
}

// ---- OCSF ----

// Activities of API Activity (6003).
enum Activity { kCreate = 1, kRead = 2, kUpdate = 3, kDelete = 4, kOther = 99 };

Activity activity_of(Action action) {
  switch (action) {
    case Action::kTune:
    case Action::kConvert:
    case Action::kPull:
    case Action::kImport:
    case Action::kSign:
    case Action::kKeyCreate:
      return kCreate;
    case Action::kLoad:
    case Action::kChat:
    case Action::kEmbed:
    case Action::kExport:
    case Action::kScan:
    case Action::kVerify:
    case Action::kFinding:
    case Action::kKeyBackup:
    case Action::kLogExport:
      return kRead;
    case Action::kApprove:
    case Action::kDeny:
    case Action::kRevoke:
    case Action::kPolicyChange:
    case Action::kRevocationsImport:
    case Action::kAdvisoriesImport:
    case Action::kKeyRotate:
    case Action::kKeyRestore:
    case Action::kClockCorrected:
      return kUpdate;
    case Action::kRemove:
    case Action::kLogPrune:
      return kDelete;
    case Action::kStop:
    case Action::kBreakGlass:
      return kOther;
  }
  return kOther;
}

// Severities: 1 informational, 2 low, 3 medium, 4 high.
int severity_of(const Event& event) {
  if (event.action == Action::kBreakGlass || event.action == Action::kRevoke ||
      event.action == Action::kClockCorrected)
    return 4;
  if (event.decision == Decision::kDeny || event.action == Action::kFinding) return 3;
  return event.decision == Decision::kError ? 2 : 1;
}

// Actions of the security_control profile.
int action_id_of(Decision decision) {
  switch (decision) {
    case Decision::kAllow:
      return 1;
    case Decision::kDeny:
      return 2;
    case Decision::kRecord:
      return 3;  // observed
    case Decision::kError:
      return 0;  // unknown
  }
  return 0;
}

std::string sentence_of(const Event& event) {
  std::string text =
      fmt::format("{}: {}", or_else(event.actor.user, "unknown"), action_name(event.action));
  if (event.model)
    text += fmt::format(" {}", or_else(event.model->name, event.model->id.substr(0, 12)));
  text += fmt::format(": {}", decision_name(event.decision));
  if (!event.rule.empty()) text += fmt::format(" ({})", event.rule);
  return text;
}

OrderedJson actor_of(const Event& event) {
  OrderedJson actor = OrderedJson::object();
  actor["app_name"] = or_else(event.actor.program, "lantern");
  OrderedJson user = OrderedJson::object();
  if (!event.actor.user.empty()) user["name"] = event.actor.user;
  if (event.actor.uid) user["uid"] = std::to_string(*event.actor.uid);
  if (!event.actor.key_id.empty() && !user.empty()) user["credential_uid"] = event.actor.key_id;
  if (!user.empty()) actor["user"] = std::move(user);
  return actor;
}

std::string model_version(const ModelRef& model) {
  return model.id.empty() ? "unknown" : "sha256:" + model.id;
}

/// What every class has.
OrderedJson ocsf_base(const Record& record, const ExportSource& source, int class_uid,
                      std::string_view class_name, int activity) {
  const Event& event = record.event;
  OrderedJson out;
  out["class_uid"] = class_uid;
  out["class_name"] = class_name;
  out["category_uid"] = class_uid / 1000;
  out["activity_id"] = activity;
  if (activity == kOther) out["activity_name"] = action_name(event.action);
  out["type_uid"] = class_uid * 100 + activity;
  out["severity_id"] = severity_of(event);
  out["time"] = event.time_ms;
  out["message"] = sentence_of(event);
  out["metadata"] = {
      {"version", kOcsfVersion},
      {"product", {{"name", "Lantern"}, {"vendor_name", "Lantern"}, {"version", LANTERN_VERSION}}},
      {"uid", fmt::format("{}#{}", source.origin, record.index)},
      {"sequence", record.index},
      {"log_name", source.origin},
      {"original_time", format_time(event.time_ms)}};
  return out;
}

void put_status(OrderedJson& out, const Event& event) {
  const bool failed = event.decision == Decision::kDeny || event.decision == Decision::kError;
  out["status_id"] = failed ? 2 : 1;
  if (!event.rule.empty()) out["status_code"] = event.rule;
  if (!event.reason.empty()) out["status_detail"] = event.reason;
}

/// What OCSF has no place for: the entry's own digests and facts.
void put_unmapped(OrderedJson& out, const Record& record) {
  const OrderedJson entry = OrderedJson::parse(record.entry, nullptr, false);
  OrderedJson rest = {{"decision", decision_name(record.event.decision)}};
  for (const char* field : {"rule", "reason", "digests", "facts", "spool_id"})
    if (entry.is_object() && entry.contains(field)) rest[field] = entry[field];
  out["unmapped"] = std::move(rest);
}

void put_resources(OrderedJson& out, const Event& event) {
  if (!event.model) return;
  OrderedJson resource = {{"type", "model"}};
  if (!event.model->id.empty()) resource["uid"] = event.model->id;
  if (!event.model->name.empty()) resource["name"] = event.model->name;
  out["resources"] = OrderedJson::array({std::move(resource)});
}

OrderedJson api_activity(const Record& record, const ExportSource& source) {
  const Event& event = record.event;
  OrderedJson out = ocsf_base(record, source, 6003, "API Activity", activity_of(event.action));
  out["metadata"]["profiles"] = OrderedJson::array({"ai_operation", "security_control"});
  put_status(out, event);
  out["action_id"] = action_id_of(event.decision);
  if (!event.rule.empty()) out["policy"] = {{"name", event.rule}};
  out["actor"] = actor_of(event);
  out["api"] = {{"operation", action_name(event.action)}, {"service", {{"name", "lantern"}}}};
  // Requests come from this machine; the program that calls is what is known of their source.
  out["src_endpoint"] = {{"name", or_else(source.hostname, "local")}};
  if (!event.actor.program.empty()) out["src_endpoint"]["svc_name"] = event.actor.program;
  if (event.model)
    out["ai_model"] = {{"ai_provider", or_else(event.model->signer, "unknown")},
                       {"name", or_else(event.model->name, "unnamed")},
                       {"version", model_version(*event.model)}};
  if (event.model && !event.model->id.empty()) out["ai_model"]["uid"] = event.model->id;
  put_resources(out, event);
  return out;
}

/// A finding of data-loss rules (2006), or of a scan of a model (2004).
OrderedJson finding(const Record& record, const ExportSource& source, bool of_model) {
  const Event& event = record.event;
  OrderedJson out = ocsf_base(record, source, of_model ? 2004 : 2006,
                              of_model ? "Detection Finding" : "Data Security Finding", 1);
  out["status_id"] = 1;
  out["finding_info"] = {{"uid", fmt::format("{}#{}", source.origin, record.index)},
                         {"title", or_else(event.rule, action_name(event.action))},
                         {"created_time", event.time_ms}};
  if (!event.reason.empty()) out["finding_info"]["desc"] = event.reason;
  if (!of_model) out["actor"] = actor_of(event);
  put_resources(out, event);
  return out;
}

/// A model that came in is software that this machine now has (5020).
OrderedJson software_inventory(const Record& record, const ExportSource& source) {
  const Event& event = record.event;
  OrderedJson out = ocsf_base(record, source, 5020, "Software Inventory Info", 2);
  put_status(out, event);
  out["actor"] = actor_of(event);
  // A device needs a name; the log's origin stands in for a host that is not said.
  out["device"] = {{"type_id", 0}, {"name", or_else(source.hostname, source.origin)}};
  const ModelRef model = event.model.value_or(ModelRef{});
  out["package"] = {{"name", or_else(model.name, "unnamed")}, {"version", model_version(model)}};
  if (!model.id.empty()) out["package"]["hash"] = {{"algorithm_id", 3}, {"value", model.id}};
  return out;
}

OrderedJson ocsf(const Record& record, const ExportSource& source) {
  OrderedJson out;
  switch (record.event.action) {
    case Action::kFinding:
      out = finding(record, source, /*of_model=*/false);
      break;
    case Action::kScan:
      // A clean scan is an activity, not a finding.
      out = record.event.decision == Decision::kDeny ? finding(record, source, /*of_model=*/true)
                                                     : api_activity(record, source);
      break;
    case Action::kPull:
    case Action::kImport:
      out = record.event.model ? software_inventory(record, source) : api_activity(record, source);
      break;
    default:
      out = api_activity(record, source);
  }
  put_unmapped(out, record);
  return out;
}

// ---- syslog ----

base::SyslogSeverity syslog_severity(const Event& event) {
  switch (severity_of(event)) {
    case 4:
      return base::SyslogSeverity::kCritical;
    case 3:
      return base::SyslogSeverity::kWarning;
    case 2:
      return base::SyslogSeverity::kError;
    default:
      return base::SyslogSeverity::kInformational;
  }
}

std::string syslog(const Record& record, const ExportSource& source) {
  const Event& event = record.event;
  std::vector<std::pair<std::string, std::string>> params = {
      {"index", std::to_string(record.index)},
      {"decision", std::string(decision_name(event.decision))}};
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty()) params.emplace_back(name, value);
  };
  add("origin", source.origin);
  add("user", event.actor.user);
  add("program", event.actor.program);
  if (event.model) {
    add("model", event.model->name);
    add("modelId", event.model->id);
  }
  add("rule", event.rule);
  return base::syslog_line({.severity = syslog_severity(event),
                            .timestamp = format_time(event.time_ms),
                            .hostname = source.hostname,
                            .name = action_name(event.action),
                            .enterprise_number = source.enterprise_number,
                            .params = params,
                            .text = line_of(record.entry)});
}

}  // namespace

Result<ExportFormat> export_format_from_name(std::string_view name) {
  if (name == "jsonl") return ExportFormat::kJsonLines;
  if (name == "ocsf") return ExportFormat::kOcsf;
  if (name == "syslog") return ExportFormat::kSyslog;
  return make_error(ErrorCode::kInvalidArgument,
                    "no export format is called \"{}\"; there are jsonl, ocsf and syslog", name);
}

std::string export_record(ExportFormat format, const Record& record, const ExportSource& source) {
  switch (format) {
    case ExportFormat::kJsonLines:
      return fmt::format("{{\"index\":{},\"event\":{}}}", record.index, line_of(record.entry));
    case ExportFormat::kOcsf:
      return dump(ocsf(record, source));
    case ExportFormat::kSyslog:
      return syslog(record, source);
  }
  return {};
}

}  // namespace lantern::audit
