// lantern sign: a signature over a model's files.
#include <memory>

#include "base/file.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/passphrase.h"
#include "cli/signing_flags.h"
#include "gate/audit.h"
#include "gate/signing.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  std::string key;
  std::string certificate;
  std::string passphrase_file;
  std::string signature;
  std::vector<std::string> ignore;
  std::string method = "files";
  uint64_t shard_bytes = supply::kDefaultShardBytes;
  bool allow_symlinks = false;
  bool json = false;
};

Status report(const Flags& flags, const supply::SignedModel& made) {
  const supply::SignedManifest& manifest = made.manifest;
  const std::string root = base::to_hex(supply::root_digest(manifest.resources));
  const bool certified = made.method == supply::SigningMethod::kCertificate;
  if (flags.json) {
    base::OrderedJson subject = nullptr;
    if (certified) subject = made.subject;
    return print_json({{"signature", made.signature.string()},
                       {"method", supply::signing_method_name(made.method)},
                       {"key_sha256", base::to_hex(made.key)},
                       {"subject", std::move(subject)},
                       {"root_sha256", root},
                       {"serialization", supply::serialization_name(manifest.method)},
                       {"files", manifest.paths()}});
  }
  const size_t n_files = manifest.paths().size();
  return print(visible(fmt::format(
      "{}: {} file{} signed by {}\n", made.signature.string(), n_files, n_files == 1 ? "" : "s",
      certified ? made.subject : "key sha256:" + base::to_hex(made.key))));
}

Result<base::PrivateKey> signing_key(const Flags& flags) {
  if (flags.key.empty() && !flags.certificate.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "--key: the private key of the first certificate is missing");
  if (flags.key.empty()) return gate::model_signing_key();
  LANTERN_ASSIGN(const base::Secret passphrase, read_passphrase_file(flags.passphrase_file));
  return base::PrivateKey::load(flags.key, passphrase.view());
}

Result<Exit> run(const Flags& flags) {
  const std::stop_token stop = new_interruptible_scope();
  LANTERN_ASSIGN(const base::PrivateKey key, signing_key(flags));
  supply::SignOptions options{.shard_bytes = flags.shard_bytes,
                              .ignore = flags.ignore,
                              .follow_symlinks = flags.allow_symlinks};
  if (flags.method == "shards") options.method = supply::Serialization::kShards;
  if (!flags.certificate.empty()) {
    LANTERN_ASSIGN(options.chain, read_certificates(flags.certificate));
  }
  options.hash.stop = stop;
  options.hash.progress = base::ProgressOutput::standard_error();
  std::filesystem::path signature = flags.signature;
  if (signature.empty()) {
    LANTERN_ASSIGN(signature, gate::default_signature_path(flags.model));
  }
  LANTERN_ASSIGN(const supply::SignedModel made,
                 gate::sign_model(flags.model, signature, key, options));
  LANTERN_TRY(report(flags, made));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "a name from `lantern list`, a file, or a folder")
      ->required();
  app.add_option("--key", flags->key,
                 "the private key, PEM: ECDSA over P-256, P-384 or P-521, readable by you alone "
                 "(default: this machine's own, see `lantern keys`)");
  app.add_option("--certificate", flags->certificate,
                 "the key's certificate and what leads to its root, PEM, the key's own first");
  app.add_option("--passphrase-file", flags->passphrase_file,
                 "a file whose first line opens an encrypted key");
  app.add_option("--signature", flags->signature,
                 "where to write it (default: DIR/model.sig, FILE.sig, or NAME.sig here)");
  app.add_option("--ignore", flags->ignore, "a path inside the model to leave out; repeatable");
  app.add_option("--method", flags->method, "one digest a file, or one a shard")
      ->check(CLI::IsMember({"files", "shards"}))
      ->capture_default_str();
  app.add_option("--shard-size", flags->shard_bytes, "bytes of a shard")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
      ->capture_default_str();
  app.add_flag("--allow-symlinks", flags->allow_symlinks, "sign what symbolic links lead to");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/sign.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_sign;
const Command k_sign = {
    .name = "sign",
    .access = ModelAccess::kDescribes,
    .summary = "sign a model's files (OpenSSF Model Signing)",
    .examples =
        "  lantern sign ./my-model\n"
        "  lantern sign ./my-model --key signer.pem\n"
        "  lantern sign ./my-model --certificate chain.pem --key leaf.pem\n"
        "  lantern sign model.gguf --key signer.pem --method shards",
    .define = define,
};

}  // namespace lantern::cli
