// A revocation list. What is checked besides memory: errors are one line that names the list, and
// a list that was read is written as one that reads the same, with every entry found.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/revocations.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lantern::policy::RevocationList;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto list = RevocationList::parse(text, "list");
  if (!list.ok()) {
    require(list.error().message.starts_with("list: "));
    require(list.error().message.find('\n') == std::string::npos);
    return 0;
  }
  const auto again = RevocationList::parse(list->to_json(), "again");
  require(again.ok() && again->to_json() == list->to_json());
  for (const auto& entry : list->entries()) require(list->find(entry.digest) != nullptr);
  return 0;
}
