// Bytes that nobody else may see: keys, passphrases.
#pragma once

#include <string.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace lantern::base {

/// Wiped before its memory is given back; moved, never copied. Not to be printed.
class Secret {
 public:
  Secret() = default;
  /// `n` zeros, to be written through bytes().
  explicit Secret(size_t n) : bytes_(n > 0 ? std::make_unique<char[]>(n) : nullptr), size_(n) {}
  static Secret of(std::string_view text) {
    Secret secret(text.size());
    std::copy(text.begin(), text.end(), secret.bytes_.get());
    return secret;
  }
  Secret(Secret&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  Secret& operator=(Secret&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Secret() {
    if (bytes_ != nullptr) explicit_bzero(bytes_.get(), size_);
  }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<char> bytes() { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
};

}  // namespace lantern::base
