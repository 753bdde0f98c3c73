// The key ring's changes and their records.
#include <filesystem>

#include "audit/key_backup.h"
#include "base/file.h"
#include "gate/audit.h"

namespace lantern::gate {
namespace {

audit::Event key_event(audit::Action action, audit::KeyPurpose purpose) {
  return {.action = action,
          .decision = audit::Decision::kRecord,
          .actor = audit::this_process(),
          .facts = {{"purpose", std::string(audit::purpose_info(purpose).name)}}};
}

}  // namespace

Result<audit::KeyInfo> create_key(audit::KeyPurpose purpose, std::string_view kind) {
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  // The log needs keys of its own to record anything, so these are made first.
  LANTERN_ASSIGN(audit::KeyInfo key, ring.create(purpose, kind));
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  audit::Event event = key_event(audit::Action::kKeyCreate, purpose);
  event.facts.push_back({"key_id", key.id});
  auto index = log.append(event);
  if (!index.ok()) return std::move(index).error();
  return key;
}

Result<base::PrivateKey> model_signing_key() {
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  const auto current = ring.current(audit::KeyPurpose::kSigning);
  if (!current.ok()) {
    if (current.error().code != ErrorCode::kNotFound) return current.error();
    if (auto made = create_key(audit::KeyPurpose::kSigning, {}); !made.ok())
      return std::move(made).error();
  }
  return ring.signing_key(audit::KeyPurpose::kSigning);
}

Result<audit::KeyInfo> rotate_key(audit::KeyPurpose purpose) {
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const audit::KeyInfo old, ring.current(purpose));
  audit::Event event = key_event(audit::Action::kKeyRotate, purpose);
  event.facts.push_back({"old_key_id", old.id});
  // Under the old log key where it is still here: it hands over. Without it the new one begins.
  const bool lost = purpose == audit::KeyPurpose::kLog && !old.has_private;
  const auto record = [&]() -> Status {
    LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
    auto index = log.append(event);
    if (!index.ok()) return std::move(index).error();
    return {};
  };
  if (!lost) LANTERN_TRY(record());
  LANTERN_ASSIGN(audit::KeyInfo fresh, ring.rotate(purpose));
  event.facts.push_back({"key_id", fresh.id});
  if (fresh.public_key) event.facts.push_back({"public_key", fresh.public_key->to_pem()});
  LANTERN_TRY(record());
  if (purpose == audit::KeyPurpose::kLog) {
    LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
    auto published = log.log().publish();
    if (!published.ok()) return std::move(published).error();
  }
  return fresh;
}

Status backup_keys(const std::filesystem::path& file, std::string_view passphrase) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(file, error)))
    return make_error(ErrorCode::kInvalidArgument, "{}: exists already; nothing is overwritten",
                      file.string());
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  LANTERN_ASSIGN(const std::vector<audit::KeyCopy> keys, ring.copies());
  LANTERN_ASSIGN(const std::string sealed, audit::seal_backup(keys, passphrase));
  const audit::Event event{.action = audit::Action::kKeyBackup,
                           .decision = audit::Decision::kAllow,
                           .actor = audit::this_process(),
                           .facts = {{"target", file.string()}}};
  auto index = log.append(event);
  if (!index.ok()) return std::move(index).error();
  LANTERN_TRY(base::write_file_atomically(file, sealed));
  std::filesystem::permissions(file, std::filesystem::perms(0600), error);
  if (error) return base::errno_error(error.value(), file.string());
  return {};
}

Result<audit::Restored> restore_keys(const std::filesystem::path& file, std::string_view passphrase,
                                     bool replace) {
  LANTERN_ASSIGN(const std::string sealed, base::read_text_file(file, audit::kBackupBytesMax));
  LANTERN_ASSIGN(const std::vector<audit::KeyCopy> keys,
                 audit::open_backup(sealed, passphrase, file.string()));
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  // The log may need the keys that come back to record anything, so they come first.
  LANTERN_ASSIGN(audit::Restored restored, ring.restore(keys, replace));
  audit::Event event{.action = audit::Action::kKeyRestore,
                     .decision = audit::Decision::kRecord,
                     .actor = audit::this_process(),
                     .facts = {{"source", file.string()},
                               {"added", static_cast<int64_t>(restored.n_added)},
                               {"completed", static_cast<int64_t>(restored.n_completed)}}};
  for (const audit::KeyPurpose purpose : restored.replaced)
    event.facts.push_back({fmt::format("replaced_{}", audit::purpose_info(purpose).name), 1});
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  auto index = log.append(event);
  if (!index.ok()) return std::move(index).error();
  return restored;
}

Result<std::string> log_vkey(const audit::KeyInfo& key) {
  LANTERN_ASSIGN(const audit::LogView view, open_audit_view({}));
  if (!key.public_key)
    return make_error(ErrorCode::kInvalidArgument, "an HMAC key has no public half");
  LANTERN_ASSIGN(const auto verifier,
                 audit::NoteVerifier::create(view.head().checkpoint.origin, *key.public_key));
  return verifier.vkey();
}

}  // namespace lantern::gate
