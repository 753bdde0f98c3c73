// A model of the store as JSON, the same for `list` and `show`.
#pragma once

#include "base/json.h"
#include "gate/decisions.h"
#include "gate/store.h"

namespace lantern::cli {

base::OrderedJson model_report(const supply::StoredModel& model, policy::ModelState state);

}  // namespace lantern::cli
