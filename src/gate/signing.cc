#include "gate/signing.h"

#include <optional>
#include <string>
#include <utility>

#include "supply/reference.h"
#include "supply/store.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

// A path as it was given, or a model of the store.
struct Found {
  fs::path path;
  std::optional<supply::ModelFiles> stored;
};

Result<Found> find(std::string_view text) {
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(text));
  if (reference.kind == supply::Reference::Kind::kPath)
    return Found{.path = reference.path, .stored = {}};
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
  return Found{.path = model.name(), .stored = std::move(files)};
}

}  // namespace

Result<supply::SignedModel> sign_model(std::string_view reference, const fs::path& signature,
                                       const base::PrivateKey& key,
                                       const supply::SignOptions& options) {
  LANTERN_ASSIGN(const Found found, find(reference));
  if (found.stored) return supply::sign_files(*found.stored, signature, key, options);
  return supply::sign_model(found.path, signature, key, options);
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
