// ByteReader: the one way to read hostile bytes. Little-endian; a read past the
// end is an Error that names the field and its offset, and moves nothing.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/result.h"

namespace lantern::base {

class ByteReader {
 public:
  /// Reads `bytes`, which must outlive the reader and what it returns.
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] uint64_t position() const { return position_; }
  [[nodiscard]] uint64_t remaining() const { return bytes_.size() - position_; }

  /// A little-endian number. `field` is what an error message calls it.
  template <typename T>
  requires(std::is_arithmetic_v<T>) Result<T> read(std::string_view field) {
    static_assert(std::endian::native == std::endian::little);
    if (remaining() < sizeof(T)) return truncated(field, sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  Result<std::span<const std::byte>> read_bytes(uint64_t n, std::string_view field) {
    if (remaining() < n) return truncated(field, n);
    auto view = bytes_.subspan(position_, n);
    position_ += n;
    return view;
  }

  Status seek(uint64_t position, std::string_view field) {
    if (position > bytes_.size())
      return make_error(ErrorCode::kCorrupt, "{}: offset {} lies past the end, {} bytes", field,
                        position, bytes_.size());
    position_ = position;
    return {};
  }

 private:
  [[nodiscard]] Error truncated(std::string_view field, uint64_t n) const {
    return make_error(ErrorCode::kCorrupt, "{}: needs {} bytes at offset {}, {} are left", field, n,
                      position_, remaining());
  }

  std::span<const std::byte> bytes_;
  uint64_t position_ = 0;
};

}  // namespace lantern::base
