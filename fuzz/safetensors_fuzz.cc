// A safetensors file's header. What is checked besides memory: the tensors' data fill the file
// from the header's end to its own, and errors are one line that names the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

#include "format/safetensors.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern::format;
  MemorySource source("f.safetensors", std::as_bytes(std::span(data, size)));
  auto header = parse_safetensors(source);
  if (!header.ok()) {
    require(header.error().message.starts_with("f.safetensors: "));
    require(header.error().message.find('\n') == std::string::npos);
    return 0;
  }
  uint64_t next = 0;
  std::memcpy(&next, data, sizeof next);
  next += sizeof next;
  for (const Tensor& tensor : header->tensors) {
    require(tensor.offset == next);
    next += tensor.bytes;
  }
  require(next == size);
  return 0;
}
