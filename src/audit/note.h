// Signed notes and their Ed25519 keys (C2SP signed-note v1), and the witnesses' timestamped
// cosignatures over checkpoints (C2SP tlog-cosignature, cosignature/v1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/keys.h"
#include "base/result.h"

namespace lantern::audit {

/// Larger notes are not read: a checkpoint with 16 signatures is under 4 KiB.
inline constexpr size_t kNoteBytesMax = 64u << 10;

enum class NoteAlgorithm : uint8_t {
  kEd25519 = 0x01,
  kCosignature = 0x04,  // over "cosignature/v1\ntime T\n" and the note's text
};

/// A named public key that verifies signatures of notes: a "vkey".
class NoteVerifier {
 public:
  /// kInvalidArgument for an empty name or one with spaces, control characters or "+",
  /// kUnsupported for a key that is not Ed25519.
  static Result<NoteVerifier> create(std::string name, const base::PublicKey& key,
                                     NoteAlgorithm algorithm = NoteAlgorithm::kEd25519);
  /// "name+hex+base64". kCorrupt where the parts contradict each other.
  static Result<NoteVerifier> from_vkey(std::string_view vkey, std::string_view what);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const base::PublicKey& key() const { return key_; }
  [[nodiscard]] NoteAlgorithm algorithm() const { return algorithm_; }
  /// The first four bytes of SHA-256(name || 0x0A || algorithm || key), big-endian.
  [[nodiscard]] uint32_t key_id() const { return key_id_; }
  [[nodiscard]] std::string vkey() const;

 private:
  NoteVerifier(std::string name, base::PublicKey key, NoteAlgorithm algorithm,
               std::array<std::byte, 32> raw);
  std::string name_;
  base::PublicKey key_;
  NoteAlgorithm algorithm_;
  std::array<std::byte, 32> raw_;
  uint32_t key_id_ = 0;
};

struct NoteSignature {
  std::string name = {};
  uint32_t key_id = 0;
  std::vector<std::byte> signature = {};
};

struct Note {
  std::string text = {};  // with its last line break
  std::vector<NoteSignature> signatures = {};
};

/// kCorrupt, naming `what`. At most 64 signatures.
Result<Note> parse_note(std::string_view bytes, std::string_view what);
std::string format_note(const Note& note);

/// `text` (ends in a line break) signed under `name` by an Ed25519 key.
Result<Note> sign_note(std::string text, const std::string& name, const base::PrivateKey& key);

/// The indices of the `verifiers` with a signature that verifies. kCorrupt where a signature that
/// names one of them does not verify.
Result<std::vector<size_t>> note_signers(const Note& note, std::span<const NoteVerifier> verifiers,
                                         std::string_view what);

}  // namespace lantern::audit
