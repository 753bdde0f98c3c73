// Checkpoints (C2SP tlog-checkpoint) and self-contained proofs of inclusion (C2SP tlog-proof).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/merkle.h"
#include "audit/note.h"
#include "base/result.h"

namespace lantern::audit {

/// A log's head: how many entries it has and what they are. (Without extension lines.)
struct Checkpoint {
  std::string origin = {};
  uint64_t size = 0;
  Hash root = {};

  friend bool operator==(const Checkpoint&, const Checkpoint&) = default;
};

/// A checkpoint as it was read: `note` is the signed note that says so.
struct SignedCheckpoint {
  Checkpoint checkpoint = {};
  std::string note = {};
};

/// The three lines that are signed.
std::string checkpoint_text(const Checkpoint& checkpoint);
/// kCorrupt for other text; extension lines are kUnsupported, our logs write none.
Result<Checkpoint> parse_checkpoint_text(std::string_view text, std::string_view what);

Result<SignedCheckpoint> sign_checkpoint(const Checkpoint& checkpoint, const base::PrivateKey& key);
/// A checkpoint that one of `keys` signed as the log (under the name of its origin) or a witness
/// of `witnesses` cosigned. kCorrupt where neither did, or a known key's signature is wrong.
Result<SignedCheckpoint> open_checkpoint(std::string_view note, std::string_view what,
                                         std::span<const base::PublicKey> keys,
                                         std::span<const NoteVerifier> witnesses = {});

struct InclusionProof {
  std::string extra = {};  // our proofs carry the entry here; empty: no such line
  uint64_t index = 0;
  std::vector<Hash> hashes = {};
  std::string checkpoint = {};  // the signed note
};
std::string format_proof(const InclusionProof& proof);
/// kCorrupt. At most 64 hashes.
Result<InclusionProof> parse_proof(std::string_view text, std::string_view what);

/// A decimal number without leading zeros, below 2^63.
Result<uint64_t> parse_decimal(std::string_view digits, std::string_view what);

}  // namespace lantern::audit
