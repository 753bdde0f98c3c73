// This program started anew as a child that is given open descriptors alone: the parent's side, and
// what any such child does before it confines itself (confine.h).
//
//   standard input       what to do, as the parent wrote it
//   descriptor 10 + i    file i, read-only
//   standard output      the answer, which the parent reads as hostile bytes
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::base {

inline constexpr int kChildFirstFd = 10;
/// Of one child, each a descriptor twice in the parent, which may have 1024; the largest models
/// have 200 shards.
inline constexpr size_t kChildFilesMax = 400;

struct ChildRun {
  std::filesystem::path program = "/proc/self/exe";
  std::string argument = {};  // by which the program's main() knows what it is to be
  std::string input = {};
  std::vector<int> files = {};           // the caller's descriptors
  std::chrono::milliseconds time_max{};  // the child's own; the parent waits 10 s longer
  size_t output_bytes_max = 0;
};

struct ChildOutput {
  std::string text;   // hostile bytes
  std::string fault;  // how it ended where it did not end well: a line for a person
};

/// Errors: kIo where no child could be started, kInvalidArgument for more than kChildFilesMax
/// files.
Result<ChildOutput> run_confined_child(const ChildRun& run);

/// In the child: all of standard input; what goes past `bytes_max` is left.
std::string read_child_input(size_t bytes_max);
/// In the child: false where nobody reads any more.
bool write_child_output(std::string_view text);

}  // namespace lantern::base
