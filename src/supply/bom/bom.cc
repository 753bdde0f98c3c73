#include "supply/bom/bom.h"

#include <algorithm>
#include <array>

#include "base/printable.h"
#include "supply/bom/cyclonedx.h"
#include "supply/bom/spdx3.h"

namespace lantern::supply {
namespace {

constexpr BomGap kCycloneAsks[] = {BomGap::kSupplier, BomGap::kLicence};
constexpr BomGap kSpdxAsks[] = {BomGap::kSupplier, BomGap::kReleased, BomGap::kDownloadLocation,
                                BomGap::kLicence};

constexpr std::array<BomFormat, 3> kFormats = {{
    {.name = "cyclonedx",
     .summary = "CycloneDX 1.6 ML-BOM",
     .asks_for = kCycloneAsks,
     .write = write_cyclonedx_1_6,
     .faults = cyclonedx_faults},
    {.name = "cyclonedx-1.7",
     .summary = "CycloneDX 1.7 ML-BOM",
     .asks_for = kCycloneAsks,
     .write = write_cyclonedx_1_7,
     .faults = cyclonedx_faults},
    {.name = "spdx3",
     .summary = "SPDX 3.0.1, AI profile",
     .asks_for = kSpdxAsks,
     .write = write_spdx3,
     .faults = spdx3_faults},
}};

std::string gap_text(BomGap gap) {
  switch (gap) {
    case BomGap::kSupplier:
      return "supplier: not known; give --supplier";
    case BomGap::kReleased:
      return "release time: not known; give --released";
    case BomGap::kDownloadLocation:
      return "download location: not known; give --download-location";
    case BomGap::kLicence:
      return "licence: not known, or contradicted; give --licence";
  }
  return "";
}

}  // namespace

std::span<const BomFormat> bom_formats() { return kFormats; }

Result<Bom> write_bom(const BomInput& input, std::string_view format) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(),
                                  [&](const BomFormat& one) { return one.name == format; });
  if (found == kFormats.end()) {
    std::string names;
    for (const BomFormat& one : kFormats)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", one.name);
    return make_error(ErrorCode::kInvalidArgument, "format \"{}\": one of {} is needed",
                      base::printable(format), names);
  }
  LANTERN_ASSIGN(const BomFacts facts, bom_facts(input));
  Bom bom{.document = found->write(facts)};
  if (const auto faults = found->faults(bom.document, facts); !faults.empty())
    return make_error(ErrorCode::kInternal, "{}: the document would lack: {}", format,
                      faults.front());
  for (BomGap gap : found->asks_for)
    if (std::find(facts.gaps.begin(), facts.gaps.end(), gap) != facts.gaps.end())
      bom.missing.push_back(gap_text(gap));
  return bom;
}

}  // namespace lantern::supply
