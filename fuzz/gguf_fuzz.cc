// A GGUF file's header, and every getter on what it holds. What is checked besides memory: tensors
// lie inside the file, disjoint, and errors are one line that names the file.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "format/gguf.h"
#include "format/tensor_table.h"

namespace {

using namespace lantern::format;

void require(bool condition) {
  if (!condition) std::abort();
}

void check_tensors(const GgufHeader& header, size_t file_bytes) {
  std::vector<std::pair<uint64_t, uint64_t>> extents;
  for (const Tensor& tensor : header.tensors) {
    require(element_count(tensor) > 0 && tensor.bytes > 0);
    require(tensor.offset >= header.data_offset && tensor.offset <= file_bytes);
    require(tensor.bytes <= file_bytes - tensor.offset);
    extents.emplace_back(tensor.offset, tensor.offset + tensor.bytes);
  }
  std::sort(extents.begin(), extents.end());
  for (size_t i = 1; i < extents.size(); ++i) require(extents[i - 1].second <= extents[i].first);
}

void read_keys(const Metadata& metadata) {
  for (const auto& [key, entry] : metadata.all()) {
    (void)metadata.get_int(key, -5, 1000).ok();
    (void)metadata.get_float(key).ok();
    (void)metadata.get_bool(key).ok();
    (void)metadata.get_string(key).ok();
    (void)metadata.get_ints(key, 0, 255).ok();
    (void)metadata.get_ints_per_layer(key, 2, 0, 255).ok();
    (void)metadata.get_floats(key).ok();
    (void)metadata.get_bools(key).ok();
    if (auto strings = metadata.get_strings(key); strings.ok()) {
      size_t bytes = 0;
      for (std::string_view s : **strings) bytes += s.size();
      require(bytes < SIZE_MAX);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  MemorySource source("f.gguf", std::as_bytes(std::span(data, size)));
  auto header = parse_gguf(source);
  if (!header.ok()) {
    require(header.error().message.starts_with("f.gguf: "));
    require(header.error().message.find('\n') == std::string::npos);
    return 0;
  }
  check_tensors(*header, size);
  read_keys(header->metadata);
  return 0;
}
