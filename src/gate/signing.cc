#include "gate/signing.h"

#include <optional>
#include <string>
#include <utility>

#include "base/printable.h"
#include "gate/audit.h"
#include "supply/reference.h"
#include "supply/store.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

// A path as it was given, or a model of the store.
struct Found {
  fs::path path;
  std::optional<supply::ModelFiles> stored;
  audit::ModelRef model;
};

constexpr size_t kPathBytesMax = 4096;

Status record_signing(const AuditLog& log, const Found& found, const supply::SignedModel& made) {
  const std::string key = base::to_hex(made.key);
  const bool certified = made.method == supply::SigningMethod::kCertificate;
  audit::Event event{
      .action = audit::Action::kSign,
      .actor = audit::this_process(),
      .model = found.model,
      .facts = {{"signature", base::printable(made.signature.string(), kPathBytesMax)},
                {"root_sha256", base::to_hex(supply::root_digest(made.manifest.resources))}}};
  event.actor.key_id = key;
  if (certified)
    event.facts.push_back({"subject", base::printable(made.subject, kPathBytesMax)});
  else
    event.model->signer = "key:" + key;
  const auto recorded = log.append(event);
  return recorded.ok() ? Status() : Status(recorded.error());
}

Result<Found> find(std::string_view text) {
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(text));
  if (reference.kind == supply::Reference::Kind::kPath) {
    fs::path path = reference.path;
    const fs::path named = path.has_filename() ? path : path.parent_path();  // "folder/"
    return Found{.path = std::move(path),
                 .stored = {},
                 .model = {.name = base::printable(named.filename().string())}};
  }
  if (reference.kind != supply::Reference::Kind::kAlias)
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: not on this machine under that name; `lantern pull` it, then use the "
                      "name it says",
                      supply::recordable(reference));
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  LANTERN_ASSIGN(const supply::StoredModel model, store.find(reference.alias));
  supply::ModelFiles files{.name = model.name()};
  for (const supply::ManifestFile& file : model.manifest.files)
    files.files.push_back(
        {.name = file.path, .path = store.blob_path(file.digest), .size = file.size});
  if (model.manifest.kind == supply::ModelKind::kGguf && files.files.size() == 1) {
    files.is_single_file = true;
    files.name = files.files[0].name;
  }
  return Found{.path = model.name(),
               .stored = std::move(files),
               .model = {.id = base::to_hex(model.manifest.id), .name = model.name()}};
}

}  // namespace

Result<supply::SignedModel> sign_model(std::string_view reference, const fs::path& signature,
                                       const base::PrivateKey& key,
                                       const supply::SignOptions& options) {
  LANTERN_ASSIGN(const Found found, find(reference));
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  auto made = found.stored ? supply::sign_files(*found.stored, signature, key, options)
                           : supply::sign_model(found.path, signature, key, options);
  if (!made.ok()) return made;
  if (Status recorded = record_signing(log, found, *made); !recorded.ok()) {
    std::error_code ignored;
    fs::remove(made->signature, ignored);  // none without its record
    return std::move(recorded).error();
  }
  return made;
}

Result<fs::path> default_signature_path(std::string_view reference) {
  LANTERN_ASSIGN(const Found found, find(reference));
  std::error_code error;
  if (!found.stored && fs::is_directory(found.path, error)) return found.path / "model.sig";
  return fs::path(found.path.string() + ".sig");
}

Result<supply::Verification> verify_model(std::string_view reference, const fs::path& signature,
                                          const supply::VerifyModelOptions& options) {
  LANTERN_ASSIGN(const Found found, find(reference));
  if (found.stored) return supply::verify_files(*found.stored, signature, options);
  return supply::verify_model(found.path, signature, options);
}

}  // namespace lantern::gate
