#include "engine/stop_strings.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace lantern::engine {

Result<StopStrings> StopStrings::create(std::vector<std::string> strings) {
  if (strings.size() > kStringsMax)
    return make_error(ErrorCode::kInvalidArgument, "stop: {} strings, at most {} are possible",
                      strings.size(), kStringsMax);
  for (const std::string& s : strings) {
    if (s.empty()) return make_error(ErrorCode::kInvalidArgument, "stop: an empty string");
    if (!base::is_utf8(s))  // it could end within a character, and so would what is shown
      return make_error(ErrorCode::kInvalidArgument, "stop: {} is not UTF-8", base::printable(s));
    if (s.size() > kBytesMax)
      return make_error(ErrorCode::kInvalidArgument,
                        "stop: a string of {} bytes, at most {} are possible", s.size(), kBytesMax);
  }
  return StopStrings(std::move(strings));
}

std::string StopStrings::push(std::string_view piece) {
  if (stopped_) return {};
  held_.append(piece);
  // The first to be complete counts, whatever the pieces; of several at once the longest.
  size_t begin = std::string::npos, end = std::string::npos;
  for (const std::string& s : strings_) {
    const size_t at = held_.find(s);
    if (at == std::string::npos) continue;
    if (at + s.size() < end || (at + s.size() == end && at < begin)) {
      begin = at;
      end = at + s.size();
    }
  }
  if (begin != std::string::npos) {
    stopped_ = true;
    found_ = held_.substr(begin, end - begin);
    held_.resize(begin);
    return std::exchange(held_, {});
  }
  const size_t shown = held_.size() - held_bytes();
  std::string out = held_.substr(0, shown);
  held_.erase(0, shown);
  return out;
}

std::string StopStrings::flush() { return std::exchange(held_, {}); }

// The longest end of the text that begins some stop string.
size_t StopStrings::held_bytes() const {
  const std::string_view text = held_;
  size_t longest = 0;
  for (const std::string_view s : strings_) {
    for (size_t n = std::min(s.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(s.substr(0, n))) {
        longest = n;
        break;
      }
    }
  }
  return longest;
}

}  // namespace lantern::engine
