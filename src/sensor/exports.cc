// The sensor's findings in the forms that other systems take.
#include <algorithm>
#include <set>
#include <utility>

#include "base/hash.h"
#include "base/paths.h"
#include "base/printable.h"
#include "base/time.h"
#include "sensor/report.h"

namespace lantern::sensor {
namespace {

using base::OrderedJson;

constexpr std::string_view kOcsfVersion = "1.8.0";

std::string exported_time(int64_t seconds) {
  return base::format_utc(base::UtcTime(std::chrono::seconds(seconds)));
}

/// RFC 9562 version 8 (custom): from a SHA-256 over what the document says, so that the same
/// findings have the same number.
std::string document_uuid(std::string_view content) {
  std::string hex = base::to_hex(base::sha256(content)).substr(0, 32);
  hex[12] = '8';
  hex[16] = "89ab"[static_cast<size_t>(hex[16] >= 'a' ? hex[16] - 'a' + 10 : hex[16] - '0') & 3];
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4),
                     hex.substr(16, 4), hex.substr(20));
}

OrderedJson exported_property(std::string_view name, std::string_view value) {
  return {{"name", fmt::format("lantern:{}", name)}, {"value", value}};
}

std::string name_of(const FoundWeights& weights) {
  if (!weights.label.empty()) return weights.label;
  if (!weights.facts.name.empty()) return weights.facts.name;
  return base::printable(base_name(weights.path));
}

OrderedJson model_component(const FoundWeights& weights, const VerdictOf& verdict_of) {
  OrderedJson component = {{"bom-ref", "weights:" + base::printable(weights.path, 1024)},
                           {"type", "machine-learning-model"},
                           {"name", name_of(weights)}};
  if (!weights.facts.publisher.empty()) component["supplier"] = {{"name", weights.facts.publisher}};
  if (weights.digest)
    component["hashes"] =
        OrderedJson::array({{{"alg", "SHA-256"}, {"content", base::to_hex(*weights.digest)}}});
  if (!weights.facts.licence.empty())
    component["licenses"] = OrderedJson::array(
        {{{"license", {{"name", weights.facts.licence}, {"acknowledgement", "declared"}}}}});
  if (!weights.facts.architecture.empty())
    component["modelCard"] = {
        {"modelParameters", {{"modelArchitecture", weights.facts.architecture}}}};
  OrderedJson properties = OrderedJson::array();
  properties.push_back(exported_property("verdict", verdict_of(weights).verdict));
  for (const Attribute& one : attributes_of(weights))
    properties.push_back(
        exported_property(fmt::format("{}:{}", one.name, basis_name(one.basis)), one.value));
  component["properties"] = std::move(properties);
  return component;
}

OrderedJson runtime_component(const Finding& finding) {
  OrderedJson component = {
      {"bom-ref", fmt::format("process:{}-{}", finding.process.pid, finding.process.start_ticks)},
      {"type", "application"},
      {"name", finding.runtime_name.empty() ? base::printable(finding.process.name)
                                            : finding.runtime_name}};
  OrderedJson properties = OrderedJson::array();
  properties.push_back(exported_property("level", level_name(finding.level)));
  properties.push_back(exported_property("user", base::account_name(finding.process.uid)));
  properties.push_back(
      exported_property("started_at", exported_time(finding.process.started_at_s)));
  properties.push_back(exported_property("program", base::printable(finding.program, 1024)));
  component["properties"] = std::move(properties);
  return component;
}

OrderedJson installed_component(const Installed& installed) {
  OrderedJson component = {
      {"bom-ref",
       fmt::format("installed:{}:{}:{}@{}", installed.kind, base::printable(installed.where, 1024),
                   installed.name, installed.version)},
      {"type",
       installed.kind == "image" || installed.kind == "container" ? "container" : "application"},
      {"name", installed.name}};
  if (!installed.version.empty()) component["version"] = installed.version;
  component["properties"] = OrderedJson::array(
      {exported_property("installed", installed.kind), exported_property("rule", installed.rule),
       exported_property("where", base::printable(installed.where, 1024)),
       exported_property("user", base::account_name(installed.uid))});
  return component;
}

OrderedJson ocsf_event(int class_uid, std::string_view class_name, int severity, int64_t at_s,
                       std::string_view uid, int activity = 1) {
  return {{"class_uid", class_uid},
          {"class_name", class_name},
          {"category_uid", class_uid / 1000},
          {"activity_id", activity},  // 1: Create of a finding, Log of an inventory
          {"type_uid", class_uid * 100 + activity},
          {"severity_id", severity},
          {"time", at_s * 1000},
          {"metadata",
           {{"version", kOcsfVersion},
            {"product",
             {{"name", "Lantern"}, {"vendor_name", "Lantern"}, {"version", LANTERN_VERSION}}},
            {"uid", uid}}}};
}

/// A component's version, else its digest, where it has one.
std::string version_of(const OrderedJson& component) {
  if (component.contains("version")) return component["version"].get<std::string>();
  const auto hashes = component.find("hashes");
  if (hashes == component.end()) return "unknown";
  return "sha256:" + hashes->front()["content"].get<std::string>();
}

OrderedJson process_object(const Finding& finding) {
  OrderedJson process = {{"pid", finding.process.pid},
                         {"name", base::printable(finding.process.name)},
                         {"created_time", finding.process.started_at_s * 1000},
                         {"user",
                          {{"name", base::account_name(finding.process.uid)},
                           {"uid", std::to_string(finding.process.uid)}}}};
  if (!finding.program.empty())
    process["file"] = {{"path", base::printable(finding.program, 1024)},
                       {"name", base::printable(base_name(finding.program))},
                       {"type_id", 1}};
  return process;
}

