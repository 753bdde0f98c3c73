// What was found, as JSON, CycloneDX 1.6 and OCSF 1.8. What it means (approved, revoked) is not the
// sensor's to know: whoever has joined it with that hands the verdicts in.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "sensor/assess.h"
#include "sensor/sweep.h"

namespace lantern::sensor {

struct JoinedVerdict {
  std::string verdict = "unknown";  // "approved", "known", "revoked", "unknown"
  std::string model = {};           // what it is called here
  std::string matched_by = {};      // "digest", "inode", "header"
};
using VerdictOf = std::function<JoinedVerdict(const FoundWeights&)>;

/// Of a model in several files the worst of theirs: it is approved where all of them are.
JoinedVerdict verdict_of_whole(const FoundWeights& weights, const VerdictOf& verdict_of_file);

/// What is known of a file of weights, each with how it is known and where it was read.
struct Attribute {
  std::string name = {}, value = {};
  Basis basis = Basis::kDeclared;
  std::string where = {};
};
std::vector<Attribute> attributes_of(const FoundWeights& weights);

/// `lantern scan --json` (docs/schemas/scan.json).
base::OrderedJson report_to_json(const SweepReport& report, const VerdictOf& verdict_of);
base::OrderedJson finding_to_json(const Finding& finding, const VerdictOf& verdict_of);
base::OrderedJson weights_to_report(const FoundWeights& weights, const VerdictOf& verdict_of);

/// The same for the same process wherever it is told: a UUID from the boot, its number and start.
std::string finding_id(const Finding& finding, std::string_view boot_id);

/// OCSF's activities of a finding.
enum class FindingActivity { kCreate = 1, kUpdate = 2, kClose = 3 };
/// Severities: 1 informational, 3 medium, 4 high.
int finding_severity(const Finding& finding, const VerdictOf& verdict_of);
/// Detection Finding (2004) alone, without a device.
base::OrderedJson finding_to_ocsf(const Finding& finding, FindingActivity activity, int64_t at_s,
                                  std::string_view boot_id, const VerdictOf& verdict_of);
/// "A local model runs", "Ollama runs".
std::string finding_title(const Finding& finding);

/// An inventory: a component each runtime that was found, and each model.
base::OrderedJson report_to_cyclonedx(const SweepReport& report, const VerdictOf& verdict_of);
/// One event a line's worth: Detection Finding (2004) for each alert and suspicion, Software
/// Inventory Info (5020) with the CycloneDX document inside for the whole.
std::vector<base::OrderedJson> report_to_ocsf(const SweepReport& report,
                                              const VerdictOf& verdict_of,
                                              std::string_view hostname);

}  // namespace lantern::sensor
