// CHECK: always on, for programmer errors only. Whatever a file, a request or an
// environment can cause is a Result (base/result.h), never a CHECK.
#pragma once

namespace lantern::base {

/// Prints file, line and condition to stderr and aborts.
[[noreturn]] void check_failed(const char* file, int line, const char* condition);

}  // namespace lantern::base

#define LANTERN_CHECK(condition)                       \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::lantern::base::check_failed(__FILE__, __LINE__, #condition))
