#include "audit/checkpoint.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"

namespace lantern::audit {
namespace {

constexpr std::string_view kProofHead = "c2sp.org/tlog-proof@v1";
constexpr size_t kProofHashesMax = 64;

/// Takes the first line, without its break; nothing where there is none.
std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

Result<Hash> parse_hash(std::string_view base64, std::string_view what) {
  auto bytes = base::from_base64(base64);
  Hash hash;
  if (!bytes.ok() || bytes->size() != hash.size())
    return make_error(ErrorCode::kCorrupt, "{}: not a SHA-256 hash in base64", what);
  std::copy(bytes->begin(), bytes->end(), hash.begin());
  return hash;
}

}  // namespace

Result<uint64_t> parse_decimal(std::string_view digits, std::string_view what) {
  uint64_t value = 0;
  const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || fault != std::errc() || end != digits.data() + digits.size() ||
      (digits[0] == '0' && digits.size() > 1) || value >> 63 != 0)
    return make_error(ErrorCode::kCorrupt, "{}: not a number of entries", what);
  return value;
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
  return fmt::format("{}\n{}\n{}\n", checkpoint.origin, checkpoint.size,
                     base::to_base64(checkpoint.root));
}

Result<Checkpoint> parse_checkpoint_text(std::string_view text, std::string_view what) {
  Checkpoint checkpoint;
  checkpoint.origin = take_line(text);
  if (checkpoint.origin.empty())
    return make_error(ErrorCode::kCorrupt, "{}: a checkpoint without its origin", what);
  LANTERN_ASSIGN(checkpoint.size, parse_decimal(take_line(text), what));
  LANTERN_ASSIGN(checkpoint.root, parse_hash(take_line(text), what));
  if (!text.empty())
    return make_error(ErrorCode::kUnsupported, "{}: a checkpoint with extension lines", what);
  if (checkpoint.size == 0 && checkpoint.root != empty_root())
    return make_error(ErrorCode::kCorrupt, "{}: a root of no entries that is not the empty one",
                      what);
  return checkpoint;
}

Result<SignedCheckpoint> sign_checkpoint(const Checkpoint& checkpoint,
                                         const base::PrivateKey& key) {
  LANTERN_ASSIGN(const Note note, sign_note(checkpoint_text(checkpoint), checkpoint.origin, key));
  return SignedCheckpoint{checkpoint, format_note(note)};
}

Result<SignedCheckpoint> open_checkpoint(std::string_view bytes, std::string_view what,
                                         std::span<const base::PublicKey> keys,
                                         std::span<const NoteVerifier> witnesses) {
  LANTERN_ASSIGN(const Note note, parse_note(bytes, what));
  LANTERN_ASSIGN(Checkpoint checkpoint, parse_checkpoint_text(note.text, what));
  std::vector<NoteVerifier> verifiers(witnesses.begin(), witnesses.end());
  for (const base::PublicKey& key : keys) {
    auto verifier = NoteVerifier::create(checkpoint.origin, key);
    if (verifier.ok()) verifiers.push_back(*std::move(verifier));
  }
  LANTERN_ASSIGN(const std::vector<size_t> signers, note_signers(note, verifiers, what));
  if (signers.empty())
    return make_error(ErrorCode::kCorrupt,
                      "{}: signed by none of the known keys of {}; give the log's public key", what,
                      checkpoint.origin);
  return SignedCheckpoint{std::move(checkpoint), std::string(bytes)};
}

std::string format_proof(const InclusionProof& proof) {
  std::string text = fmt::format("{}\n", kProofHead);
  if (!proof.extra.empty()) text += fmt::format("extra {}\n", base::to_base64(proof.extra));
  text += fmt::format("index {}\n", proof.index);
  for (const Hash& hash : proof.hashes) text += base::to_base64(hash) + "\n";
  return text + "\n" + proof.checkpoint;
}

Result<InclusionProof> parse_proof(std::string_view text, std::string_view what) {
  if (take_line(text) != kProofHead)
    return make_error(ErrorCode::kCorrupt, "{}: no proof: its first line is not {}", what,
                      kProofHead);
  std::string_view line = take_line(text);
  InclusionProof proof;
  if (line.starts_with("extra ")) {
    auto extra = base::from_base64(line.substr(6));
    if (!extra.ok()) return std::move(extra).error().within(what);
    proof.extra.assign(reinterpret_cast<const char*>(extra->data()), extra->size());
    line = take_line(text);
  }
  if (!line.starts_with("index "))
    return make_error(ErrorCode::kCorrupt, "{}: no index line", what);
  LANTERN_ASSIGN(proof.index, parse_decimal(line.substr(6), what));
  for (line = take_line(text); !line.empty(); line = take_line(text)) {
    if (proof.hashes.size() == kProofHashesMax)
      return make_error(ErrorCode::kCorrupt, "{}: more than {} hashes", what, kProofHashesMax);
    LANTERN_ASSIGN(const Hash hash, parse_hash(line, what));
    proof.hashes.push_back(hash);
  }
  if (text.size() > kNoteBytesMax)
    return make_error(ErrorCode::kCorrupt, "{}: too large for a checkpoint", what);
  proof.checkpoint = text;
  return proof;
}

}  // namespace lantern::audit
