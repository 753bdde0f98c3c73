// Whether a log is whole and unchanged: every byte of it against the hashes above, the hashes
// against signed checkpoints, and those against a checkpoint that was kept elsewhere.
//
// A copy alone cannot show that its tail was cut or that it is an old one: both agree with
// themselves. Only a checkpoint from outside its folder (an anchor, an earlier checkpoint, a
// witness's signature) does.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "base/keys.h"
#include "base/result.h"

namespace lantern::audit {

enum class Fault {
  kChangedEntry,  // an entry is not the one that was hashed
  kChangedHash,   // a tile's hash, or a root, is not that of what is below it
  kChangedFile,   // a file breaks its own form
  kMissingFile,
  kBadSignature,    // a checkpoint that no known key signed
  kCutTail,         // its own files say that it was longer
  kReplayedOldLog,  // whole, without a trace of more, but shorter than a checkpoint kept elsewhere
  kForkedLog,       // another history than a checkpoint kept elsewhere
  kAnotherLog,      // the checkpoint is of a log with another origin
};
/// "changed_entry", ...
std::string_view fault_name(Fault fault);

struct Finding {
  Fault fault = Fault::kChangedFile;
  std::string message = {};  // one line: file, what, what it means
};

/// A checkpoint that was kept outside the log's folder.
struct Anchor {
  std::string note = {};
  std::string source = {};  // as messages call it
};

struct VerifyOptions {
  std::filesystem::path folder;
  /// The log's public keys, rotated ones too.
  std::vector<base::PublicKey> keys = {};
  /// Each anchor must bear the signature of one of them, where there are any; without anchors the
  /// log's own published checkpoint must, and is the anchor.
  std::vector<NoteVerifier> witnesses = {};
  std::vector<Anchor> anchors = {};
  int n_threads = 1;
};

struct Verdict {
  std::vector<Finding> findings = {};          // none: consistent. At most 32
  Checkpoint head = {};                        // what the log says
  uint64_t n_entries = 0;                      // read and hashed
  uint64_t first_kept = 0;                     // entries before it were dropped by retention
  uint64_t drop_record = 0;                    // the entry that records it, where some were
  std::optional<uint64_t> anchored_size = {};  // entries that a checkpoint from outside covers
  std::string anchored_by = {};
  uint64_t unfinished_bytes = 0;  // of a write that no caller was answered for

  [[nodiscard]] bool consistent() const { return findings.empty(); }
};

/// Errors are for what says nothing about the log: kNotFound without a log, kIo, kInvalidArgument.
Result<Verdict> verify_log(const VerifyOptions& options);

}  // namespace lantern::audit
