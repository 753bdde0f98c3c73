// JSON schema to a network: docs/structured-output.md is its manual.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "text/grammar/network.h"

namespace lantern::text::grammar {

/// Canonical JSON that is valid against `schema`. kUnsupported with pointer and keyword,
/// kInvalidArgument for what is no schema or admits nothing, kTooLarge.
Result<Network> compile_json_schema(const base::OrderedJson& schema);

}  // namespace lantern::text::grammar
