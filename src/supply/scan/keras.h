// A Keras model's configuration: JSON that names the classes and functions a loader makes.
#pragma once

#include "base/json.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {

/// Findings of rules "keras-..."; JSON that is no Keras configuration gives none.
void judge_keras_config(const base::Json& config, Scan& scan);

}  // namespace lantern::supply::scan
