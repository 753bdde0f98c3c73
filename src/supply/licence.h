// Licences as SPDX ids.
#pragma once

#include <string>
#include <string_view>

namespace lantern::supply {

/// The SPDX id of a licence as the Hub's model cards call it ("apache-2.0" is Apache-2.0). What
/// SPDX does not list becomes a LicenseRef-, "other" and nothing become empty: not known.
std::string spdx_of_hub_licence(std::string_view name);

}  // namespace lantern::supply
