// lantern bom: what a model is made of and where it came from, as a standard document.
#include <memory>

#include "base/file.h"
#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/bom.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model, out;
  gate::BomOptions options;
  bool complete = false;
};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const supply::BomFormat& format : supply::bom_formats()) names.emplace_back(format.name);
  return names;
}

Result<Exit> run(const Flags& flags) {
  gate::BomOptions options = flags.options;
  options.identify = {.stop = new_interruptible_scope(),
                      .progress = base::ProgressOutput::standard_error()};
  LANTERN_ASSIGN(const supply::Bom bom, gate::make_bom(flags.model, options));
  for (const std::string& line : bom.missing) tell(visible(line));
  if (flags.complete && !bom.missing.empty()) return Exit::kNo;
  if (flags.out.empty()) {
    LANTERN_TRY(print(SafeText()(bom.document)));
  } else {
    LANTERN_TRY(base::write_file_atomically(flags.out, bom.document));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  gate::BomOptions& options = flags->options;
  app.add_option("MODEL", flags->model, kModelHelp)->required();
  app.add_option("--format", options.format, "the document's standard")
      ->check(CLI::IsMember(format_names()))
      ->capture_default_str();
  app.add_option("--out", flags->out, "write to this file instead of stdout")
      ->check(file_to_write());
  app.add_option("--supplier", options.supplier, "who published the model, where nothing says so");
  app.add_option("--released", options.released, "the day it came out (2025-01-31)");
  app.add_option("--download-location", options.download_location, "a URI where it can be had");
  app.add_option("--licence", options.licence, "the licence that you conclude, as SPDX writes it");
  app.add_flag("--complete", flags->complete,
               "write nothing and exit 1 where a field has no answer");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_bom;
const Command k_bom = {
    .name = "bom",
    .access = ModelAccess::kDescribes,
    .summary = "write a model's bill of materials (CycloneDX, SPDX)",
    .examples =
        "  lantern bom smollm2\n"
        "  lantern bom smollm2 --format spdx3 --out smollm2.spdx.json\n"
        "  lantern bom ./folder --supplier \"Example Corp\" --released 2025-01-31",
    .define = define,
};

}  // namespace lantern::cli
