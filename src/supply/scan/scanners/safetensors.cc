// Safetensors: the header by format/'s own reader. Its metadata are strings that nothing runs;
// a template among them is judged as one.
#include "format/safetensors.h"

#include <cstring>
#include <string>

#include "supply/scan/scanner.h"
#include "supply/scan/template/analyze.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) {
  const std::string_view head = input.head();
  if (head.size() < 10 || head[8] != '{') return false;
  uint64_t n = 0;
  std::memcpy(&n, head.data(), sizeof n);
  return n >= 2 && n <= format::SafetensorsLimits{}.header_bytes;
}

void run(const Input& input, Scan& scan) {
  auto header = format::parse_safetensors(input.source());
  if (!header.ok()) {
    const bool is_unsupported = header.error().code == ErrorCode::kUnsupported;
    scan.add("safetensors", is_unsupported ? "safetensors-unsupported" : "safetensors-unreadable",
             is_unsupported ? Verdict::kUnsupported : Verdict::kInconclusive,
             header.error().message);
    return;
  }
  for (const auto& [key, text] : header->metadata) {
    if (!has_template_tags(text)) continue;
    const Scan::Place place(scan, key);
    scan_template(text, scan, TemplateRole::kText);
  }
}

}  // namespace

extern const Scanner k_safetensors;
const Scanner k_safetensors = {.name = "safetensors", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
