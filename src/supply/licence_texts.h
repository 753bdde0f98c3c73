// The licence data that the build compiled in (rules/).
#pragma once

#include <string_view>

namespace lantern::supply {

/// rules/licences.toml
std::string_view licence_table_toml();
/// rules/spdx_licences.txt: ids, one a line, sorted by bytes.
std::string_view spdx_licence_ids();

}  // namespace lantern::supply
