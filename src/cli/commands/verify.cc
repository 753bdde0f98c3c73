// lantern verify: whether a signature holds for a model's files.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/signing_flags.h"
#include "gate/decisions.h"
#include "gate/signing.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  std::string signature;
  std::vector<std::string> keys;
  std::vector<std::string> roots;
  std::vector<std::string> ignore;
  bool keep = false;
  bool json = false;
};

base::OrderedJson signer_json(const supply::Signer& signer) {
  base::OrderedJson subject = nullptr, root = nullptr, root_subject = nullptr;
  if (signer.method == supply::SigningMethod::kCertificate) {
    subject = signer.subject;
    root = base::to_hex(signer.root);
    root_subject = signer.root_subject;
  }
  return {{"identity", signer.identity()},
          {"key_sha256", base::to_hex(signer.key)},
          {"subject", std::move(subject)},
          {"root_sha256", std::move(root)},
          {"root_subject", std::move(root_subject)}};
}

base::OrderedJson to_json(const supply::Verification& verification) {
  base::OrderedJson signer = nullptr, root = nullptr;
  if (verification.signer) {
    signer = signer_json(*verification.signer);
    root = base::to_hex(supply::root_digest(verification.manifest.resources));
  }
  base::OrderedJson differences = base::OrderedJson::array();
  for (const supply::Difference& difference : verification.differences)
    differences.push_back({{"kind", supply::difference_name(difference.kind)},
                           {"name", difference.name},
                           {"why", difference.why}});
  return {{"verified", verification.verified()},
          {"fault", supply::signature_fault_name(verification.fault)},
          {"reason", verification.reason},
          {"method", supply::signing_method_name(verification.method)},
          {"signer", std::move(signer)},
          {"root_sha256", std::move(root)},
          {"files", verification.manifest.paths()},
          {"differences", std::move(differences)}};
}

Status print_verdict(const Flags& flags, const supply::Verification& verification) {
  if (!verification.verified()) {
    LANTERN_TRY(
        print(visible(fmt::format("{}: not verified: {}\n", flags.model, verification.reason))));
    for (const supply::Difference& difference : verification.differences)
      LANTERN_TRY(print(visible(fmt::format("  {} {}\n", difference.name, difference.why))));
    return {};
  }
  const supply::Signer& signer = *verification.signer;
  const size_t n_files = verification.manifest.paths().size();
  const std::string who =
      signer.method == supply::SigningMethod::kCertificate
          ? fmt::format("{}, whom {} vouches for", signer.subject, signer.root_subject)
          : "key sha256:" + base::to_hex(signer.key);
  return print(visible(fmt::format("{}: verified: {} file{} signed by {}\n", flags.model, n_files,
                                   n_files == 1 ? "" : "s", who)));
}

Result<Exit> run(const Flags& flags) {
  const std::stop_token stop = new_interruptible_scope();
  supply::VerifyModelOptions options{.ignore = flags.ignore};
  LANTERN_ASSIGN(options.trusted, read_trusted(flags.keys, flags.roots));
  options.hash.stop = stop;
  options.hash.progress = base::ProgressOutput::standard_error();
  LANTERN_ASSIGN(const supply::Verification verification,
                 gate::verify_model(flags.model, flags.signature, options));
  if (flags.json) {
    LANTERN_TRY(print_json(to_json(verification)));
  } else {
    LANTERN_TRY(print_verdict(flags, verification));
  }
  if (!verification.verified()) return Exit::kNo;
  if (!flags.keep) return Exit::kDone;
  LANTERN_ASSIGN(const supply::SignedComposition kept,
                 gate::keep_signature(flags.model, flags.signature, options));
  if (!kept.verification.verified()) {
    tell("not kept: " + kept.verification.reason);
    return Exit::kNo;
  }
  tell("kept with the model: policies see its signer");
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "a name from `lantern list`, a file, or a folder")
      ->required();
  app.add_option("--signature", flags->signature, "the signature's file")->required();
  app.add_option("--key", flags->keys, "a public key to trust, PEM; repeatable");
  app.add_option("--trust-root", flags->roots,
                 "a root certificate to trust, PEM; repeatable (the system's are never used)");
  app.add_option("--ignore", flags->ignore,
                 "a path inside the model that need not be signed; repeatable");
  app.add_flag("--keep", flags->keep, "keep the signature with the model, for policies to ask for");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/verify.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_verify;
const Command k_verify = {
    .name = "verify",
    .access = ModelAccess::kDescribes,
    .summary = "check a model's files against a signature",
    .examples =
        "  lantern verify ./my-model --signature ./my-model/model.sig --key signer-pub.pem\n"
        "  lantern verify ./my-model --signature model.sig --trust-root root.pem\n"
        "  lantern verify smollm2 --signature smollm2.sig --key signer-pub.pem --json",
    .define = define,
};

}  // namespace lantern::cli
