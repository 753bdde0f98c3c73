// Checked<T>: unsigned arithmetic on numbers that came from outside. An overflow
// is remembered, so that a chain of operations is checked once, at its end:
//
//   auto bytes = (Checked<uint64_t>(rows) * cols).value();
//   if (!bytes) return make_error(ErrorCode::kCorrupt, "...");
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <optional>

namespace lantern::base {

template <std::unsigned_integral T>
class Checked {
 public:
  constexpr Checked(T value) : value_(value) {}  // NOLINT: implicit, so literals mix in

  constexpr Checked operator+(Checked other) const {
    Checked result(0);
    result.overflow_ = __builtin_add_overflow(value_, other.value_, &result.value_) || overflow_ ||
                       other.overflow_;
    return result;
  }
  constexpr Checked operator-(Checked other) const {
    Checked result(0);
    result.overflow_ = __builtin_sub_overflow(value_, other.value_, &result.value_) || overflow_ ||
                       other.overflow_;
    return result;
  }
  constexpr Checked operator*(Checked other) const {
    Checked result(0);
    result.overflow_ = __builtin_mul_overflow(value_, other.value_, &result.value_) || overflow_ ||
                       other.overflow_;
    return result;
  }
  /// Division by zero counts as an overflow.
  constexpr Checked operator/(Checked other) const {
    Checked result(0);
    result.overflow_ = overflow_ || other.overflow_ || other.value_ == 0;
    if (!result.overflow_) result.value_ = static_cast<T>(value_ / other.value_);
    return result;
  }
  /// The next multiple of `alignment`, a power of two.
  [[nodiscard]] constexpr Checked align_up(T alignment) const {
    Checked result = *this + Checked(static_cast<T>(alignment - 1));
    result.value_ = static_cast<T>(result.value_ & ~static_cast<T>(alignment - 1));
    return result;
  }

  [[nodiscard]] constexpr std::optional<T> value() const {
    return overflow_ ? std::nullopt : std::optional<T>(value_);
  }
  /// The value as another integer type, if it fits.
  template <std::integral U>
  [[nodiscard]] constexpr std::optional<U> value_as() const {
    if (overflow_ || value_ > static_cast<std::make_unsigned_t<U>>(std::numeric_limits<U>::max()))
      return std::nullopt;
    return static_cast<U>(value_);
  }

 private:
  T value_ = 0;
  bool overflow_ = false;
};

using CheckedSize = Checked<uint64_t>;

}  // namespace lantern::base
