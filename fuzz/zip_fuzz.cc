// A zip archive, opened and extracted. What is checked besides memory: an entry yields exactly the
// bytes it says, and errors are one line that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

#include "format/zip.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_message(const lantern::Error& error) {
  require(error.message.starts_with("f.zip: "));
  require(error.message.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern;
  using namespace lantern::format;
  const ZipLimits limits{.entry_bytes = 4 << 20, .total_bytes = 16 << 20};
  auto zip = ZipFile::open(
      std::make_unique<MemorySource>("f.zip", std::as_bytes(std::span(data, size))), limits);
  if (!zip.ok()) {
    check_message(zip.error());
    return 0;
  }
  for (const ZipEntry& entry : zip->entries()) {
    require(zip->find(entry.name) == &entry);
    (void)is_safe_path(entry.name);
    uint64_t n = 0;
    Status status = zip->extract(entry, [&](std::span<const std::byte> bytes) -> Status {
      n += bytes.size();
      require(n <= entry.size);
      return {};
    });
    if (status.ok()) {
      require(n == entry.size);
    } else {
      check_message(status.error());
    }
  }
  return 0;
}
