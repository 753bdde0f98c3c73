// The report of a scanning child, as its parent reads it. What is checked besides memory: what is
// accepted is written back the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supply/scan/report.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern::supply;
  const auto report =
      scan::report_from_json(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!report.ok()) return 0;
  const auto again = scan::report_from_json(report_to_json(*report).dump());
  if (!again.ok() || *again != *report) std::abort();
  return 0;
}
