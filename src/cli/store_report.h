// A model of the store as JSON, the same for `list` and `show`.
#pragma once

#include "base/json.h"
#include "gate/store.h"

namespace lantern::cli {

base::OrderedJson model_report(const supply::StoredModel& model);

}  // namespace lantern::cli
