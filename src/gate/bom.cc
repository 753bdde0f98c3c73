#include "gate/bom.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/time.h"
#include "gate/resolve.h"
#include "supply/local_model.h"
#include "supply/sandbox/inspect.h"
#include "supply/selection.h"
#include "supply/state.h"
#include "supply/store.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// The newest of the files' times: the nearest to a record that files outside the store have.
Result<std::string> newest_time(std::span<const supply::LocalFile> files) {
  base::UtcTime newest{};
  for (const supply::LocalFile& file : files) {
    std::error_code error;
    const auto changed = fs::last_write_time(file.path, error);
    if (error) return base::errno_error(error.value(), file.path.string());
    const auto time =
        std::chrono::floor<std::chrono::seconds>(std::chrono::file_clock::to_sys(changed));
    newest = std::max(newest, base::UtcTime(time));
  }
  return base::format_utc(newest);
}

Result<IdentifiedModel> identify_stored(const supply::Store& store, supply::StoredModel stored,
                                        const supply::VerifyOptions& verify) {
  for (const supply::ManifestFile& file : stored.manifest.files)
    if (auto verified = store.verify_blob(file.digest, verify); !verified.ok())
      return std::move(verified).error();
  IdentifiedModel model{.name = stored.name()};
  model.folder = stored.folder;
  model.entry = stored.entry();
  model.manifest = std::move(stored.manifest);
  model.stored = true;
  return model;
}

Result<IdentifiedModel> identify_path(const supply::Store& store, const Located& located,
                                      const supply::VerifyOptions& verify) {
  LANTERN_ASSIGN(const supply::LocalModel local, supply::find_local_model(located.path));
  IdentifiedModel model{.name = located.name};
  model.entry = local.entry;
  model.folder = local.kind == supply::ModelKind::kFolder ? local.entry : local.entry.parent_path();
  model.manifest.kind = local.kind;
  for (const supply::LocalFile& file : local.files) {
    LANTERN_ASSIGN(const auto found, store.digest_in_place(file.path, verify));
    model.manifest.files.push_back(
        {.path = file.name, .size = found.stamp.size, .digest = found.digest});
  }
  std::sort(model.manifest.files.begin(), model.manifest.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  model.manifest.id = supply::composition_id(model.manifest.files);
  std::error_code error;
  const fs::path absolute = fs::weakly_canonical(located.path, error);
  model.manifest.source = (error ? located.path : absolute).string();
  LANTERN_ASSIGN(model.manifest.pulled_at, newest_time(local.files));
  return model;
}

std::vector<base::Digest> digests_of(const supply::Manifest& manifest) {
  std::vector<base::Digest> digests;
  digests.reserve(manifest.files.size());
  for (const supply::ManifestFile& file : manifest.files) digests.push_back(file.digest);
  return digests;
}

Result<supply::LicenceReport> licence_report(const IdentifiedModel& model,
                                             const supply::InspectedModel& inspected,
                                             const std::string& of_catalog,
                                             const std::string& given) {
  supply::LicenceSources sources{.metadata = inspected.description.licence,
                                 .catalog = of_catalog,
                                 .recorded = model.manifest.licence,
                                 .given = given};
  // One beside a single file may be another's; a folder is one model.
  if (inspected.description.folder) {
    sources.text = inspected.licence_text;
    sources.text_file = inspected.licence_file;
  }
  return supply::judge_licence(sources);
}

/// What the store's records say that the model was made of. No records: nothing.
Result<supply::Derivation> recorded_derivation(const supply::Store& store, const base::Digest& id) {
  supply::Derivation derivation;
  std::error_code error;
  if (!fs::exists(store.root() / "state.db", error)) return derivation;
  LANTERN_ASSIGN(supply::State state, supply::State::open(store.root()));
  LANTERN_ASSIGN(const std::optional<supply::Import> import, state.import_of(id));
  if (!import) return derivation;
  derivation.tool = import->tool;
  for (const base::Digest& parent : import->parents) {
    LANTERN_ASSIGN(const auto stored, store.find_id(parent));
    derivation.parents.push_back(
        {.name = stored ? stored->name() : "sha256:" + base::to_hex(parent).substr(0, 12),
         .id = parent});
  }
  return derivation;
}

Result<std::optional<int64_t>> source_date_epoch() {
  const char* text = std::getenv("SOURCE_DATE_EPOCH");
  if (!text || !*text) return std::optional<int64_t>();
  char* end = nullptr;
  errno = 0;
  const long long seconds = std::strtoll(text, &end, 10);
  if (errno != 0 || *end != '\0')
    return make_error(ErrorCode::kInvalidArgument,
                      "SOURCE_DATE_EPOCH: seconds since 1970 are needed");
  return std::optional<int64_t>(seconds);
}

/// A GGUF file's own name is what its publisher calls it; an alias is this machine's word.
std::string published_name(const IdentifiedModel& model) {
  if (model.manifest.kind == supply::ModelKind::kFolder || model.manifest.files.empty())
    return model.name;
  return supply::model_stem(model.manifest.files.front().path);
}

}  // namespace

