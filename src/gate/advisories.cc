#include "gate/advisories.h"

namespace lantern::gate {

Result<std::vector<supply::AdvisoryMatch>> match_advisories(const base::Digest& id,
                                                            std::span<const base::Digest> files,
                                                            std::string_view source,
                                                            std::string_view revision) {
  LANTERN_ASSIGN(const supply::AdvisoryStore store, supply::AdvisoryStore::of_user());
  return store.match(supply::advisory_subject(id, files, source, revision));
}

Result<ModelAdvisories> advisories_of(std::string_view reference, const IdentifyOptions& options) {
  LANTERN_ASSIGN(const IdentifiedModel model, identify_model(reference, options));
  std::vector<base::Digest> files;
  for (const supply::ManifestFile& file : model.manifest.files) files.push_back(file.digest);
  LANTERN_ASSIGN(const supply::AdvisoryStore store, supply::AdvisoryStore::of_user());
  ModelAdvisories result{.name = model.name, .id = model.manifest.id};
  LANTERN_ASSIGN(result.matches,
                 store.match(supply::advisory_subject(
                     model.manifest.id, files, model.manifest.source, model.manifest.revision)));
  result.standing = supply::worst_standing(result.matches);
  LANTERN_ASSIGN(result.looked_at, store.count());
  return result;
}

Result<supply::AdvisoryImport> import_advisories(const std::filesystem::path& path,
                                                 const std::stop_token& stop) {
  LANTERN_ASSIGN(const supply::AdvisoryStore store, supply::AdvisoryStore::of_user());
  return store.import(path, stop);
}

}  // namespace lantern::gate
