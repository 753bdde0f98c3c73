#include "supply/scan/pickle/input.h"

#include <algorithm>
#include <span>

namespace lantern::supply::scan {
namespace {

constexpr uint64_t kWindowBytes = 64u << 10;

}  // namespace

Status PickleInput::need(uint64_t n) {
  if (window_.size() - used_ >= n) return {};
  if (position() > source_.size() || remaining() < n) return ends();
  window_at_ = position();
  used_ = 0;
  window_.resize(std::min(std::max(n, kWindowBytes), source_.size() - window_at_));
  return source_.read_at(window_at_, std::as_writable_bytes(std::span(window_)));
}

Result<std::string_view> PickleInput::bytes(uint64_t n) {
  if (n > kBytesMax)
    return make_error(ErrorCode::kTooLarge, "{} bytes at once, at most {} are looked at", n,
                      kBytesMax);
  LANTERN_TRY(need(n));
  const std::string_view view = std::string_view(window_).substr(used_, n);
  used_ += n;
  return view;
}

Result<std::string_view> PickleInput::line() {
  for (uint64_t n = 256;; n *= 4) {
    n = std::min({n, kBytesMax, remaining()});
    LANTERN_TRY(need(n));
    const std::string_view view = std::string_view(window_).substr(used_, n);
    if (const size_t end = view.find('\n'); end != std::string_view::npos) {
      used_ += end + 1;
      return view.substr(0, end);
    }
    if (n == remaining()) return ends();
    if (n == kBytesMax)
      return make_error(ErrorCode::kCorrupt, "a line of more than {} bytes", kBytesMax);
  }
}

Status PickleInput::skip(uint64_t n) {
  if (n <= window_.size() - used_) {
    used_ += n;
    return {};
  }
  if (position() > source_.size() || remaining() < n) return ends();
  window_at_ = position() + n;
  used_ = 0;
  window_.clear();
  return {};
}

}  // namespace lantern::supply::scan
