// The base score of a CVSS 4.0 vector: "Common Vulnerability Scoring System version 4.0:
// Specification Document" (FIRST), section 8.
#pragma once

#include <map>
#include <optional>
#include <string_view>

namespace lantern::supply {

/// `metrics` by name, as "AV" -> "N". Nothing where a base metric is missing or has a value that
/// the specification does not list. Threat, environmental and supplemental metrics are not looked
/// at: what they can add is their owner's to judge.
std::optional<double> base_score_4(const std::map<std::string_view, std::string_view>& metrics);

}  // namespace lantern::supply
