#include "audit/note.h"

#include <algorithm>
#include <charconv>

#include "base/base64.h"
#include "base/hash.h"
#include "base/printable.h"

namespace lantern::audit {
namespace {

constexpr std::string_view kDash = "\xe2\x80\x94 ";  // em dash, space
constexpr size_t kSignaturesMax = 64;
constexpr size_t kEd25519Bytes = 64;

uint32_t big_endian_32(std::span<const std::byte> bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint32_t>(bytes[i]);
  return value;
}

bool is_name(std::string_view name) {
  // Unicode's other spaces are all above ASCII; names are kept to ASCII here, so none passes.
  return !name.empty() && name.size() <= 255 && std::all_of(name.begin(), name.end(), [](char c) {
    return c > ' ' && c < 127 && c != '+';
  });
}

uint32_t key_id_of(std::string_view name, NoteAlgorithm algorithm, std::span<const std::byte> raw) {
  base::Sha256 hash;
  hash.update(name);
  const std::byte middle[] = {std::byte{'\n'}, static_cast<std::byte>(algorithm)};
  hash.update(middle);
  hash.update(raw);
  return big_endian_32(hash.finish());
}

Error corrupt(std::string_view what, std::string_view fault) {
  return make_error(ErrorCode::kCorrupt, "{}: {}", what, fault);
}

/// The name of a signature line of another kind of key may be any UTF-8 without spaces.
Result<NoteSignature> parse_signature(std::string_view line, std::string_view what) {
  if (!line.starts_with(kDash)) return corrupt(what, "a signature line without its dash");
  line.remove_prefix(kDash.size());
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos)
    return corrupt(what, "a signature line without name and signature");
  NoteSignature signature{.name = std::string(line.substr(0, space))};
  if (signature.name.find('+') != std::string::npos)
    return corrupt(what, "a signature's name with a plus sign");
  LANTERN_ASSIGN(auto bytes, base::from_base64(line.substr(space + 1)));
  if (bytes.size() < 5) return corrupt(what, "a signature that is too short");
  signature.key_id = big_endian_32(bytes);
  signature.signature.assign(bytes.begin() + 4, bytes.end());
  return signature;
}

bool verifies(const Note& note, const NoteSignature& signature, const NoteVerifier& verifier) {
  const std::span<const std::byte> bytes(signature.signature);
  if (verifier.algorithm() == NoteAlgorithm::kEd25519)
    return bytes.size() == kEd25519Bytes &&
           verifier.key().verifies(std::as_bytes(std::span(note.text)), bytes);
  if (bytes.size() != 8 + kEd25519Bytes) return false;
  const uint64_t time =
      uint64_t{big_endian_32(bytes.first(4))} << 32 | big_endian_32(bytes.subspan(4, 4));
  const std::string message = fmt::format("cosignature/v1\ntime {}\n{}", time, note.text);
  return verifier.key().verifies(std::as_bytes(std::span(message)), bytes.subspan(8));
}

}  // namespace

NoteVerifier::NoteVerifier(std::string name, base::PublicKey key, NoteAlgorithm algorithm,
                           std::array<std::byte, 32> raw)
    : name_(std::move(name)),
      key_(std::move(key)),
      algorithm_(algorithm),
      raw_(raw),
      key_id_(key_id_of(name_, algorithm, raw)) {}

Result<NoteVerifier> NoteVerifier::create(std::string name, const base::PublicKey& key,
                                          NoteAlgorithm algorithm) {
  if (!is_name(name))
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\" is no key name: 1 to 255 visible ASCII characters without +",
                      base::printable(name));
  LANTERN_ASSIGN(const auto raw, key.ed25519_bytes());
  return NoteVerifier(std::move(name), key, algorithm, raw);
}

