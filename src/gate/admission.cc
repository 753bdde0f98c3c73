#include "gate/admission.h"

#include <utility>

#include "gate/resolve.h"
#include "gate/watch.h"

namespace lantern::gate {
namespace {

Result<Resolved> resolve_and_authorize(std::string_view reference, const AdmitOptions& options) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(Resolved resolved, resolve(reference, {.stop = options.stop,
                                                        .progress = options.progress,
                                                        .paranoid = options.paranoid}));
  LANTERN_TRY(authorize(governance, resolved.model, options.action, options.consent));
  return resolved;
}

}  // namespace

Result<format::AdmittedModel> Admission::admit(std::string_view reference,
                                               const AdmitOptions& options) {
  LANTERN_ASSIGN(Resolved resolved, resolve_and_authorize(reference, options));
  auto standing = watched_standing(resolved.model, options.action);
  return format::AdmittedModel(std::move(resolved.checkpoint), resolved.model.id,
                               std::move(resolved.model.name), std::move(standing));
}

Result<std::shared_ptr<const format::Checkpoint>> admit_text(std::string_view reference,
                                                             const AdmitOptions& options) {
  LANTERN_ASSIGN(Resolved resolved, resolve_and_authorize(reference, options));
  return std::move(resolved.checkpoint);
}

Result<std::shared_ptr<const format::Checkpoint>> inspect(std::string_view reference) {
  LANTERN_ASSIGN(const Located located, locate(reference));
  return open_header(located.path);
}

Result<format::Description> describe(std::string_view reference) {
  LANTERN_ASSIGN(const Located located, locate(reference));
  return format::describe(located.path);
}

}  // namespace lantern::gate
