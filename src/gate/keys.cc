// The key ring's changes and their records.
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

Status backup_keys(const std::filesystem::path& target) {
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const AuditLog log, AuditLog::of_user());
  audit::Event event{.action = audit::Action::kKeyBackup,
                     .decision = audit::Decision::kAllow,
                     .actor = audit::this_process(),
                     .facts = {{"target", target.string()}}};
  auto index = log.append(event);
  if (!index.ok()) return std::move(index).error();
  return ring.backup(target);
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
