// serve.toml: how `lantern serve` listens and what it bounds, for a service that is started by
// others. Read strictly, as a policy is: a key that is not known is an error with its line.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace lantern::gate {

/// One of [[adapters]].
struct AdapterSetting {
  std::string name = {};
  std::string adapter = {};  // as behind --lora NAME=, its scale included
  std::string model = {};    // empty: the only one of `models`

  bool operator==(const AdapterSetting&) const = default;
};

/// What is absent was not set.
struct ServeSettings {
  struct Guess {
    std::optional<std::string> speculate = {}, draft = {};
    bool operator==(const Guess&) const = default;
  };
  // Taken at the start.
  std::optional<std::string> listen = {}, socket = {}, socket_mode = {};
  std::optional<std::string> tls_cert = {}, tls_key = {};
  std::optional<std::vector<std::string>> models = {}, insecure_listen = {};
  std::vector<AdapterSetting> adapters = {};
  std::optional<int64_t> sequences = {}, queue = {}, drain_s = {};
  Guess guess = {};
  std::map<std::string, Guess> guess_of = {};  // [model.NAME]
  // Taken whenever the file changes.
  std::optional<bool> require_keys = {};
  std::optional<std::vector<std::string>> hosts = {};
  std::optional<int64_t> header_bytes_max = {}, body_bytes_max = {}, connections_max = {};
  std::optional<int64_t> idle_s = {}, header_s = {}, body_s = {}, write_s = {};

  bool operator==(const ServeSettings&) const = default;
  /// Whether what is taken at the start is the same.
  [[nodiscard]] bool starts_as(const ServeSettings& other) const;
};

inline constexpr size_t kServeSettingsBytesMax = 64u << 10;

/// kCorrupt with line and column. `what` names the document.
Result<ServeSettings> parse_serve_settings(std::string_view toml, std::string_view what);
Result<ServeSettings> read_serve_settings(const std::filesystem::path& path);

}  // namespace lantern::gate
