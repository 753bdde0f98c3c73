// A saved session: the file as it lies on the disk ('f'), and what it holds once it is decrypted
// ('c'). What is read whole is written the same again; errors are one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "engine/session.h"
#include "gate/session.h"

namespace {

using namespace lantern;

void require(bool condition) {
  if (!condition) std::abort();
}

void is_one_line(const Error& error) { require(error.message.find('\n') == std::string::npos); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'c') {
    const auto session = engine::read_session(bytes, "f");
    if (!session.ok()) {
      is_one_line(session.error());
      return 0;
    }
    // The JSON inside may be written in other ways, so it is the second writing that is stable.
    const std::string once = engine::write_session(*session);
    const auto again = engine::read_session(once, "f");
    require(again.ok() && engine::write_session(*again) == once);
  } else if (const Status checked = gate::check_session_file(bytes, "f"); !checked.ok()) {
    is_one_line(checked.error());
  }
  return 0;
}
