// What is kept of a foreign process's command line and environment. Either can hold a prompt, a
// password or a key, so the rest is dropped before anything is stored, shown or recorded:
//
//   argv[0]        up to its first blank (a title that a process gave itself can hold anything)
//   a script       of an interpreter: argv[1] where it is the path of a program, or -m's module
//   known flags    --model, --port and alike, whose value looks like a path, a name or a number
//   variables      names alone, and only those that a runtime is known by
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lantern::sensor {

struct CommandLine {
  std::string program = {};  // argv[0]
  std::string script = {};   // "main.py", or the module of `python -m`
  std::vector<std::pair<std::string, std::string>> flags = {};  // "--port" and "8080"
  std::vector<std::string> variables = {};                      // "OLLAMA_HOST"

  /// The value of a flag, empty where it is not there.
  [[nodiscard]] std::string_view flag(std::string_view name) const;
  bool operator==(const CommandLine&) const = default;
};

/// `arguments`: as /proc/PID/cmdline holds them, each ended by a NUL.
CommandLine cut_command_line(std::string_view arguments);

/// `environment`: as /proc/PID/environ holds it.
std::vector<std::string> cut_environment(std::string_view environment);

/// The last component of a path.
std::string_view base_name(std::string_view path);

}  // namespace lantern::sensor
