#include "gate/service_log.h"

#include <utility>

#include "gate/audit.h"

namespace lantern::gate {

Status record_service(std::string_view what, std::string_view rule,
                      std::vector<audit::Fact> facts) {
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  LANTERN_ASSIGN(const uint64_t index, log.append({.action = audit::Action::kPolicyChange,
                                                   .actor = audit::this_process(),
                                                   .rule = std::string(rule),
                                                   .reason = std::string(what),
                                                   .facts = std::move(facts)}));
  (void)index;
  return {};
}

void record_stop(const audit::Actor& asker, std::string_view what) {
  const auto log = AuditLog::of_user();
  if (log.ok())
    (void)log->append_or_spool(
        {.action = audit::Action::kStop, .actor = asker, .reason = std::string(what)});
}

}  // namespace lantern::gate
