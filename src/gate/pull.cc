#include "gate/pull.h"

#include <utility>

#include "base/printable.h"
#include "gate/bom.h"
#include "gate/store.h"
#include "supply/catalog.h"
#include "supply/manifest.h"
#include "supply/reference.h"

namespace lantern::gate {
namespace {

/// The model that the catalog, or else the store, knows under a name; nothing where neither does.
Result<std::optional<Composition>> known_as(const std::string& alias) {
  LANTERN_ASSIGN(const auto entry, supply::find_in_catalog(alias));
  if (entry) {
    const supply::ManifestFile file{
        .path = entry->file_name, .size = entry->size, .digest = entry->digest};
    return std::optional(Composition{.name = entry->alias,
                                     .id = supply::composition_id({&file, 1}),
                                     .files = {entry->digest},
                                     .in_catalog = true,
                                     .licence = entry->licence,
                                     .publisher = entry->supplier});
  }
  LANTERN_ASSIGN(const supply::Store store, open_store());
  LANTERN_ASSIGN(const auto stored, store.find_alias(alias));
  if (!stored) return std::optional<Composition>();
  LANTERN_ASSIGN(Composition model, composition_of(*stored));
  return std::optional(std::move(model));
}

/// Nothing but who asks, for what, when.
void forget_model(policy::Facts& facts) {
  policy::Facts kept;
  kept.now = facts.now;
  kept.user = std::move(facts.user);
  kept.groups = std::move(facts.groups);
  kept.keys = std::move(facts.keys);
  kept.program = std::move(facts.program);
  kept.action = facts.action;
  kept.revocation_list = facts.revocation_list;
  facts = std::move(kept);
}

}  // namespace

Result<policy::Facts> import_facts(Governance& governance, std::string_view source) {
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(source));
  std::optional<Composition> known;
  if (reference.kind == supply::Reference::Kind::kAlias) {
    LANTERN_ASSIGN(known, known_as(reference.alias));
  }
  LANTERN_ASSIGN(policy::Facts facts,
                 governance.facts(known.value_or(Composition{}), policy::Action::kImport));
  if (!known) forget_model(facts);
  if (reference.kind == supply::Reference::Kind::kHub)
    facts.publisher = reference.repo.substr(0, reference.repo.find('/'));
  return facts;
}

namespace {

constexpr size_t kReasonBytesMax = 4096;

/// That nothing came of a pull: `event` says why.
Status record_failure(const Governance& governance, std::string_view source, audit::Event event) {
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(source));
  event.action = audit::Action::kPull;
  event.actor = audit::this_process();
  event.facts.push_back({.name = "source", .value = supply::recordable(reference)});
  LANTERN_ASSIGN(const uint64_t index, governance.log().append(event));
  (void)index;
  return {};
}

/// Recorded where it is refused.
Status ask_for_import(std::string_view source) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(const policy::Facts facts, import_facts(governance, source));
  const policy::Decision decision = governance.decide(facts);
  if (decision.allowed()) return {};
  LANTERN_TRY(record_failure(
      governance, source,
      {.decision = audit::Decision::kDeny, .rule = decision.rule, .reason = decision.reason}));
  return decision.status();
}

/// What the model's own files conclude, or what lies beside them where they came from (a model card
/// is no part of a model), where the source named no licence. What cannot be read says nothing
/// here; the scan will.
Status note_licence(const supply::Store& store, std::string_view source, supply::Pulled& pulled) {
  supply::Manifest& manifest = pulled.model.manifest;
  if (!manifest.licence.empty()) return {};
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(source));
  std::vector<std::filesystem::path> places = {pulled.model.entry()};
  if (reference.kind == supply::Reference::Kind::kPath) places.emplace_back(reference.path);
  for (const std::filesystem::path& place : places) {
    const auto licence = concluded_licence(place);
    if (!licence.ok() || licence->empty()) continue;
    manifest.licence = *licence;
    break;
  }
  if (manifest.licence.empty()) return {};
  return store.note_licence(manifest.id, manifest.licence);
}

}  // namespace

Result<PulledModel> pull_model(std::string_view source, supply::PullOptions options,
                               supply::TrustedSigners required, const Consent& consent) {
  LANTERN_TRY(ask_for_import(source));
  PulledModel model;
  bool judged = false;
  options.judge_signature = [&](const supply::FoundSignature* found,
                                std::span<const supply::ModelFile> files) -> Status {
    judged = true;
    LANTERN_ASSIGN(model.signature,
                   judge_import_signature(
                       found, files,
                       {.source = source, .required = required, .hash = {.stop = options.stop}}));
    return {};
  };
  options.on_wrong_content = [source](const Error& why) -> Status {
    LANTERN_ASSIGN(const Governance governance, Governance::open());
    return record_failure(governance, source,
                          {.decision = audit::Decision::kError,
                           .reason = base::printable(why.message, kReasonBytesMax)});
  };
  LANTERN_ASSIGN(const supply::Store store, open_store());
  LANTERN_ASSIGN(model.pulled, supply::pull(store, source, options));
  if (!judged && !required.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: was here already: `lantern verify {} --signature FILE --key ... --keep`",
                      source, model.pulled.alias);
  LANTERN_TRY(note_licence(store, source, model.pulled));
  LANTERN_ASSIGN(model.taken, take_in(model.pulled.model, model.signature, consent));
  return model;
}

}  // namespace lantern::gate
