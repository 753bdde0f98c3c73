// Follows a pickle's opcodes with a symbolic stack and memo, runs nothing, and says what a loader
// would import, call and change. All protocols (0 to 5), as pickletools in Python's library
// documents them.
//
// It goes on where a loader would fail (an empty stack, a memo never written): what ran before that
// point has run, and a reader that gives up first is one that an attacker can make give up.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "format/source.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {

struct PickleWalk {
  uint64_t end = 0;    // one past what was read
  uint64_t n_ops = 0;  // opcodes read
  uint64_t n_globals = 0;
  uint64_t n_calls = 0;
  uint64_t n_sound_calls = 0;   // those before the first place where a loader would have failed
  bool names_danger = false;    // imports or calls something malicious
  bool stopped = false;         // reached STOP
  bool malformed = false;       // went on where a loader would have failed
  bool is_torch_magic = false;  // the value is the number that begins PyTorch's legacy files
  std::optional<Error> fault;   // why it ended before STOP
};

struct PickleWalkOptions {
  Scan* scan = nullptr;  // takes findings; null: only looks whether this is a pickle
  std::string_view scanner = "pickle";
  int nesting = 0;  // pickles in strings of pickles
};

/// One pickle of `source`, from `begin` to its STOP.
PickleWalk walk_pickle(const format::Source& source, uint64_t begin,
                       const PickleWalkOptions& options);

/// All pickles from `begin` on, as files hold them one after another (PyTorch's legacy files), with
/// an inconclusive finding where the first does not end.
void scan_pickles(const format::Source& source, uint64_t begin, Scan& scan,
                  std::string_view scanner, int nesting = 0);

/// Whether the bytes from `begin` on are a pickle: a protocol mark and an opcode, or, without a
/// mark, opcodes that lead to STOP or to a call.
bool is_pickle(const format::Source& source, uint64_t begin = 0);

}  // namespace lantern::supply::scan
