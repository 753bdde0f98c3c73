#include "quant/dtype.h"

#include <algorithm>
#include <vector>

#include "base/checked.h"

namespace lantern::quant {

// Generated from the files of formats/.
std::span<const Format* const> registered_formats();

std::span<const Format* const> all_formats() {
  static const std::vector<const Format*> sorted = [] {
    auto all = registered_formats();
    std::vector<const Format*> formats(all.begin(), all.end());
    std::sort(formats.begin(), formats.end(),
              [](const Format* a, const Format* b) { return a->type < b->type; });
    return formats;
  }();
  return sorted;
}

const Format* find_format(DType type) {
  for (const Format* format : all_formats())
    if (format->type == type) return format;
  return nullptr;
}

const Format* find_format(std::string_view name) {
  for (const Format* format : all_formats())
    if (format->name == name) return format;
  return nullptr;
}

Result<uint64_t> row_bytes(DType type, uint64_t n) {
  const Format* format = find_format(type);
  if (format == nullptr)
    return make_error(ErrorCode::kUnsupported, "tensor type {} is not supported",
                      static_cast<uint32_t>(type));
  const auto block_size = static_cast<uint64_t>(format->block_size);
  if (n % block_size != 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "a row of {} values is no multiple of {}'s block of {}", n, format->name,
                      block_size);
  auto bytes =
      (base::CheckedSize(n / block_size) * static_cast<uint64_t>(format->block_bytes)).value();
  if (!bytes)
    return make_error(ErrorCode::kInvalidArgument, "a row of {} values has too many bytes", n);
  return *bytes;
}

}  // namespace lantern::quant
