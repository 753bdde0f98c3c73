// A backup of keys, as it is handed in ('f': the whole file, without its passphrase) and once it
// is decrypted ('c': what a person with the passphrase could have written). What is read whole is
// written the same again; errors are one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "audit/key_backup.h"

namespace {

using namespace lantern;
using namespace lantern::audit;

void require(bool condition) {
  if (!condition) std::abort();
}

void is_one_line(const Error& error) { require(error.message.find('\n') == std::string::npos); }

void content(std::string_view bytes) {
  const auto keys = parse_backup_content(bytes, "f");
  if (!keys.ok()) return is_one_line(keys.error());
  // The JSON inside may be written in other ways, so it is the second writing that is stable.
  const base::Secret once = backup_content(*keys);
  const auto again = parse_backup_content(once.view(), "f");
  require(again.ok() && backup_content(*again).view() == once.view());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'c') {
    content(bytes);
  } else if (const Status checked = check_backup(bytes, "f"); !checked.ok()) {
    is_one_line(checked.error());
  }
  return 0;
}
