// The report as SARIF 2.1.0 (OASIS, "Static Analysis Results Interchange Format").
#include <map>
#include <string>

#include "supply/scan/report.h"

namespace lantern::supply::scan {
namespace {

using base::OrderedJson;

std::string_view level(Verdict verdict) {
  switch (verdict) {
    case Verdict::kMalicious:
      return "error";
    case Verdict::kInconclusive:
    case Verdict::kUnsupported:
    case Verdict::kWarn:
      return "warning";
    case Verdict::kClean:
      break;
  }
  return "note";
}

/// RFC 3986: all but unreserved characters and "/" as %XX.
std::string uri(std::string_view path) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == '/';
    const auto byte = static_cast<unsigned char>(c);
    if (plain)
      out += c;
    else
      out.append({'%', kDigits[byte >> 4], kDigits[byte & 15]});
  }
  return out;
}

OrderedJson result_of(const Finding& finding, size_t rule_index) {
  OrderedJson location = {
      {"physicalLocation", {{"artifactLocation", {{"uri", uri(finding.where.file)}}}}}};
  if (!finding.where.nested.empty())
    location["logicalLocations"] = OrderedJson::array(
        {{{"fullyQualifiedName", finding.where.file + "!" + finding.where.nested}}});
  OrderedJson properties = {{"verdict", verdict_name(finding.verdict)}};
  if (finding.where.offset) properties["offset"] = *finding.where.offset;
  return {{"ruleId", finding.rule},
          {"ruleIndex", rule_index},
          {"level", level(finding.verdict)},
          {"message", {{"text", finding.message}}},
          {"locations", OrderedJson::array({location})},
          {"properties", properties}};
}

}  // namespace

OrderedJson report_to_sarif(const Report& report) {
  OrderedJson rules = OrderedJson::array(), results = OrderedJson::array(),
              artifacts = OrderedJson::array();
  std::map<std::string, size_t> index_of;
  for (const Finding& finding : report.findings) {
    const auto [at, is_new] = index_of.emplace(finding.rule, rules.size());
    if (is_new)
      rules.push_back({{"id", finding.rule},
                       {"shortDescription", {{"text", finding.scanner + ": " + finding.rule}}},
                       {"defaultConfiguration", {{"level", level(finding.verdict)}}}});
    results.push_back(result_of(finding, at->second));
  }
  for (const ScannedFile& file : report.files)
    artifacts.push_back({{"location", {{"uri", uri(file.path)}}}, {"length", file.size}});
  const bool whole = report.verdict() != Verdict::kInconclusive && report.n_findings_dropped == 0;
  OrderedJson run = {
      {"tool", {{"driver", {{"name", "lantern"}, {"version", LANTERN_VERSION}, {"rules", rules}}}}},
      {"invocations", OrderedJson::array({{{"executionSuccessful", whole}}})},
      {"artifacts", artifacts},
      {"results", results},
      {"columnKind", "unicodeCodePoints"}};
  return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
          {"version", "2.1.0"},
          {"runs", OrderedJson::array({run})}};
}

}  // namespace lantern::supply::scan
