#include "policy/sensor_response.h"

#include <algorithm>

#include "base/result.h"

namespace lantern::policy {
namespace {

constexpr std::string_view kSensorResponses[] = {"observe", "notify", "stop"};

bool contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Sorted, each with its length before it: no two lists have one text.
std::string text_of(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) text += fmt::format(" {}:{}", name.size(), name);
  return text + "\n";
}

}  // namespace

std::string_view sensor_response_name(SensorResponse response) {
  return kSensorResponses[static_cast<size_t>(response)];
}

base::Digest SensorResponses::digest() const {
  return base::sha256(fmt::format("lantern-sensor-responses-v1\n{} {} {}\n{}{}{}",
                                  sensor_response_name(revoked), sensor_response_name(unknown),
                                  sensor_response_name(known), text_of(except_users),
                                  text_of(except_groups), text_of(except_programs)));
}

SensorResponse respond(const SensorResponses& policy, const ForeignModel& model) {
  const SensorResponse asked = model.is_own                 ? SensorResponse::kObserve
                               : model.verdict == "revoked" ? policy.revoked
                               : model.verdict == "unknown" ? policy.unknown
                               : model.verdict == "known"   ? policy.known
                                                            : SensorResponse::kObserve;
  if (asked == SensorResponse::kObserve || contains(policy.except_users, model.user) ||
      contains(policy.except_programs, model.program) ||
      std::any_of(policy.except_groups.begin(), policy.except_groups.end(),
                  [&](const std::string& group) { return model.groups.contains(group); }))
    return SensorResponse::kObserve;
  return model.is_alert && model.has_weights ? asked : SensorResponse::kNotify;
}

}  // namespace lantern::policy
