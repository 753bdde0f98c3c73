// The bytes of a pickle, read forward through a window.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/source.h"

namespace lantern::supply::scan {

class PickleInput {
 public:
  PickleInput(const format::Source& source, uint64_t begin) : source_(source), window_at_(begin) {}

  [[nodiscard]] uint64_t position() const { return window_at_ + used_; }
  [[nodiscard]] uint64_t remaining() const { return source_.size() - position(); }

  Result<uint8_t> byte() {
    LANTERN_TRY(need(1));
    return static_cast<uint8_t>(window_[used_++]);
  }
  /// A little-endian number of `n_bytes`, at most 8.
  Result<uint64_t> number(size_t n_bytes) {
    LANTERN_TRY(need(n_bytes));
    uint64_t value = 0;
    for (size_t i = 0; i < n_bytes; ++i)
      value |= static_cast<uint64_t>(static_cast<uint8_t>(window_[used_ + i])) << (8 * i);
    used_ += n_bytes;
    return value;
  }
  /// The next `n` bytes, at most kBytesMax of them; the view lives until the next call.
  Result<std::string_view> bytes(uint64_t n);
  /// What stands before the next line break, which is passed over.
  Result<std::string_view> line();
  Status skip(uint64_t n);

  static constexpr uint64_t kBytesMax = 1u << 20;

 private:
  Status need(uint64_t n);
  [[nodiscard]] Error ends() const {
    return make_error(ErrorCode::kCorrupt, "the pickle breaks off at byte {}", source_.size());
  }

  const format::Source& source_;
  std::string window_;
  uint64_t window_at_;
  uint64_t used_ = 0;
};

}  // namespace lantern::supply::scan
