// What one rendering may use and has used: steps, depth, memory, and the moment it sees.
#pragma once

#include <fmt/core.h>

#include <utility>

#include "base/result.h"
#include "text/chat_template.h"
#include "text/jinja/value.h"

namespace lantern::text::jinja {

class Runtime {
 public:
  Runtime(const RenderLimits& limits, const LocalTime& now)
      : limits_(limits), now_(now), heap_(limits.memory_bytes_max) {}

  [[nodiscard]] Heap& heap() { return heap_; }
  [[nodiscard]] const RenderLimits& limits() const { return limits_; }
  [[nodiscard]] const LocalTime& now() const { return now_; }

  /// Counts work done; kTooLarge where it or the memory in use passes its limit.
  [[nodiscard]] Status step(uint64_t steps = 1) {
    steps_ += steps;
    if (steps_ > limits_.steps_max || heap_.bytes_left() == 0) return past_limit();
    return {};
  }
  /// Work over that many bytes of a string.
  [[nodiscard]] Status read(size_t bytes) { return step(1 + bytes / kBytesPerStep); }

  /// One level of recursion, given back when it ends.
  class Depth {
   public:
    explicit Depth(size_t& depth) : depth_(&depth) { ++depth; }
    Depth(Depth&& other) noexcept : depth_(std::exchange(other.depth_, nullptr)) {}
    Depth& operator=(Depth&&) = delete;
    Depth(const Depth&) = delete;
    Depth& operator=(const Depth&) = delete;
    ~Depth() {
      if (depth_ != nullptr) --*depth_;
    }

   private:
    size_t* depth_;
  };
  [[nodiscard]] Result<Depth> enter() {
    if (depth_ >= limits_.depth_max) return too_deep();
    return Depth(depth_);
  }

 private:
  static constexpr size_t kBytesPerStep = 256;

  [[nodiscard]] Error past_limit() const;
  [[nodiscard]] Error too_deep() const;

  const RenderLimits limits_;
  const LocalTime now_;
  uint64_t steps_ = 0;
  size_t depth_ = 0;
  Heap heap_;
};

/// kInvalidArgument: an operation that has no meaning for its operands.
template <typename... Args>
Error type_error(fmt::format_string<Args...> format, Args&&... args) {
  return make_error(ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}
/// What using an undefined value says: its name, or what the sandbox refused.
Error undefined_error(const Value& undefined);

/// Walks what Python's iter() accepts: characters of a string, keys of a dict, ...
class Cursor {
 public:
  /// kInvalidArgument where `source` cannot be iterated.
  static Result<Cursor> over(const Value& source);
  /// The next item, or nothing at the end.
  Result<std::optional<Value>> next(Runtime& rt);
  /// Of what is left, where the source has a length.
  [[nodiscard]] const Value& source() const { return source_; }

 private:
  Value source_;
  size_t position_ = 0;
};

/// All that `value` iterates over.
Result<std::vector<Value>> items_of(Runtime& rt, const Value& value);
/// Python's len(); nothing where it has none.
std::optional<int64_t> length_of(const Value& value);

}  // namespace lantern::text::jinja
