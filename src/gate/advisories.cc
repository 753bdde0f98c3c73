#include "gate/advisories.h"

#include "base/printable.h"
#include "gate/governance.h"

namespace lantern::gate {
namespace {

constexpr size_t kInputPathBytesMax = 4096;  // a path

}  // namespace

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
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const supply::AdvisoryStore store, supply::AdvisoryStore::of_user());
  LANTERN_ASSIGN(const auto last, governance.state().highest(kAdvisoriesFloor));
  policy::VersionSeen seen{.version = last ? last->version + 1 : 1};
  const auto record = [&](const supply::AdvisoryImport& read) -> Status {
    seen.digest = read.digest;
    audit::Event event{.action = audit::Action::kAdvisoriesImport,
                       .actor = audit::this_process(),
                       .facts = version_facts(seen)};
    event.facts.push_back({"source", base::printable(path.string(), kInputPathBytesMax)});
    event.facts.push_back({"documents", static_cast<int64_t>(read.n_read)});
    event.facts.push_back({"statements", static_cast<int64_t>(read.n_statements)});
    const auto recorded = governance.log().append(event);
    return recorded.ok() ? Status() : Status(recorded.error());
  };
  LANTERN_ASSIGN(supply::AdvisoryImport done, store.import(path, stop, record));
  LANTERN_TRY(
      governance.state().raise(kAdvisoriesFloor, {.version = seen.version, .digest = seen.digest}));
  return done;
}

Result<bool> advisories_are_gone(supply::State& state) {
  LANTERN_ASSIGN(const auto imported, state.highest(kAdvisoriesFloor));
  if (!imported) return false;
  LANTERN_ASSIGN(const supply::AdvisoryStore store, supply::AdvisoryStore::of_user());
  return !store.exists();
}

}  // namespace lantern::gate