OrderedJson file_object(const FoundWeights& weights) {
  OrderedJson file = {{"path", base::printable(weights.path, 1024)},
                      {"name", base::printable(base_name(weights.path))},
                      {"type_id", 1},
                      {"size", weights.size}};
  if (weights.digest)
    file["hashes"] = OrderedJson::array({{{"algorithm_id", 3},

                                          {"value", base::to_hex(*weights.digest)}}});
  return file;
}

}  // namespace

std::string finding_id(const Finding& finding, std::string_view boot_id) {
  return document_uuid(
      fmt::format("{}-{}-{}", boot_id, finding.process.pid, finding.process.start_ticks));
}

std::string finding_title(const Finding& finding) {
  return finding.runtime_name.empty() ? "A local model runs" : finding.runtime_name + " runs";
}

int finding_severity(const Finding& finding, const VerdictOf& verdict_of) {
  bool approved = !finding.weights.empty();
  for (const FoundWeights& weights : finding.weights) {
    const std::string verdict = verdict_of(weights).verdict;
    if (verdict == "revoked") return 4;
    approved = approved && verdict == "approved";
  }
  return approved || finding.kind == RuntimeClass::kOwn ? 1 : 3;
}

OrderedJson finding_to_ocsf(const Finding& finding, FindingActivity activity, int64_t at_s,
                            std::string_view boot_id, const VerdictOf& verdict_of) {
  const std::string uid = finding_id(finding, boot_id);
  OrderedJson event = ocsf_event(2004, "Detection Finding", finding_severity(finding, verdict_of),
                                 at_s, uid, static_cast<int>(activity));
  const std::string title = finding_title(finding);
  event["message"] = title;
  event["finding_info"] = {{"uid", uid},
                           {"title", title},
                           {"types", OrderedJson::array({"local AI"})},
                           {"created_time", at_s * 1000}};
  // 1 low, 2 medium, 3 high.
  event["confidence_id"] = finding.level == Level::kAlert ? 3 : 2;
  event["status_id"] = activity == FindingActivity::kClose ? 4 : 1;  // resolved, new
  OrderedJson evidences = OrderedJson::array();
  if (finding.weights.empty()) evidences.push_back({{"process", process_object(finding)}});
  for (const FoundWeights& weights : finding.weights)
    evidences.push_back(
        {{"process", process_object(finding)},
         {"file", file_object(weights)},
         {"data",
          {{"verdict", verdict_of(weights).verdict}, {"summary", weights.facts.summary()}}}});
  event["evidences"] = std::move(evidences);
  return event;
}

OrderedJson report_to_cyclonedx(const SweepReport& report, const VerdictOf& verdict_of) {
  OrderedJson components = OrderedJson::array(), dependencies = OrderedJson::array();
  std::set<std::string> seen;
  const auto add = [&](OrderedJson component) {
    const std::string ref = component["bom-ref"].get<std::string>();
    if (seen.insert(ref).second) components.push_back(std::move(component));
    return ref;
  };
  for (const Finding& finding : report.findings) {
    OrderedJson needs = OrderedJson::array();
    for (const FoundWeights& weights : finding.weights) {
      const std::string ref = add(model_component(weights, verdict_of));
      if (std::find(needs.begin(), needs.end(), ref) == needs.end()) needs.push_back(ref);
    }
    const std::string ref = add(runtime_component(finding));
    dependencies.push_back({{"ref", ref}, {"dependsOn", std::move(needs)}});
  }
  for (const FoundWeights& weights : report.at_rest) add(model_component(weights, verdict_of));
  for (const Installed& one : report.installed) add(installed_component(one));
  OrderedJson document = {{"bomFormat", "CycloneDX"}, {"specVersion", "1.6"}};
  document["serialNumber"] =
      "urn:uuid:" +
      document_uuid(components.dump(-1, ' ', true, OrderedJson::error_handler_t::replace));
  document["version"] = 1;
  document["metadata"] = {
      {"timestamp", exported_time(report.at_s)},
      {"tools",
       {{"components",
         OrderedJson::array(
             {{{"type", "application"}, {"name", "lantern"}, {"version", LANTERN_VERSION}}})}}}};
  document["components"] = std::move(components);
  document["dependencies"] = std::move(dependencies);
  return document;
}

std::vector<OrderedJson> report_to_ocsf(const SweepReport& report, const VerdictOf& verdict_of,
                                        std::string_view hostname) {
  std::vector<OrderedJson> events;
  OrderedJson device = {{"type_id", 0}, {"name", hostname}};
  for (const Finding& finding : report.findings) {
    if (finding.level == Level::kLabel || finding.kind == RuntimeClass::kOwn) continue;
    events.push_back(finding_to_ocsf(finding, FindingActivity::kCreate, report.at_s, report.boot_id,
                                     verdict_of));
    events.back()["device"] = device;
  }
  OrderedJson inventory = report_to_cyclonedx(report, verdict_of);
  OrderedJson components = OrderedJson::array();
  for (const OrderedJson& one : inventory["components"])
    components.push_back({{"name", one["name"]},
                          {"version", version_of(one)},
                          {"type_id", 99},  // other
                          {"type", one["type"]}});
  if (components.empty()) return events;
  OrderedJson event = ocsf_event(5020, "Software Inventory Info", 1, report.at_s,
                                 inventory["serialNumber"].get<std::string>());
  event["device"] = std::move(device);
  event["sbom"] = {{"package", {{"name", "local AI"}, {"version", exported_time(report.at_s)}}},
                   {"software_components", std::move(components)},
                   {"type_id", 2},
                   {"type", "CycloneDX"},
                   {"created_time", report.at_s * 1000}};
  event["unmapped"] = {{"cyclonedx", std::move(inventory)}};
  events.push_back(std::move(event));
  return events;
}

}  // namespace lantern::sensor
