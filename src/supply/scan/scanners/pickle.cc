// Python pickles: files that are nothing else, and PyTorch's legacy ones.
#include "supply/scan/pickle/walker.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) {
  // A zip's mark reads as a persistent id, which no plain loader takes.
  if (input.size() < 2 || input.head().starts_with("PK\x03\x04")) return false;
  // JSON, XML, Markdown and most prose begin with a byte that is no opcode; the walker ends there.
  return is_pickle(input.source());
}

void run(const Input& input, Scan& scan) {
  scan.add("pickle", "pickle-format", Verdict::kUnsupported,
           "a Python pickle: loading one runs what it says, so Lantern never does");
  scan_pickles(input.source(), 0, scan, "pickle");
}

}  // namespace

extern const Scanner k_pickle;
const Scanner k_pickle = {.name = "pickle", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
