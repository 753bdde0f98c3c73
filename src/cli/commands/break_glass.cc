// lantern break-glass: a named person lifts a refusal for a while, loudly.
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "gate/decisions.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string reason;
  std::string expires = "1h";
  std::string model;
  bool json = false;
};

Result<Exit> run(const Flags& flags) {
  gate::BreakGlassRequest request{.reason = flags.reason};
  LANTERN_ASSIGN(request.lasts, duration_from_text(flags.expires));
  if (!flags.model.empty()) request.reference = flags.model;
  LANTERN_ASSIGN(const policy::BreakGlass statement, gate::break_glass(request));
  const std::string expires = base::format_utc(statement.expires);
  tell(fmt::format("{} lifted refusals until {}; this is in the log", statement.person, expires));
  if (flags.json)
    LANTERN_TRY(print_json({{"person", statement.person},
                            {"reason", statement.reason},
                            {"issued", base::format_utc(statement.issued)},
                            {"expires", expires}}));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("--reason", flags->reason, "why, for the record")->required();
  app.add_option("--expires", flags->expires, "how long, such as 30m or 1h")->capture_default_str();
  app.add_option("--model", flags->model, "for this model alone");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/break-glass.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_break_glass;
const Command k_break_glass = {
    .name = "break-glass",
    .access = ModelAccess::kNone,
    .summary = "lift refusals for a while, where the policy lets you",
    .examples = "  lantern break-glass --reason \"incident 9, approver unreachable\" --expires 1h",
    .define = define,
};

}  // namespace lantern::cli
