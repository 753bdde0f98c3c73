// Runs the program under ptrace, and kills it or acts beside it at a step of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace lantern::tests {

enum class End { kFinished, kKilled, kNotAllowed };

/// Runs lantern and kills it before its n-th change, threads included; kNotAllowed where it cannot
/// be traced, and on processors for which this was not written.
End run_and_kill(const std::vector<std::string>& arguments, int n);

struct Opened {
  bool allowed = false;  // it could be traced
  int n = 0;             // how often it looked at or opened the file
  int exit_code = -1;    // 128 + n for signal n
};
/// Calls `act` just before the program looks at or opens `file`, by this very path, for the n-th
/// time.
Opened run_and_act_at_opening(const std::vector<std::string>& arguments,
                              const std::filesystem::path& file, int n,
                              const std::function<void()>& act);

/// Kills `arguments` at every step, each time with `home` made anew as a copy of `before`; `check`
/// looks at what is left. Skips the test where tracing is not allowed.
void kill_at_every_step(const std::vector<std::string>& arguments,
                        const std::filesystem::path& before, const std::filesystem::path& home,
                        const std::function<void()>& check);

}  // namespace lantern::tests
