#include "supply/licence.h"

#include "supply/names.h"

namespace lantern::supply {
namespace {

struct HubLicence {
  std::string_view hub, spdx;
};

/// The Hub's identifiers that SPDX has, apart from those that only differ in their case.
constexpr HubLicence kRows[] = {
    {"apache-2.0", "Apache-2.0"},
    {"mit", "MIT"},
    {"bsd", "BSD-3-Clause"},
    {"bsd-2-clause", "BSD-2-Clause"},
    {"bsd-3-clause", "BSD-3-Clause"},
    {"bsd-3-clause-clear", "BSD-3-Clause-Clear"},
    {"bsl-1.0", "BSL-1.0"},
    {"isc", "ISC"},
    {"cc0-1.0", "CC0-1.0"},
    {"cc-by-2.0", "CC-BY-2.0"},
    {"cc-by-3.0", "CC-BY-3.0"},
    {"cc-by-4.0", "CC-BY-4.0"},
    {"cc-by-sa-3.0", "CC-BY-SA-3.0"},
    {"cc-by-sa-4.0", "CC-BY-SA-4.0"},
    {"cc-by-nc-4.0", "CC-BY-NC-4.0"},
    {"cc-by-nd-4.0", "CC-BY-ND-4.0"},
    {"cc-by-nc-sa-4.0", "CC-BY-NC-SA-4.0"},
    {"cc-by-nc-nd-4.0", "CC-BY-NC-ND-4.0"},
    {"gpl-2.0", "GPL-2.0-only"},
    {"gpl-3.0", "GPL-3.0-only"},
    {"agpl-3.0", "AGPL-3.0-only"},
    {"lgpl-2.1", "LGPL-2.1-only"},
    {"lgpl-3.0", "LGPL-3.0-only"},
    {"mpl-2.0", "MPL-2.0"},
    {"epl-2.0", "EPL-2.0"},
    {"eupl-1.1", "EUPL-1.1"},
    {"eupl-1.2", "EUPL-1.2"},
    {"unlicense", "Unlicense"},
    {"wtfpl", "WTFPL"},
    {"zlib", "Zlib"},
    {"artistic-2.0", "Artistic-2.0"},
};

}  // namespace

std::string spdx_of_hub_licence(std::string_view name) {
  if (name.empty() || name == "other" || name == "unknown") return "";
  for (const auto& row : kRows)
    if (row.hub == name) return std::string(row.spdx);
  return is_spdx_id(name) ? "LicenseRef-" + std::string(name) : "";
}

}  // namespace lantern::supply
