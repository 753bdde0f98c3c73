// Reading and checking logs for commands; writing is in audit.cc.
#include <algorithm>

#include "base/file.h"
#include "base/thread_pool.h"
#include "gate/audit.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kKeyFileBytesMax = 64u << 10;
constexpr uint64_t kProofBytesMax = 256u << 10;

/// The keys of a file: one in PEM, or verifier keys, one a line.
Status read_keys(const fs::path& path, std::vector<base::PublicKey>& keys) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kKeyFileBytesMax));
  const std::string what = path.string();
  if (text.starts_with("-----BEGIN")) {
    LANTERN_ASSIGN(base::PublicKey key, base::PublicKey::from_pem(text, what));
    keys.push_back(std::move(key));
    return {};
  }
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) continue;
    LANTERN_ASSIGN(const auto verifier, audit::NoteVerifier::from_vkey(line, what));
    keys.push_back(verifier.key());
  }
  if (keys.empty())
    return make_error(ErrorCode::kCorrupt, "{}: no public key in PEM and no verifier key", what);
  return {};
}

Result<std::vector<base::PublicKey>> keys_of(const std::vector<fs::path>& files) {
  std::vector<base::PublicKey> keys;
  if (files.empty()) {
    LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
    return ring.public_keys(audit::KeyPurpose::kLog);
  }
  for (const fs::path& file : files) LANTERN_TRY(read_keys(file, keys));
  return keys;
}

/// A witness that gave its public key alone may sign under any name that `note` shows, as either
/// kind of signature.
Result<std::vector<audit::NoteVerifier>> verifiers_of(const base::PublicKey& key,
                                                      std::string_view note,
                                                      std::string_view what) {
  LANTERN_ASSIGN(const audit::Note parsed, audit::parse_note(note, what));
  std::vector<audit::NoteVerifier> verifiers;
  for (const audit::NoteSignature& signature : parsed.signatures)
    for (const auto algorithm :
         {audit::NoteAlgorithm::kEd25519, audit::NoteAlgorithm::kCosignature}) {
      auto verifier = audit::NoteVerifier::create(signature.name, key, algorithm);
      if (verifier.ok() && verifier->key_id() == signature.key_id)
        verifiers.push_back(*std::move(verifier));
    }
  if (verifiers.empty())
    return make_error(ErrorCode::kCorrupt, "{}: bears no signature of the witness", what);
  return verifiers;
}

Result<std::vector<audit::NoteVerifier>> witnesses_of(const std::string& witness,
                                                      std::string_view note,
                                                      std::string_view what) {
  std::error_code ignored;
  std::string text = witness;
  if (fs::exists(witness, ignored)) {
    LANTERN_ASSIGN(text, base::read_text_file(witness, kKeyFileBytesMax));
  }
  if (text.starts_with("-----BEGIN")) {
    LANTERN_ASSIGN(const auto key, base::PublicKey::from_pem(text, witness));
    return verifiers_of(key, note, what);
  }
  text.erase(std::find(text.begin(), text.end(), '\n'), text.end());
  LANTERN_ASSIGN(audit::NoteVerifier verifier, audit::NoteVerifier::from_vkey(text, witness));
  return std::vector<audit::NoteVerifier>{std::move(verifier)};
}

}  // namespace

Result<audit::Verdict> check_audit_log(const AuditCheck& check) {
  // A copy of another machine's log is anybody's to check: this one's own is not looked at then.
  const bool own = check.folder.empty();
  AuditPlaces places;
  if (own) {
    LANTERN_ASSIGN(places, audit_places());
  }
  audit::VerifyOptions options{.folder = own ? places.log : check.folder};
  LANTERN_ASSIGN(options.keys, keys_of(check.keys));
  options.n_threads = base::usable_physical_cores();
  for (const fs::path& since : check.since) {
    LANTERN_ASSIGN(std::string note, base::read_text_file(since, audit::kNoteBytesMax));
    options.anchors.push_back({.note = std::move(note), .source = since.string()});
  }
  if (!check.witness.empty()) {
    std::vector<audit::Anchor> cosigned = options.anchors;
    if (cosigned.empty()) {
      const fs::path published = options.folder / audit::kCheckpointFile;
      LANTERN_ASSIGN(std::string note, base::read_text_file(published, audit::kNoteBytesMax));
      cosigned.push_back({.note = std::move(note), .source = published.string()});
    }
    for (const audit::Anchor& anchor : cosigned) {
      LANTERN_ASSIGN(const auto found, witnesses_of(check.witness, anchor.note, anchor.source));
      options.witnesses.insert(options.witnesses.end(), found.begin(), found.end());
    }
  } else if (own) {
    auto note = base::read_text_file(places.anchor, audit::kNoteBytesMax);
    if (note.ok())
      options.anchors.push_back({.note = *std::move(note), .source = places.anchor.string()});
    else if (note.error().code != ErrorCode::kNotFound)
      return std::move(note).error();
  }
  return audit::verify_log(options);
}

Result<audit::LogView> open_audit_view(const fs::path& folder) {
  if (!folder.empty()) return audit::LogView::open(folder);
  LANTERN_ASSIGN(const AuditPlaces places, audit_places());
  return audit::LogView::open(places.log);
}

Result<audit::InclusionProof> prove_entry(audit::LogView& view, uint64_t index) {
  audit::InclusionProof proof{.index = index};
  LANTERN_ASSIGN(proof.extra, view.entry(index));
  LANTERN_ASSIGN(proof.hashes, audit::inclusion_proof(view, index, view.size()));
  proof.checkpoint = view.head().note;
  // A proof that would not convince anybody says more about the log than about the entry.
  if (!audit::inclusion_holds(index, view.size(), audit::leaf_hash(proof.extra), proof.hashes,
                              view.head().checkpoint.root))
    return make_error(ErrorCode::kCorrupt,
                      "{}: entry {} does not follow from the log's head; see lantern audit verify",
                      view.folder().string(), index);
  return proof;
}

Result<ProvenEntry> check_proof(const fs::path& path, const std::vector<fs::path>& key_files) {
  const std::string what = path.string();
  LANTERN_ASSIGN(const auto keys, keys_of(key_files));
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kProofBytesMax));
  LANTERN_ASSIGN(const audit::InclusionProof proof, audit::parse_proof(text, what));
  LANTERN_ASSIGN(const auto head, audit::open_checkpoint(proof.checkpoint, what, keys));
  if (proof.extra.empty())
    return make_error(ErrorCode::kUnsupported, "{}: a proof without its entry (extra line)", what);
  if (!audit::inclusion_holds(proof.index, head.checkpoint.size, audit::leaf_hash(proof.extra),
                              proof.hashes, head.checkpoint.root))
    return make_error(ErrorCode::kCorrupt,
                      "{}: the entry is not number {} of the log that the checkpoint signs", what,
                      proof.index);
  return ProvenEntry{head.checkpoint, proof.index, proof.extra};
}

}  // namespace lantern::gate
