// Stop strings in a stream: text is let through as soon as it cannot be part of one.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::engine {

class StopStrings {
 public:
  static constexpr size_t kStringsMax = 64;
  static constexpr size_t kBytesMax = 1024;

  /// kInvalidArgument for an empty string, one that is no UTF-8 or too long, or too many.
  static Result<StopStrings> create(std::vector<std::string> strings);

  /// Takes the next piece of text; returns what may be shown. Once a stop string is complete
  /// (the first to be, of several at once the longest) that is all before it, stopped() is true
  /// and all later text is dropped.
  std::string push(std::string_view piece);
  /// What is still held back, at the end of the text.
  std::string flush();
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// Which one it was; empty before.
  [[nodiscard]] const std::string& found() const { return found_; }

 private:
  explicit StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {}
  [[nodiscard]] size_t held_bytes() const;

  std::vector<std::string> strings_;
  std::string held_;  // shorter than the longest stop string, between calls
  bool stopped_ = false;
  std::string found_;
};

}  // namespace lantern::engine
