// Threads whose start may fail: what the standard library throws then is an Error here.
#pragma once

#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "base/result.h"

namespace lantern::base {

/// A thread that runs `work`, which takes a std::stop_token or nothing. kExhausted where none is to
/// be had; `purpose` is what it was for ("watch keys").
template <typename Work>
Result<std::jthread> start_thread(std::string_view purpose, Work work) {
  try {
    return std::jthread(std::move(work));
  } catch (const std::system_error& error) {
    return make_error(ErrorCode::kExhausted, "no thread to {} with: {}", purpose, error.what());
  }
}

}  // namespace lantern::base
