// lantern revoke: a model, or a file wherever it is used, must not run any more.
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/decisions.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string what;
  std::string reason;
  std::string list;
  bool offline = false;
  bool json = false;
};

Result<Exit> import_list(const Flags& flags) {
  LANTERN_ASSIGN(
      const gate::ImportedRevocations imported,
      gate::import_revocations(
          flags.list, flags.offline ? supply::NetworkMode::kOffline : supply::NetworkMode::kOnline,
          new_interruptible_scope()));
  if (flags.json) {
    LANTERN_TRY(print_json({{"list", flags.list},
                            {"version", imported.version},
                            {"entries", imported.n_entries},
                            {"expires", base::format_utc(imported.expires)}}));
    return Exit::kDone;
  }
  LANTERN_TRY(print(
      visible(fmt::format("revocation list version {}: {} entries, until {}\n", imported.version,
                          imported.n_entries, base::format_utc(imported.expires)))));
  return Exit::kDone;
}

Result<Exit> run(const Flags& flags) {
  if (flags.list.empty() == flags.what.empty())
    return make_error(ErrorCode::kInvalidArgument, "give either a model or --list");
  if (!flags.list.empty()) return import_list(flags);
  if (flags.reason.empty())
    return make_error(ErrorCode::kInvalidArgument, "--reason is needed: why must it not run?");
  LANTERN_ASSIGN(const gate::Revoked revoked,
                 gate::revoke_model(flags.what, flags.reason,
                                    {.stop = new_interruptible_scope(),
                                     .progress = base::ProgressOutput::standard_error()}));
  const supply::RevocationRecord& record = revoked.record;
  if (!revoked.unrecorded.empty())
    tell(
        visible(fmt::format("it is in force, but not in the audit log yet: {}; the next command "
                            "that can write there adds it",
                            revoked.unrecorded)));
  const std::string id = "sha256:" + base::to_hex(record.digest);
  if (flags.json) {
    LANTERN_TRY(print_json({{"revoked", id},
                            {"by", record.by},
                            {"reason", record.reason},
                            {"at", base::format_utc(record.at)}}));
    return Exit::kDone;
  }
  LANTERN_TRY(print(visible(fmt::format("revoked {}\n", id))));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->what,
                 "a model, or sha256:DIGEST of a model or of a file that models are made of");
  app.add_option("--reason", flags->reason, "why, for the record");
  app.add_option("--list", flags->list,
                 "take in a signed revocation list: a file or an https address");
  app.add_flag("--offline", flags->offline, "never open a socket");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/revoke.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_revoke;
const Command k_revoke = {
    .name = "revoke",
    .access = ModelAccess::kDescribes,
    .summary = "forbid a model; those that run stop within a second",
    .examples =
        "  lantern revoke mine --reason \"training data withdrawn\"\n"
        "  lantern revoke sha256:DIGEST --reason \"backdoor\"\n"
        "  lantern revoke --list ./revocations.dsse",
    .define = define,
};

}  // namespace lantern::cli
