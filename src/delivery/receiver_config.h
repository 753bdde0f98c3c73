// The [[receivers]] tables of a TOML document: where events go.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/toml_reader.h"
#include "delivery/transport.h"

namespace lantern::delivery {

struct Receiver {
  std::string name = {};  // [a-z0-9][a-z0-9_-]{0,63}; each once
  std::string kind = {};  // "json-lines", "syslog", "http"
  std::string target = {};
  uint64_t spool_bytes_max = 64u << 20;
  TransportMaker make = {};
};

inline constexpr size_t kReceiversMax = 16;
inline constexpr size_t kReceiverConfigBytesMax = 64u << 10;

/// The tables `receivers` of `root`, for a document that has other keys too; its status() says what
/// is wrong. Nothing is opened or connected.
std::vector<Receiver> read_receivers(base::TomlTable& root);

/// A document of receivers alone. kCorrupt with line and column; `what` names it.
Result<std::vector<Receiver>> parse_receivers(std::string_view toml, std::string_view what);

}  // namespace lantern::delivery
