// CycloneDX 1.6 and 1.7 (ECMA-424): ML-BOM as JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "supply/bom/bom.h"

namespace lantern::supply {

std::string write_cyclonedx_1_6(const BomFacts& facts);
std::string write_cyclonedx_1_7(const BomFacts& facts);

/// A line for each thing that the schema lets pass and a reader of the document needs: one model
/// with its card, a purl where there is one, every file with its SHA-256, licences by id, all
/// references resolved.
std::vector<std::string> cyclonedx_faults(std::string_view document, const BomFacts& facts);

}  // namespace lantern::supply
