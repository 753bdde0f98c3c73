// Memory for weights and activations: whole pages, huge ones where the system has them (a stream
// over gigabytes in 4 KB pages spends its time in page walks).
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/result.h"

namespace lantern::kernels {

class HugeBuffer {
 public:
  HugeBuffer() = default;
  ~HugeBuffer() { release(); }
  HugeBuffer(HugeBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  HugeBuffer& operator=(HugeBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }

  /// Zeroed memory of at least `bytes`; what it held is dropped. kExhausted where there is none.
  Status allocate(uint64_t bytes);
  /// As allocate(), but keeps memory that is large enough as it is.
  Status reserve(uint64_t bytes) { return bytes <= capacity_ ? Status() : allocate(bytes); }

  [[nodiscard]] std::byte* data() { return data_; }
  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] uint64_t capacity() const { return capacity_; }

 private:
  void release();

  std::byte* data_ = nullptr;
  uint64_t capacity_ = 0;
};

}  // namespace lantern::kernels
