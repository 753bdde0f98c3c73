// Facts as people write them ("state=approved") and as records show them.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "policy/decide.h"

namespace lantern::policy {

/// Sets one fact from "name=value"; lists are separated by commas, "name=?" forgets the fact and
/// "name=" is an empty text or set. Names are those of facts_to_json(). kInvalidArgument.
Status set_fact(Facts& facts, std::string_view assignment);

/// Every fact by name, null where it is not known.
base::OrderedJson facts_to_json(const Facts& facts);

base::OrderedJson decision_to_json(const Decision& decision);
base::OrderedJson explanation_to_json(const Explanation& explanation);

}  // namespace lantern::policy