Result<NoteVerifier> NoteVerifier::from_vkey(std::string_view vkey, std::string_view what) {
  const size_t first = vkey.find('+');
  const size_t second = first == std::string_view::npos ? first : vkey.find('+', first + 1);
  if (second == std::string_view::npos || second - first != 9)
    return corrupt(what, "no verifier key (name+8 hexadecimal digits+base64)");
  uint32_t id = 0;
  const std::string_view hex = vkey.substr(first + 1, 8);
  const auto [end, fault] = std::from_chars(hex.data(), hex.data() + hex.size(), id, 16);
  if (fault != std::errc() || end != hex.data() + hex.size())
    return corrupt(what, "a verifier key whose id is not hexadecimal");
  LANTERN_ASSIGN(const auto bytes, base::from_base64(vkey.substr(second + 1)));
  if (bytes.size() != 33 || (bytes[0] != std::byte{1} && bytes[0] != std::byte{4}))
    return make_error(ErrorCode::kUnsupported,
                      "{}: a verifier key of another kind; Ed25519 notes and cosignatures are "
                      "supported",
                      what);
  LANTERN_ASSIGN(const base::PublicKey key,
                 base::PublicKey::from_ed25519(std::span<const std::byte, 32>(&bytes[1], 32)));
  LANTERN_ASSIGN(NoteVerifier verifier, create(std::string(vkey.substr(0, first)), key,
                                               static_cast<NoteAlgorithm>(bytes[0])));
  if (verifier.key_id() != id) return corrupt(what, "a verifier key whose id is not its own");
  return verifier;
}

std::string NoteVerifier::vkey() const {
  std::vector<std::byte> bytes = {static_cast<std::byte>(algorithm_)};
  bytes.insert(bytes.end(), raw_.begin(), raw_.end());
  return fmt::format("{}+{:08x}+{}", name_, key_id_, base::to_base64(bytes));
}

Result<Note> parse_note(std::string_view bytes, std::string_view what) {
  if (bytes.size() > kNoteBytesMax) return corrupt(what, "too large for a signed note");
  if (std::any_of(bytes.begin(), bytes.end(),
                  [](char c) { return static_cast<unsigned char>(c) < ' ' && c != '\n'; }))
    return corrupt(what, "a signed note with control characters");
  const size_t blank = bytes.rfind("\n\n");
  if (blank == std::string_view::npos || !bytes.ends_with('\n') || blank + 2 == bytes.size())
    return corrupt(what, "no signed note: text, an empty line, signatures");
  Note note{.text = std::string(bytes.substr(0, blank + 1))};
  std::string_view lines = bytes.substr(blank + 2);
  while (!lines.empty()) {
    if (note.signatures.size() == kSignaturesMax) return corrupt(what, "too many signatures");
    const size_t end = lines.find('\n');
    auto signature = parse_signature(lines.substr(0, end), what);
    if (!signature.ok()) {
      if (signature.error().message.starts_with(what)) return std::move(signature).error();
      return std::move(signature).error().within(what);
    }
    note.signatures.push_back(*std::move(signature));
    lines.remove_prefix(end + 1);
  }
  return note;
}

std::string format_note(const Note& note) {
  std::string out = note.text + "\n";
  for (const NoteSignature& signature : note.signatures) {
    std::vector<std::byte> bytes(4);
    for (size_t i = 0; i < 4; ++i)
      bytes[i] = static_cast<std::byte>(signature.key_id >> (24 - 8 * i));
    bytes.insert(bytes.end(), signature.signature.begin(), signature.signature.end());
    out += fmt::format("{}{} {}\n", kDash, signature.name, base::to_base64(bytes));
  }
  return out;
}

Result<Note> sign_note(std::string text, const std::string& name, const base::PrivateKey& key) {
  LANTERN_ASSIGN(const NoteVerifier verifier, NoteVerifier::create(name, key.public_key()));
  LANTERN_ASSIGN(auto signature, key.sign(std::as_bytes(std::span(text))));
  Note note{.text = std::move(text)};
  note.signatures.push_back(
      {.name = name, .key_id = verifier.key_id(), .signature = std::move(signature)});
  return note;
}

Result<std::vector<size_t>> note_signers(const Note& note, std::span<const NoteVerifier> verifiers,
                                         std::string_view what) {
  std::vector<size_t> signers;
  for (size_t i = 0; i < verifiers.size(); ++i) {
    bool verified = false;
    for (const NoteSignature& signature : note.signatures) {
      if (signature.name != verifiers[i].name() || signature.key_id != verifiers[i].key_id())
        continue;
      if (!verifies(note, signature, verifiers[i]))
        return make_error(ErrorCode::kCorrupt, "{}: the signature by {} does not verify", what,
                          signature.name);
      verified = true;
    }
    if (verified) signers.push_back(i);
  }
  return signers;
}

}  // namespace lantern::audit
