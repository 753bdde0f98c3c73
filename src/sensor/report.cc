#include "sensor/report.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "base/paths.h"
#include "base/printable.h"
#include "base/time.h"

namespace lantern::sensor {
namespace {

using base::OrderedJson;

std::string utc(int64_t seconds) {
  return base::format_utc(base::UtcTime(std::chrono::seconds(seconds)));
}

std::string shown_path(std::string_view path) { return base::printable(path, 1024); }

/// Null where it lives as the sensor does.
OrderedJson container_json(const Finding& finding) {
  const Surroundings& around = finding.surroundings;
  if (!finding.container && around.namespaces.empty()) return nullptr;
  return {{"engine", finding.container ? finding.container->engine : ""},
          {"id", finding.container ? finding.container->id : ""},
          {"namespaces", around.namespaces},
          {"owner", around.owner ? base::account_name(*around.owner) : ""}};
}

}  // namespace

std::vector<Attribute> attributes_of(const FoundWeights& weights) {
  const WeightFacts& facts = weights.facts;
  std::vector<Attribute> all;
  const auto add = [&](std::string_view name, std::string value, Basis basis,
                       std::string_view where) {
    if (!value.empty())
      all.push_back({.name = std::string(name),
                     .value = std::move(value),
                     .basis = basis,
                     .where = std::string(where)});
  };
  const std::string header = "header, " + weights.where, table = "tensor table, " + weights.where;
  // What the header does not say, the folder's config.json does.
  const auto told = [&](const auto member) {
    return weights.config && facts.*member == (*weights.config).*member ? weights.config_path
                                                                        : header;
  };
  add("format", facts.format, Basis::kVerified, header);
  add("architecture", facts.architecture, Basis::kDeclared, told(&WeightFacts::architecture));
  add("name", facts.name, Basis::kDeclared, header);
  add("licence", facts.licence, Basis::kDeclared, header);
  add("publisher", facts.publisher, Basis::kDeclared, header);
  add("source", facts.source, Basis::kDeclared, header);
  add("quantization", facts.quantization, Basis::kDeclared, told(&WeightFacts::quantization));
  if (facts.context > 0)
    add("context", std::to_string(facts.context), Basis::kDeclared, told(&WeightFacts::context));
  if (facts.parameters > 0)
    add("parameters", std::to_string(facts.parameters), Basis::kVerified, table);
  if (facts.tensors > 0) add("tensors", std::to_string(facts.tensors), Basis::kVerified, table);
  add("mix", facts.mix_text(), Basis::kVerified, table);
  if (!weights.parts.empty())
    add("parts", fmt::format("{} of {}", facts.part, facts.n_parts), Basis::kVerified,
        "the files' names");
  else if (facts.n_parts > 1)
    add("part", fmt::format("{} of {}", facts.part, facts.n_parts), Basis::kDeclared, header);
  for (const FoundWeights& file : weights.files()) {
    if (file.facts.header_digest)
      add("header_sha256", base::to_hex(*file.facts.header_digest), Basis::kVerified,
          fmt::format("first {} bytes, {}", file.facts.header_bytes, file.where));
    if (file.digest) add("sha256", base::to_hex(*file.digest), Basis::kVerified, file.where);
  }
  add("label", weights.label, Basis::kDeclared, weights.store + "'s records");
  add("fault", facts.fault, Basis::kVerified, header);
  return all;
}

JoinedVerdict verdict_of_whole(const FoundWeights& weights, const VerdictOf& verdict_of_file) {
  // From the best to the worst: a model is as good as its worst file.
  constexpr std::array<std::string_view, 4> kOrder = {"approved", "known", "unknown", "revoked"};
  const auto rank = [&](const JoinedVerdict& one) {
    return std::find(kOrder.begin(), kOrder.end(), one.verdict) - kOrder.begin();
  };
  std::optional<JoinedVerdict> worst;
  for (const FoundWeights& file : weights.files()) {
    JoinedVerdict one = verdict_of_file(file);
    if (!worst || rank(one) > rank(*worst)) worst = std::move(one);
  }
  return worst.value_or(JoinedVerdict());
}

OrderedJson weights_to_report(const FoundWeights& weights, const VerdictOf& verdict_of) {
  const JoinedVerdict joined = verdict_of(weights);
  OrderedJson json = {{"path", shown_path(weights.path)},   {"deleted", weights.deleted},
                      {"use", basis_name(weights.use)},     {"bytes", weights.size},
                      {"summary", weights.facts.summary()}, {"store", weights.store},
                      {"verdict", joined.verdict},          {"model", joined.model},
                      {"matched_by", joined.matched_by}};
  OrderedJson attributes = OrderedJson::array();
  for (const Attribute& one : attributes_of(weights))
    attributes.push_back({{"name", one.name},
                          {"value", one.value},
                          {"basis", basis_name(one.basis)},
                          {"where", one.where}});
  json["attributes"] = std::move(attributes);
  OrderedJson files = OrderedJson::array();
  for (const FoundWeights& one : weights.parts) files.push_back(shown_path(one.path));
  json["files"] = std::move(files);
  return json;
}

OrderedJson finding_to_json(const Finding& finding, const VerdictOf& verdict_of) {
  const Process& process = finding.process;
  OrderedJson json = {{"pid", process.pid},
                      {"name", base::printable(process.name)},
                      {"program", shown_path(finding.program)},
                      {"user", base::account_name(process.uid)},
                      {"started_at", utc(process.started_at_s)},
                      {"cgroup", shown_path(process.cgroup)},
                      {"container", container_json(finding)},
                      {"runtime", finding.runtime},
                      {"runtime_name", finding.runtime_name},
                      {"class", runtime_class_name(finding.kind)},
                      {"level", level_name(finding.level)},
                      {"score", finding.score},
                      {"ports", finding.ports}};
  OrderedJson weights = OrderedJson::array(), evidence = OrderedJson::array();
  for (const FoundWeights& one : finding.weights)
    weights.push_back(weights_to_report(one, verdict_of));
  for (const Evidence& one : finding.evidence)
    evidence.push_back({{"class", evidence_class_name(one.kind)},
                        {"basis", basis_name(one.basis)},
                        {"strength", one.strength},
                        {"text", one.text},
                        {"where", base::printable(one.where, 300)}});
  json["weights"] = std::move(weights);
  json["evidence"] = std::move(evidence);
  return json;
}

OrderedJson report_to_json(const SweepReport& report, const VerdictOf& verdict_of) {
  OrderedJson json = {{"at", utc(report.at_s)},
                      {"processes", report.n_processes},
                      {"hidden_processes", report.hidden.size()},
                      {"blind_spots", report.blind_spots}};
  OrderedJson findings = OrderedJson::array(), at_rest = OrderedJson::array();
  for (const Finding& one : report.findings) findings.push_back(finding_to_json(one, verdict_of));
  for (const FoundWeights& one : report.at_rest)
    at_rest.push_back(weights_to_report(one, verdict_of));
  OrderedJson installed = OrderedJson::array();
  for (const Installed& one : report.installed)
    installed.push_back({{"kind", one.kind},
                         {"rule", one.rule},
                         {"name", one.name},
                         {"version", one.version},
                         {"user", base::account_name(one.uid)},
                         {"where", shown_path(one.where)}});
  json["findings"] = std::move(findings);
  json["at_rest"] = std::move(at_rest);
  json["installed"] = std::move(installed);
  return json;
}

}  // namespace lantern::sensor
