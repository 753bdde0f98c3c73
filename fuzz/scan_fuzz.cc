// Any bytes as a model file: all scanners that know them. What is checked besides memory: the
// report is one that a parent accepts.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "supply/scan/scan.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern;
  using namespace lantern::supply;
  const format::MemorySource source("input", std::as_bytes(std::span(data, size)));
  const scan::Limits limits = {.depth_max = 3,
                               .entries = 200,
                               .entry_bytes = 1u << 20,
                               .extracted_bytes = 8u << 20,
                               .time_max = std::chrono::milliseconds(5000)};
  // The first byte's parity gives the name a role: a template that the engine would render.
  const char* name = size > 0 && data[0] % 2 == 1 ? "chat_template.jinja" : "model.bin";
  const scan::Report report = scan::scan_sources({{.path = name, .source = &source}}, limits);
  const auto read = scan::report_from_json(report_to_json(report).dump());
  if (!read.ok() || *read != report) std::abort();
  return 0;
}
