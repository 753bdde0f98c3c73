// lantern keys: the keys that this machine keeps, and what losing each of them means.
#include <memory>

#include "base/paths.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/subcommands.h"
#include "cli/table.h"
#include "gate/audit.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string purpose, kind, file, passphrase_file;
  bool replace = false;
  bool json = false;
};

base::OrderedJson key_json(const audit::KeyInfo& key) {
  const audit::PurposeInfo& info = audit::purpose_info(key.purpose);
  base::OrderedJson out = {{"purpose", info.name},
                           {"kind", key.kind},
                           {"id", key.id},
                           {"created_at", key.created_at},
                           {"retired_at", nullptr},
                           {"has_private", key.has_private},
                           {"public_key", nullptr},
                           {"vkey", nullptr},
                           {"use", info.use},
                           {"loss", info.loss},
                           {"disclosure", info.disclosure}};
  if (!key.retired_at.empty()) out["retired_at"] = key.retired_at;
  if (key.public_key) out["public_key"] = key.public_key->to_pem();
  // There is none before the log has its name.
  if (key.purpose == audit::KeyPurpose::kLog)
    if (const auto vkey = gate::log_vkey(key); vkey.ok()) out["vkey"] = *vkey;
  return out;
}

/// What a person should know of a new key: how others check it, what its loss means.
void tell_about(const audit::KeyInfo& key) {
  const audit::PurposeInfo& info = audit::purpose_info(key.purpose);
  tell(fmt::format("{} key {}: {}", info.name, key.id.substr(0, 16), info.use));
  tell(fmt::format("if it is lost: {}", info.loss));
  tell(fmt::format("if others get it: {}", info.disclosure));
}

Result<Exit> list(const Flags& flags) {
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const std::vector<audit::KeyInfo> keys, ring.list());
  if (flags.json) {
    base::OrderedJson list = base::OrderedJson::array();
    for (const audit::KeyInfo& key : keys) list.push_back(key_json(key));
    LANTERN_TRY(print_json({{"folder", ring.folder().string()}, {"keys", list}}));
    return Exit::kDone;
  }
  std::vector<std::vector<std::string>> rows = {
      {"PURPOSE", "KIND", "ID", "CREATED", "STATE", "IF IT IS LOST"}};
  for (const audit::KeyInfo& key : keys) {
    const audit::PurposeInfo& info = audit::purpose_info(key.purpose);
    const bool current = key.retired_at.empty();
    rows.push_back({std::string(info.name), key.kind, key.id.substr(0, 16), key.created_at,
                    current ? key.has_private ? "current" : "lost" : "retired",
                    current ? std::string(info.loss) : "nothing: its public half stays"});
  }
  LANTERN_TRY(print(visible(table(rows))));
  if (keys.empty()) tell("no keys yet: each is made when it is first needed");
  return Exit::kDone;
}

Result<Exit> create(const Flags& flags) {
  LANTERN_ASSIGN(const audit::KeyPurpose purpose, audit::purpose_from_name(flags.purpose));
  LANTERN_ASSIGN(const audit::KeyInfo key, gate::create_key(purpose, flags.kind));
  if (key.public_key) LANTERN_TRY(print(key.public_key->to_pem()));
  tell_about(key);
  return Exit::kDone;
}

Result<Exit> rotate(const Flags& flags) {
  LANTERN_ASSIGN(const audit::KeyPurpose purpose, audit::purpose_from_name(flags.purpose));
  LANTERN_ASSIGN(const audit::KeyInfo key, gate::rotate_key(purpose));
  if (key.public_key) LANTERN_TRY(print(key.public_key->to_pem()));
  tell_about(key);
  tell(purpose == audit::KeyPurpose::kDigest
           ? "the old key stays, so that old digests can still be compared"
           : "the old public half stays, so that what it signed still verifies");
  tell("a backup from before does not have the new key: make another (lantern keys backup)");
  return Exit::kDone;
}

Result<Exit> backup(const Flags& flags) {
  LANTERN_TRY(base::own_folders());  // refused before a passphrase is asked for
  LANTERN_ASSIGN(const base::Secret passphrase,
                 passphrase_for(flags.passphrase_file, "the backup", Passphrase::kNew));
  LANTERN_TRY(gate::backup_keys(flags.file, passphrase.view()));
  tell(fmt::format("all keys are in {}, encrypted; without the passphrase nobody can open it",
                   flags.file));
  return Exit::kDone;
}

Result<Exit> restore(const Flags& flags) {
  LANTERN_TRY(base::own_folders());
  LANTERN_ASSIGN(const base::Secret passphrase,
                 passphrase_for(flags.passphrase_file, "the backup", Passphrase::kKnown));
  LANTERN_ASSIGN(const audit::Restored restored,
                 gate::restore_keys(flags.file, passphrase.view(), flags.replace));
  tell(fmt::format("{} keys added, {} private halves brought back, {} were here already",
                   restored.n_added, restored.n_completed, restored.n_present));
  for (const audit::KeyPurpose purpose : restored.replaced)
    tell(fmt::format("the {} key that was here is retired", audit::purpose_info(purpose).name));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  Subcommands subcommands(app);
  const auto add = [&](const char* name, const char* summary, auto run) -> CLI::App& {
    return subcommands.add(name, summary, [flags, run] { return run(*flags); });
  };
  add("list", "every key, and what its loss means", list)
      .add_flag("--json", flags->json, "a JSON document (docs/schemas/keys.json)");
  CLI::App& creates = add("create", "make a key; prints its public half", create);
  creates.add_option("PURPOSE", flags->purpose, "log, signing or digest")->required();
  creates.add_option("--kind", flags->kind, "of a signing key: p256 (default), p384 or p521");
  add("rotate", "let a new key take over; prints its public half", rotate)
      .add_option("PURPOSE", flags->purpose, "log, signing or digest")
      ->required();
  CLI::App& backs_up = add("backup", "write all keys to one file, encrypted", backup);
  backs_up.add_option("FILE", flags->file, "where to; a new file")->required();
  CLI::App& restores = add("restore", "take the keys of a backup back in", restore);
  restores.add_option("FILE", flags->file, "what lantern keys backup wrote")->required();
  restores.add_flag("--replace", flags->replace,
                    "retire the keys here whose place the backup's take");
  for (CLI::App* sub : {&backs_up, &restores})
    sub->add_option("--passphrase-file", flags->passphrase_file,
                    "its first line (default: asked for at the terminal)");
  return subcommands.action();
}

}  // namespace

extern const Command k_keys;
const Command k_keys = {
    .name = "keys",
    .access = ModelAccess::kNone,
    .summary = "list, make, rotate, back up and restore this machine's keys",
    .examples =
        "  lantern keys list\n"
        "  lantern keys create signing --kind p384\n"
        "  lantern keys rotate log\n"
        "  lantern keys backup /mnt/safe/lantern.keys\n"
        "  lantern keys restore /mnt/safe/lantern.keys",
    .define = define,
};

}  // namespace lantern::cli
