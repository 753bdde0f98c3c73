// Runs another program: no shell, no input, a process group of its own, its output captured.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace lantern::supply {

struct ProcessOptions {
  std::vector<std::string> arguments = {};  // arguments[0] is looked up in PATH
  std::vector<std::pair<std::string, std::string>> environment = {};  // added to this process's own
  std::filesystem::path folder = {};                                  // where it runs
  std::stop_token stop = {};                                          // ends the whole group
  std::function<void()> tick = {};                                    // about every 100 ms
};

struct ProcessResult {
  int exit_status = 0;           // 128 + the signal where one ended it
  std::string output_tail = {};  // the last 64 KiB of stdout and stderr together
};

/// kNotFound where there is no such program, kCancelled when stopped.
Result<ProcessResult> run_process(const ProcessOptions& options);

}  // namespace lantern::supply
