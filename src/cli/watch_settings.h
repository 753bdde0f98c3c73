// watch.toml: how `lantern watch` looks, and who is told. Read strictly: a key that is not known is
// an error with its line and column.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "delivery/receiver_config.h"

namespace lantern::cli {

struct WatchSettings {
  std::chrono::seconds interval{4};
  std::chrono::seconds full_interval{60};
  std::chrono::seconds at_rest_interval{600};
  std::chrono::seconds heartbeat_interval{3600};
  std::vector<std::string> disk = {};  // folders and files besides the model stores
  bool probe = false;
  bool process_events = true;  // ask the kernel, where it lets us
  std::vector<delivery::Receiver> receivers = {};
};

inline constexpr size_t kWatchSettingsBytesMax = 64u << 10;

/// kCorrupt with line and column. `what` names the document.
Result<WatchSettings> parse_watch_settings(std::string_view toml, std::string_view what);
Result<WatchSettings> read_watch_settings(const std::filesystem::path& path);

}  // namespace lantern::cli
