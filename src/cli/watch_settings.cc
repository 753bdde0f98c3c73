#include "cli/watch_settings.h"

#include <memory>

#include "base/file.h"
#include "base/toml_reader.h"

namespace lantern::cli {
namespace {

constexpr int64_t kIntervalMax = 3600;
constexpr int64_t kDay = int64_t{24} * 3600;

std::string disk_fault(std::string_view text) {
  return text.starts_with('/') && text.size() <= 4096 ? "" : "an absolute path is needed";
}

void read_seconds(base::TomlTable& table, const char* key, int64_t min, int64_t max,
                  std::chrono::seconds& into) {
  if (const auto seconds = table.integer(key, min, max)) into = std::chrono::seconds(*seconds);
}

}  // namespace

Result<WatchSettings> parse_watch_settings(std::string_view toml, std::string_view what) {
  LANTERN_ASSIGN(const std::unique_ptr<base::TomlDocument> document,
                 base::TomlDocument::parse(toml, what, kWatchSettingsBytesMax));
  base::TomlTable root = document->root();
  WatchSettings settings;
  if (auto watch = root.table("watch")) {
    read_seconds(*watch, "interval_s", 1, kIntervalMax, settings.interval);
    read_seconds(*watch, "full_interval_s", 1, kDay, settings.full_interval);
    read_seconds(*watch, "at_rest_interval_s", 1, kDay, settings.at_rest_interval);
    read_seconds(*watch, "heartbeat_s", 1, kDay, settings.heartbeat_interval);
    if (settings.full_interval < settings.interval)
      watch->wrong("full_interval_s", "is shorter than interval_s");
    settings.disk = watch->texts("disk", disk_fault).value_or(std::vector<std::string>{});
    settings.probe = watch->boolean("probe").value_or(false);
    settings.process_events = watch->boolean("process_events").value_or(true);
    watch->finish();
  }
  settings.receivers = delivery::read_receivers(root);
  root.finish();
  LANTERN_TRY(document->status());
  return settings;
}

Result<WatchSettings> read_watch_settings(const std::filesystem::path& path) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kWatchSettingsBytesMax));
  return parse_watch_settings(text, path.string());
}

}  // namespace lantern::cli
