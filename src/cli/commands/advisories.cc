// lantern advisories: what is known against a model, and where that knowledge comes in.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/advisories.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model, path;
  bool json = false;
  CLI::App* import = nullptr;
};

base::OrderedJson or_null(const std::string& text) {
  return text.empty() ? base::OrderedJson() : base::OrderedJson(text);
}

base::OrderedJson report(const gate::ModelAdvisories& found) {
  base::OrderedJson matches = base::OrderedJson::array();
  for (const supply::AdvisoryMatch& match : found.matches)
    matches.push_back({{"id", match.id},
                       {"aliases", match.aliases},
                       {"standing", supply::standing_name(match.standing)},
                       {"by", match.by},
                       {"because", match.because},
                       {"severity", supply::severity_name(match.severity)},
                       {"cvss", match.cvss},
                       {"summary", match.summary},
                       {"modified", match.modified},
                       {"vex", or_null(match.vex)},
                       {"references", match.references}});
  return {
      {"model", found.name},
      {"id", base::to_hex(found.id)},
      {"standing", supply::standing_name(found.standing)},
      {"imported", {{"advisories", found.looked_at.n_advisories}, {"vex", found.looked_at.n_vex}}},
      {"matches", matches}};
}

std::string page(const gate::ModelAdvisories& found) {
  std::vector<std::vector<std::string>> rows = {{"STANDING", "SEVERITY", "ID", "BECAUSE"}};
  for (const supply::AdvisoryMatch& match : found.matches)
    rows.push_back({std::string(supply::standing_name(match.standing)),
                    std::string(supply::severity_name(match.severity)), match.id,
                    match.summary.empty() ? match.because
                                          : fmt::format("{} ({})", match.because, match.summary)});
  for (auto& row : rows)
    for (std::string& cell : row)
      for (char& c : cell)
        if (c == '\n' || c == '\t') c = ' ';
  return visible(table(rows));
}

Exit exit_of(supply::Standing standing) {
  switch (standing) {
    case supply::Standing::kNotAffected:
      return Exit::kDone;
    case supply::Standing::kInconclusive:
      return Exit::kInconclusive;
    case supply::Standing::kAffected:
      return Exit::kNo;
  }
  return Exit::kInconclusive;
}

Result<Exit> show(const Flags& flags) {
  LANTERN_ASSIGN(
      const gate::ModelAdvisories found,
      gate::advisories_of(flags.model, {.stop = new_interruptible_scope(),
                                        .progress = base::ProgressOutput::standard_error()}));
  if (flags.json) {
    LANTERN_TRY(print_json(report(found)));
    return exit_of(found.standing);
  }
  const auto& [n_advisories, n_vex] = found.looked_at;
  if (n_advisories + n_vex == 0)
    tell("no advisory is known here: lantern advisories import FILE|DIR brings some");
  if (found.matches.empty()) {
    tell(visible(fmt::format("{}: none of {} advisories and {} VEX documents speaks of it",
                             found.name, n_advisories, n_vex)));
  } else {
    LANTERN_TRY(print(page(found)));
  }
  return exit_of(found.standing);
}

Result<Exit> import(const Flags& flags) {
  LANTERN_ASSIGN(const supply::AdvisoryImport done,
                 gate::import_advisories(flags.path, new_interruptible_scope()));
  for (const std::string& path : done.left_alone)
    tell(visible(fmt::format("{}: left alone, not a *.json file", path)));
  tell(fmt::format(
      "{} records read: {} new, {} replaced, {} unchanged, {} older than what is "
      "here; {} are here now",
      done.n_read, done.n_new, done.n_replaced, done.n_unchanged, done.n_older, done.n_total));
  return Exit::kDone;
}

Result<Exit> run(const Flags& flags) {
  if (flags.import->parsed()) return import(flags);
  if (flags.model.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "advisories: a MODEL is needed, or import FILE|DIR");
  return show(flags);
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, kModelHelp);
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/advisories.json)");
  flags->import = app.add_subcommand("import", "take in OSV records and OpenVEX documents");
  flags->import
      ->add_option("PATH", flags->path, "a file, or a folder with *.json anywhere below it")
      ->required();
  app.require_subcommand(0, 1);
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_advisories;
const Command k_advisories = {
    .name = "advisories",
    .access = ModelAccess::kDescribes,
    .summary = "check a model against imported advisories (OSV, OpenVEX)",
    .examples =
        "  lantern advisories import ./osv-export\n"
        "  lantern advisories smollm2\n"
        "  lantern advisories ./model.gguf --json",
    .define = define,
};

}  // namespace lantern::cli
