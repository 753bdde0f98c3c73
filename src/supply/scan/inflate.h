// Deflate streams outside of archives, by zlib, within bounds.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "supply/scan/scanner.h"

namespace lantern::supply::scan {

enum class DeflateKind { kRaw, kZlib };

struct Inflated {
  std::string bytes;
  bool is_whole = false;  // the stream ended within the bound
};

/// As much as can be inflated, at most `bytes_max`; a fault in the stream ends it, no error.
Inflated inflate_prefix(std::string_view stream, DeflateKind kind, uint64_t bytes_max, Scan& scan);

}  // namespace lantern::supply::scan
