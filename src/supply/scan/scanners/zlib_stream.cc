// Bare zlib streams: what joblib's default compression writes.
#include <algorithm>

#include "supply/scan/inflate.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) {
  const std::string_view head = input.head();
  if (head.size() < 8) return false;
  const auto first = static_cast<unsigned char>(head[0]),
             second = static_cast<unsigned char>(head[1]);
  // RFC 1950: deflate with a window of 32 KiB, and a check over both bytes.
  return first == 0x78 && (first * 256u + second) % 31 == 0 && (second & 0x20) == 0;
}

void run(const Input& input, Scan& scan) {
  const uint64_t n = std::min(input.size(), scan.limits().entry_bytes);
  const Inflated inflated =
      inflate_prefix(input.read(0, n), DeflateKind::kZlib, scan.limits().entry_bytes, scan);
  if (inflated.bytes.size() < 2) return;  // data that only begins so
  if (!inflated.is_whole)
    scan.add("zlib", "zlib-unreadable", Verdict::kInconclusive,
             "a compressed stream that does not end, or unpacks to too much");
  scan.judge_nested("zlib", inflated.bytes, !inflated.is_whole);
}

}  // namespace

extern const Scanner k_zlib_stream;
const Scanner k_zlib_stream = {.name = "zlib", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
