// lantern keys: the keys that this machine keeps, and what losing each of them means.
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/table.h"
#include "gate/audit.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string purpose, kind, target;
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
  return Exit::kDone;
}

Result<Exit> backup(const Flags& flags) {
  LANTERN_TRY(gate::backup_keys(flags.target));
  tell(
      fmt::format("all keys are in {}, private halves too and unencrypted: keep it where only you "
                  "can read it. Copied back into place it is the key ring again",
                  flags.target));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  auto chosen = std::make_shared<std::function<Result<Exit>()>>();
  app.require_subcommand(1);
  const auto add = [&](const char* name, const char* summary, auto run) {
    CLI::App* sub = app.add_subcommand(name, summary);
    sub->callback([flags, chosen, run] { *chosen = [flags, run] { return run(*flags); }; });
    return sub;
  };
  add("list", "every key, and what its loss means", list)
      ->add_flag("--json", flags->json, "a JSON document (docs/schemas/keys.json)");
  CLI::App* sub = add("create", "make a key; prints its public half", create);
  sub->add_option("PURPOSE", flags->purpose, "log, signing or digest")->required();
  sub->add_option("--kind", flags->kind, "of a signing key: p256 (default), p384 or p521");
  add("rotate", "let a new key take over; prints its public half", rotate)
      ->add_option("PURPOSE", flags->purpose, "log, signing or digest")
      ->required();
  add("backup", "copy all keys, private halves too, to a new folder", backup)
      ->add_option("FOLDER", flags->target, "where to")
      ->required();
  return [chosen] { return (*chosen)(); };
}

}  // namespace

extern const Command k_keys;
const Command k_keys = {
    .name = "keys",
    .access = ModelAccess::kNone,
    .summary = "list, make, rotate and back up this machine's keys",
    .examples =
        "  lantern keys list\n"
        "  lantern keys create signing --kind p384\n"
        "  lantern keys rotate log\n"
        "  lantern keys backup /mnt/safe/lantern-keys",
    .define = define,
};

}  // namespace lantern::cli
