// Result<T>: a value or an Error. What is wrong with bytes from outside, with the
// machine or with a request is an Error; exceptions never cross a room.
#pragma once

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace lantern {

enum class ErrorCode {
  kInvalidArgument,  // the caller asked for something that makes no sense
  kNotFound,
  kCorrupt,      // bytes from outside contradict their format
  kUnsupported,  // valid, but not something this build can do
  kTooLarge,     // past a limit on what is read or asked for: bad input, like those above
  kDenied,       // refused by policy
  kExhausted,    // memory, disk, threads, a place in a queue: what may be free later
  kCancelled,
  kIo,        // disk, network, a remote service
  kInternal,  // a bug of ours
};

/// The name a person reads, such as "corrupt".
std::string_view error_code_name(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // one line: what, where, and what to do

  /// The same error with "context: " before its message, as a reader passes it up.
  [[nodiscard]] Error within(std::string_view context) && {
    message = fmt::format("{}: {}", context, message);
    return std::move(*this);
  }
};

/// Error(kCorrupt, "{}: tensor {} has {} dimensions", path, name, n)
template <typename... Args>
[[nodiscard]] Error make_error(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Error{code, fmt::format(format, std::forward<Args>(args)...)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& value() & {
    LANTERN_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    LANTERN_CHECK(ok());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    LANTERN_CHECK(ok());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  const Error& error() const& {
    LANTERN_CHECK(!ok());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    LANTERN_CHECK(!ok());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok(); }
  const Error& error() const& {
    LANTERN_CHECK(!ok_);
    return error_;
  }
  Error&& error() && {
    LANTERN_CHECK(!ok_);
    return std::move(error_);
  }

 private:
  Error error_;
  bool ok_ = true;
};

using Status = Result<void>;

}  // namespace lantern

// LANTERN_TRY(expression): returns the error from the enclosing function, if there is one.
// LANTERN_ASSIGN(auto x, expression): the value of a Result, or returns its error.
#define LANTERN_TRY(expression)                                     \
  do {                                                              \
    if (auto lantern_status_ = (expression); !lantern_status_.ok()) \
      return std::move(lantern_status_).error();                    \
  } while (false)
#define LANTERN_CONCAT_(a, b) a##b
#define LANTERN_CONCAT(a, b) LANTERN_CONCAT_(a, b)
#define LANTERN_ASSIGN(declaration, expression) \
  LANTERN_ASSIGN_IMPL_(LANTERN_CONCAT(lantern_result_, __LINE__), declaration, expression)
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration takes none
#define LANTERN_ASSIGN_IMPL_(result, declaration, expression) \
  auto result = (expression);                                 \
  if (!result.ok()) return std::move(result).error();         \
  declaration = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
