// SPDX 3.0.1, AI profile, as JSON-LD.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supply/bom/bom.h"

namespace lantern::supply {

std::string write_spdx3(const BomFacts& facts);

/// A line for each thing that the AI profile asks of a model's package and neither the JSON schema
/// nor SHACL enforces: name, releaseTime, suppliedBy, download location, version, purpose, one
/// declared and one concluded licence, its files with digests, all references resolved.
std::vector<std::string> spdx3_faults(std::string_view document, const BomFacts& facts);

}  // namespace lantern::supply
