// A command of the program: one file cli/commands/<name>.cc, which defines
// `extern const Command k_<name>`. The build collects them (registry.cmake).
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace lantern::cli {

/// Exit codes, the same for every command.
enum class Exit : int {
  kDone = 0,
  kNo = 1,        // the answer is no: findings, not verified
  kBadInput = 2,  // bad input or usage
  kInconclusive = 3,
  kRefused = 4,    // by policy
  kExhausted = 5,  // too little memory or disk
  kIo = 6,         // network or I/O
  kInterrupted = 130,
};

/// The exit code of an error.
Exit exit_of(const Error& error);

/// What a command does once its options are parsed; an Error is printed and mapped by exit_of().
using Action = std::function<Result<Exit>()>;

/// What a command does with models, which says what the gate asks of it: `kUses` is refused (exit
/// 4) for a model that is not approved or is revoked, `kDescribes` shows what a file says of itself
/// or keeps records about it, `kNone` has no model. A test runs every command by it.
struct ModelAccess {
  enum Kind { kNone, kDescribes, kUses };
  constexpr ModelAccess(Kind is) : kind(is) {}  // NOLINT: implicit; and no default
  Kind kind;
};

struct Command {
  std::string_view name;
  ModelAccess access;
  std::string_view summary;   // one line, lower case, for the list of commands
  std::string_view examples;  // lines of shell, shown by --help and in the man page
  /// Adds arguments and options to `app`; the action reads what they were parsed into.
  Action (*define)(CLI::App& app);
};

/// Every command, by name.
std::span<const Command* const> all_commands();

/// The whole program: parses, runs, prints errors to stderr, returns the exit code.
int run_program(int argc, const char* const* argv);

/// The program's whole command-line interface, as completions and the man page read it.
/// `actions` receives one action a command, in the order of all_commands().
void define_program(CLI::App& app, std::vector<Action>& actions);

}  // namespace lantern::cli
