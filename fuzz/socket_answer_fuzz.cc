// What the service answers on its socket, as the program's own commands read it. The first byte
// says at which length the body is cut.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "server/socket_client.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const size_t step = static_cast<size_t>(data[0]) + 1;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  (void)lantern::server::parse_answer_head(text);
  (void)lantern::server::error_of({.status = 400, .body = std::string(text)});
  lantern::server::ChunkReader chunks;
  for (size_t at = 0; at < text.size() && !chunks.ended(); at += step)
    if (!chunks.take(text.substr(at, step)).ok()) break;
  return 0;
}
