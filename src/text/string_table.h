// StringTable: many short strings in one block of bytes. A vocabulary of 128,000 tokens
// and 280,000 merges as std::string would be 400,000 allocations' worth of objects; this is two.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace lantern::text {

class StringTable {
 public:
  /// 4 GiB of bytes in all is far above any vocabulary; push_back() ignores what would pass it
  /// and overflowed() then says so.
  void push_back(std::string_view text) {
    if (text.size() > UINT32_MAX - bytes_.size()) {
      overflowed_ = true;
      text = {};
    }
    bytes_.append(text);
    ends_.push_back(static_cast<uint32_t>(bytes_.size()));
  }
  void reserve(size_t n_strings, size_t n_bytes) {
    ends_.reserve(n_strings);
    bytes_.reserve(n_bytes);
  }

  [[nodiscard]] std::string_view operator[](size_t i) const {
    const uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }
  /// Brings string i near. Its place is read here, so this too may wait for memory once.
  void prefetch(size_t i) const { __builtin_prefetch(bytes_.data() + (i == 0 ? 0 : ends_[i - 1])); }
  [[nodiscard]] size_t size() const { return ends_.size(); }
  [[nodiscard]] bool empty() const { return ends_.empty(); }
  [[nodiscard]] size_t n_bytes() const { return bytes_.size(); }
  [[nodiscard]] bool overflowed() const { return overflowed_; }

 private:
  std::string bytes_;
  std::vector<uint32_t> ends_;
  bool overflowed_ = false;
};

}  // namespace lantern::text
