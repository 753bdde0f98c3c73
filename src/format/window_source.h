// A part of another source, or all of it for a reader that owns its own.
#pragma once

#include "format/source.h"

namespace lantern::format {

/// Bytes [begin, begin + size) of `source`, which must have them and outlive it.
class WindowSource final : public Source {
 public:
  WindowSource(const Source& source, uint64_t begin, uint64_t size)
      : source_(source), begin_(begin), size_(size) {}
  explicit WindowSource(const Source& source) : WindowSource(source, 0, source.size()) {}

  [[nodiscard]] const std::string& name() const override { return source_.name(); }
  [[nodiscard]] uint64_t size() const override { return size_; }
  /// kCorrupt past its own end; else the source's errors.
  Status read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size_ || out.size() > size_ - offset)
      return make_error(ErrorCode::kCorrupt, "{}: {} bytes at {} lie past the end, {}", name(),
                        out.size(), offset, size_);
    return source_.read_at(begin_ + offset, out);
  }

 private:
  const Source& source_;
  uint64_t begin_, size_;
};

}  // namespace lantern::format
