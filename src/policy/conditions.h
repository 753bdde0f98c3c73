// Conditions of a rule against facts, in three values.
#pragma once

#include <string>

#include "policy/decide.h"

namespace lantern::policy {

inline Truth truth_of(bool value) { return value ? Truth::kYes : Truth::kNo; }
inline Truth operator!(Truth value) {
  return static_cast<Truth>(static_cast<int>(Truth::kYes) - static_cast<int>(value));
}
inline Truth both(Truth a, Truth b) { return a < b ? a : b; }
inline Truth either(Truth a, Truth b) { return a < b ? b : a; }

/// What a condition comes to, and one line of why.
struct Finding {
  Truth truth = Truth::kYes;
  std::string why = {};
};

/// Which way a doubt about sets falls: conditions that grant need every label listed and a
/// composition that is the one file; conditions that restrict are content with any.
enum class Reading { kGrants, kRestricts };

/// All of `conditions`; kYes where they ask for nothing.
Finding evaluate(const Conditions& conditions, Reading reading, const Policy& policy,
                 const Facts& facts);

/// Whether the model counts as approved: by as many as the policy asks for, at least one.
Truth is_approved(const Policy& policy, const Facts& facts);

/// Whether `path` is `folder` or lies under it, both absolute and normal; else no.
bool lies_within(const std::string& path, const std::string& folder);

}  // namespace lantern::policy
