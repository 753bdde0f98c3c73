// What a confined child says of a model, as its parent reads it. What is checked besides memory:
// tensors hold no more than the files, errors are one line.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supply/sandbox/inspection.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern::supply;
  constexpr uint64_t kFileBytes = 1 << 20;
  const sandbox::InspectedFiles files{
      .folder = "folder", .size_of = {{"all_types.gguf", kFileBytes}, {"LICENSE", 100}}};
  const auto model = sandbox::inspection_from_bytes(
      std::string_view(reinterpret_cast<const char*>(data), size), files);
  if (!model.ok()) {
    if (model.error().message.find('\n') != std::string::npos) std::abort();
    return 0;
  }
  if (model->description.tensor_bytes > 2 * kFileBytes) std::abort();
  for (const auto& tensor : model->description.checkpoint->tensors())
    if (tensor.bytes > 2 * kFileBytes || tensor.shape.empty()) std::abort();
  return 0;
}
