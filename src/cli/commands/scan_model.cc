// lantern scan-model: what a model would run, before anything loads it.
#include <memory>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/scan.h"

namespace lantern::cli {
namespace {

using supply::scan::Finding;
using supply::scan::Report;
using supply::scan::Verdict;

struct Flags {
  std::string path;
  bool json = false;
  bool sarif = false;
};

Exit exit_of_verdict(Verdict verdict) {
  switch (verdict) {
    case Verdict::kMalicious:
      return Exit::kNo;
    case Verdict::kInconclusive:
      return Exit::kInconclusive;
    case Verdict::kUnsupported:
      return Exit::kBadInput;
    case Verdict::kWarn:
    case Verdict::kClean:
      break;
  }
  return Exit::kDone;
}

std::string place(const Finding& finding) {
  std::string text = finding.where.file;
  if (!finding.where.nested.empty()) text += "!" + finding.where.nested;
  if (finding.where.offset)
    text += (finding.scanner == "template" ? ":" : "@") + std::to_string(*finding.where.offset);
  return text;
}

Status print_text(const Report& report) {
  std::string out;
  for (const Finding& finding : report.findings)
    out += fmt::format("{}: {}: {} [{}]\n", verdict_name(finding.verdict), place(finding),
                       finding.message, finding.rule);
  if (report.n_findings_dropped > 0)
    out += fmt::format("{} more findings\n", report.n_findings_dropped);
  if (!out.empty()) out += "\n";
  std::vector<std::vector<std::string>> rows = {{"FILE", "SIZE", "FORMAT", "VERDICT"}};
  for (const auto& file : report.files) {
    std::string formats;
    for (const std::string& format : file.formats)
      formats += (formats.empty() ? "" : ", ") + format;
    rows.push_back({file.path, base::format_bytes(file.size), formats,
                    std::string(verdict_name(file.verdict))});
  }
  return print(visible(out + table(rows, {1})) +
               fmt::format("\n{}\n", verdict_name(report.verdict())));
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const Report report, gate::scan_model(flags.path));
  if (flags.sarif)
    LANTERN_TRY(print_json(report_to_sarif(report)));
  else if (flags.json)
    LANTERN_TRY(print_json(report_to_json(report)));
  else
    LANTERN_TRY(print_text(report));
  return exit_of_verdict(report.verdict());
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("PATH", flags->path, "a file or a folder; it need not be in the store")
      ->required();
  auto* json =
      app.add_flag("--json", flags->json, "a JSON document (docs/schemas/scan-model.json)");
  app.add_flag("--sarif", flags->sarif, "a SARIF 2.1.0 document")->excludes(json);
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_scan_model;
const Command k_scan_model = {
    .name = "scan-model",
    .access = ModelAccess::kDescribes,
    .summary = "say what a model file would run, without loading it",
    .examples =
        "  lantern scan-model model.gguf\n"
        "  lantern scan-model pytorch_model.bin --json\n"
        "  lantern scan-model ./folder --sarif > findings.sarif",
    .define = define,
};

}  // namespace lantern::cli
