#include "policy/revocations.h"

#include <algorithm>

#include "base/dsse.h"
#include "policy/clock.h"
#include "policy/json_fields.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

Error outdated(std::string_view fault) {
  return make_error(ErrorCode::kDenied, "revocation list: {}; import a newer one", fault);
}

}  // namespace

Result<RevocationList> RevocationList::create(int64_t version, base::UtcTime issued,
                                              base::UtcTime expires,
                                              std::vector<Revocation> entries) {
  const auto wrong = [](std::string_view fault) {
    return make_error(ErrorCode::kInvalidArgument, "revocation list: {}", fault);
  };
  if (version < 1 || version > kVersionMax) return wrong("the version is not within 1 to 2^53");
  if (expires <= issued) return wrong("\"expires\" is not after \"issued\"");
  if (entries.size() > kRevocationEntriesMax)
    return wrong(fmt::format("more than {} entries", kRevocationEntriesMax));
  std::sort(entries.begin(), entries.end(),
            [](const Revocation& a, const Revocation& b) { return a.digest < b.digest; });
  for (size_t i = 0; i < entries.size(); ++i) {
    const std::string hex = base::to_hex(entries[i].digest);
    if (const std::string fault = line_fault(entries[i].reason, kLineBytesMax); !fault.empty())
      return wrong(fmt::format("{}: reason: {}", hex, fault));
    if (i > 0 && entries[i].digest == entries[i - 1].digest)
      return wrong(fmt::format("{} stands twice", hex));
  }
  RevocationList list;
  list.version_ = version;
  list.issued_ = issued;
  list.expires_ = expires;
  list.entries_ = std::move(entries);
  return list;
}

Result<RevocationList> RevocationList::parse(std::string_view json, std::string_view what) {
  LANTERN_ASSIGN(const base::Json document, parse_payload(json, what, kRevocationBytesMax));
  std::optional<Error> fault;
  JsonFields fields(document, std::string(what), fault);
  const int64_t version = fields.integer("version", 1, kVersionMax);
  const base::UtcTime issued = fields.time("issued");
  const base::UtcTime expires = fields.time("expires");
  std::vector<Revocation> entries;
  for (const base::Json& value : fields.array("entries", kRevocationEntriesMax)) {
    JsonFields entry(value, fmt::format("{}: entries: {}", what, entries.size() + 1), fault);
    entries.push_back({.digest = entry.digest("sha256"),
                       .reason = entry.line("reason", kLineBytesMax),
                       .when = entry.time("when")});
    entry.finish();
    if (fault) return *fault;
  }
  fields.finish();
  if (fault) return *fault;
  auto list = create(version, issued, expires, std::move(entries));
  if (!list.ok()) return make_error(ErrorCode::kCorrupt, "{}: {}", what, list.error().message);
  return list;
}

std::string RevocationList::to_json() const {
  base::OrderedJson entries = base::OrderedJson::array();
  for (const Revocation& entry : entries_)
    entries.push_back({{"sha256", base::to_hex(entry.digest)},
                       {"reason", entry.reason},
                       {"when", base::format_utc(entry.when)}});
  const base::OrderedJson document = {{"version", version_},
                                      {"issued", base::format_utc(issued_)},
                                      {"expires", base::format_utc(expires_)},
                                      {"entries", std::move(entries)}};
  return document.dump();
}

const Revocation* RevocationList::find(const base::Digest& digest) const {
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), digest,
      [](const Revocation& entry, const base::Digest& wanted) { return entry.digest < wanted; });
  return at != entries_.end() && at->digest == digest ? &*at : nullptr;
}

const Revocation* RevocationList::find_any(const base::Digest& id,
                                           std::span<const base::Digest> files) const {
  const Revocation* found = find(id);
  for (const base::Digest& file : files) found = found != nullptr ? found : find(file);
  return found;
}

RevocationListFacts RevocationList::facts() const {
  return {.version = version_, .issued = issued_, .expires = expires_};
}

Result<std::string> sign_revocations(const RevocationList& list, const base::PrivateKey& key) {
  LANTERN_ASSIGN(const base::DsseEnvelope envelope,
                 base::dsse_sign(kRevocationsPayloadType, list.to_json(), key));
  return base::dsse_to_json(envelope).dump() + "\n";
}

Result<RevocationList> verify_revocations(std::string_view envelope_text, std::string_view what,
                                          std::span<const base::PublicKey> trusted,
                                          VersionFloor& floor) {
  if (envelope_text.size() > kRevocationBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what,
                      envelope_text.size(), kRevocationBytesMax);
  LANTERN_ASSIGN(const base::DsseEnvelope envelope, base::parse_dsse(envelope_text, what));
  if (envelope.payload_type != kRevocationsPayloadType)
    return make_error(ErrorCode::kCorrupt, "{}: the payload is no revocation list ({})", what,
                      kRevocationsPayloadType);
  if (base::dsse_signers(envelope, trusted).empty())
    return make_error(ErrorCode::kDenied,
                      "{}: no key that the policy has for revocations signed it", what);
  LANTERN_ASSIGN(RevocationList list, RevocationList::parse(envelope.payload, what));
  LANTERN_TRY(accept_version(
      floor, {.version = list.version(), .digest = base::sha256(envelope.payload)}, what));
  return list;
}

Status check_fresh(const RevocationListFacts* list, const RevocationRequirements& requirements,
                   base::UtcTime now) {
  if (!requirements.required) return {};
  if (list == nullptr) return outdated("there is none, and the policy requires one");
  if (list->version < requirements.version_min)
    return outdated(
        fmt::format("version {}, the policy requires {}", list->version, requirements.version_min));
  if (now >= list->expires) return outdated("expired on " + base::format_utc(list->expires));
  if (list->issued - now > kClockBehindMax)
    return outdated(
        fmt::format("issued on {}, which is yet to come", base::format_utc(list->issued)));
  if (requirements.age_days_max &&
      now - list->issued > std::chrono::days(*requirements.age_days_max))
    return outdated(fmt::format("issued on {}, the policy takes {} days",
                                base::format_utc(list->issued), *requirements.age_days_max));
  return {};
}

}  // namespace lantern::policy
