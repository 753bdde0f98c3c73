#include "audit/spool.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/file.h"
#include "base/hash.h"
#include "base/paths.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;
constexpr size_t kSpooledMax = 1024;

}  // namespace

Status spool_event(const fs::path& folder, Event event) {
  base::Digest id{};
  if (RAND_bytes(reinterpret_cast<unsigned char*>(id.data()), static_cast<int>(id.size())) != 1)
    return make_error(ErrorCode::kInternal, "OpenSSL has no random numbers");
  if (event.time_ms == 0)
    event.time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(
                        std::chrono::system_clock::now().time_since_epoch())
                        .count();
  event.spool_id = base::to_hex(id).substr(0, 32);
  LANTERN_ASSIGN(const std::string line, event_to_json(event));
  LANTERN_TRY(base::make_private_folder(folder));
  // Names sort by time.
  const std::string name = fmt::format("{:020}-{}.json", event.time_ms, event.spool_id);
  return base::write_file_atomically(folder / name, line);
}

Result<std::vector<Spooled>> read_spool(const fs::path& folder) {
  std::vector<Spooled> events;
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error))
    if (at->path().extension() == ".json") files.push_back(at->path());
  if (error && error != std::errc::no_such_file_or_directory)
    return base::errno_error(error.value(), folder.string());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    if (events.size() == kSpooledMax) break;
    const auto text = base::read_text_file(file, kEntryBytesMax);
    if (!text.ok()) continue;
    auto event = event_from_json(*text, file.string());
    if (event.ok()) events.push_back({file, *std::move(event)});
  }
  return events;
}

Status remove_spooled(const fs::path& folder, const std::vector<Spooled>& events) {
  for (const Spooled& spooled : events) {
    std::error_code error;
    fs::remove(spooled.file, error);
    if (error) return base::errno_error(error.value(), spooled.file.string());
  }
  return base::sync_folder(folder);
}

}  // namespace lantern::audit
