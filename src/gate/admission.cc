#include "gate/admission.h"

#include <utility>

#include "arch/hf.h"
#include "gate/resolve.h"
#include "gate/watch.h"
#include "supply/sandbox/inspect.h"

namespace lantern::gate {
namespace {

Result<Resolved> resolve_and_authorize(std::string_view reference, const AdmitOptions& options) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(
      Resolved resolved,
      resolve_for(
          governance, audit_action_of(options.action), reference,
          {.stop = options.stop, .progress = options.progress, .paranoid = options.paranoid}));
  LANTERN_ASSIGN(const policy::Decision decision,
                 authorize(governance, resolved.model, options.action, options.consent));
  if (options.warn && !governance.policy_warning().empty())
    options.warn(governance.policy_warning());
  if (options.warn && decision.rule == policy::kBreakGlassRule) options.warn(decision.reason);
  return resolved;
}

}  // namespace

Result<format::AdmittedModel> Admission::admit(std::string_view reference,
                                               const AdmitOptions& options) {
  LANTERN_ASSIGN(Resolved resolved, resolve_and_authorize(reference, options));
  LANTERN_ASSIGN(auto standing, watched_standing(resolved.model, options.action));
  return format::AdmittedModel(std::move(resolved.checkpoint), resolved.model.id,
                               std::move(resolved.model.name), std::move(standing));
}

Result<std::shared_ptr<const format::Checkpoint>> admit_text(std::string_view reference,
                                                             const AdmitOptions& options) {
  LANTERN_ASSIGN(Resolved resolved, resolve_and_authorize(reference, options));
  return std::move(resolved.checkpoint);
}

Result<std::shared_ptr<const format::Checkpoint>> inspect(std::string_view reference) {
  LANTERN_ASSIGN(supply::InspectedModel model, describe(reference));
  const format::Description& description = model.description;
  if (description.kind == format::FileKind::kPeftFolder)
    return make_error(ErrorCode::kUnsupported,
                      "{}: is {}, no model by itself: it goes with the model it was made for "
                      "(--lora)",
                      reference, format::file_kind_name(description.kind));
  if (description.folder) {
    LANTERN_ASSIGN(auto translated, arch::from_hf(*description.folder));
    return std::shared_ptr<const format::Checkpoint>(std::move(translated));
  }
  if (description.kind != format::FileKind::kGguf)
    return make_error(ErrorCode::kUnsupported,
                      "{}: is {}, which says nothing of its architecture; give the folder with its "
                      "config.json",
                      reference, format::file_kind_name(description.kind));
  return description.checkpoint;
}

Result<supply::InspectedModel> describe(std::string_view reference) {
  LANTERN_ASSIGN(const Located located, locate(reference));
  return supply::sandbox::inspect_model(located.path);
}

Result<supply::LicenceReport> claimed_and_found_licence(const supply::InspectedModel& model) {
  return supply::judge_licence({.metadata = model.description.licence,
                                .text = model.licence_text,
                                .text_file = model.licence_file});
}

}  // namespace lantern::gate