Result<IdentifiedModel> identify_model(std::string_view reference, const IdentifyOptions& options) {
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  LANTERN_ASSIGN(Located located, locate(reference));
  const supply::VerifyOptions verify{.stop = options.stop, .progress = options.progress};
  if (located.stored) return identify_stored(store, std::move(*located.stored), verify);
  return identify_path(store, located, verify);
}

Result<supply::Bom> make_bom(std::string_view reference, const BomOptions& options) {
  LANTERN_ASSIGN(const IdentifiedModel model, identify_model(reference, options.identify));
  LANTERN_ASSIGN(const supply::InspectedModel inspected,
                 supply::sandbox::inspect_model(model.entry));
  const format::Description& description = inspected.description;
  LANTERN_ASSIGN(const auto entry, catalog_entry(digests_of(model.manifest)));
  supply::BomInput input{.name = published_name(model),
                         .manifest = model.manifest,
                         .description = &description,
                         .derivation = options.derivation,
                         .supplier = options.supplier,
                         .released = options.released,
                         .download_location = options.download_location};
  LANTERN_ASSIGN(input.licence,
                 licence_report(model, inspected, entry ? entry->licence : "", options.licence));
  if (entry) {
    if (input.supplier.empty()) input.supplier = entry->supplier;
    if (input.released.empty()) input.released = entry->released;
    input.homepage = entry->homepage;
  }
  if (input.derivation.parents.empty() && input.derivation.tool.empty()) {
    LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
    LANTERN_ASSIGN(input.derivation, recorded_derivation(store, model.manifest.id));
  }
  LANTERN_ASSIGN(input.source_date_epoch, source_date_epoch());
  return supply::write_bom(input, options.format);
}

Result<ModelLicence> licence_of(std::string_view reference, const IdentifyOptions& options) {
  LANTERN_ASSIGN(const IdentifiedModel model, identify_model(reference, options));
  LANTERN_ASSIGN(const supply::InspectedModel inspected,
                 supply::sandbox::inspect_model(model.entry));
  LANTERN_ASSIGN(const auto entry, catalog_entry(digests_of(model.manifest)));
  ModelLicence licence{.name = model.name, .id = model.manifest.id};
  LANTERN_ASSIGN(licence.report, licence_report(model, inspected, entry ? entry->licence : "", ""));
  return licence;
}

Result<std::string> concluded_licence(const fs::path& entry) {
  LANTERN_ASSIGN(const supply::InspectedModel inspected, supply::sandbox::inspect_model(entry));
  LANTERN_ASSIGN(const supply::LicenceReport report, licence_report({}, inspected, "", ""));
  return report.concluded;
}

}  // namespace lantern::gate
