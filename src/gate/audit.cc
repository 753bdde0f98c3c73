#include "gate/audit.h"

#include "base/hash.h"
#include "base/paths.h"

namespace lantern::gate {

Result<AuditPlaces> audit_places() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return AuditPlaces{.log = folders.state / "audit",
                     .anchor = folders.state / "audit-anchor" / "checkpoint",
                     .spool = folders.state / "audit-spool"};
}

namespace {

Result<audit::LogKeys> log_keys(const audit::KeyRing& ring) {
  LANTERN_ASSIGN(base::PrivateKey signer, ring.signing_key(audit::KeyPurpose::kLog));
  LANTERN_ASSIGN(std::vector<base::PublicKey> known, ring.public_keys(audit::KeyPurpose::kLog));
  return audit::LogKeys{.signer = std::move(signer), .known = std::move(known)};
}

}  // namespace

Result<AuditLog> AuditLog::of_user(std::vector<audit::KeptHead> kept) {
  LANTERN_ASSIGN(const AuditPlaces places, audit_places());
  LANTERN_ASSIGN(const audit::KeyRing ring, audit::KeyRing::of_user());
  LANTERN_ASSIGN(audit::LogKeys keys, log_keys(ring));
  LANTERN_ASSIGN(audit::SecretKey digest_key, ring.digest_key());
  // Unique without a network name, and unrelated to the machine's.
  std::string origin = "lantern-audit/" + base::to_hex(keys.signer.public_key().id()).substr(0, 16);
  LANTERN_ASSIGN(auto log, audit::Log::open({.folder = places.log,
                                             .anchor = places.anchor,
                                             .kept = std::move(kept),
                                             .spool = places.spool,
                                             .origin = std::move(origin),
                                             .keys = std::move(keys),
                                             .keys_now = [ring] { return log_keys(ring); }}));
  return AuditLog(std::move(log), std::make_shared<const audit::SecretKey>(std::move(digest_key)));
}

}  // namespace lantern::gate
