#include "policy/signed_policy.h"

#include <algorithm>

#include "base/path_stamp.h"
#include "policy/clock.h"
#include "policy/owned_folder.h"

namespace lantern::policy {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kTrustFolder = "trust";
constexpr size_t kTrustFilesMax = 256;
constexpr size_t kTrustFileBytesMax = 64u << 10;
// Base64 of the largest policy and some signatures.
constexpr size_t kEnvelopeBytesMax = 2 * kPolicyBytesMax;

base::PathStamp stamp_of(const PolicySource& source) {
  std::vector<fs::path> paths;
  std::error_code error;
  for (fs::directory_iterator entry(source.folder / kTrustFolder, error), end;
       !error && entry != end && paths.size() < kTrustFilesMax; entry.increment(error))
    paths.push_back(entry->path());
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path :
       {source.folder, source.folder / kPolicyFileName, source.folder / kTrustFolder})
    paths.push_back(path);
  base::PathStamp all;
  for (const fs::path& path : paths) {
    const base::PathStamp one = base::path_stamp(path);
    all.text += one.text;
    all.is_young = all.is_young || one.is_young;
  }
  return all;
}

Status check_times(const Policy& policy, base::UtcTime now, std::string_view what) {
  if (!policy.expires)
    return make_error(ErrorCode::kDenied, "{}: has no \"expires\", which a signed policy needs",
                      what);
  if (now >= *policy.expires)
    return make_error(ErrorCode::kDenied, "{}: expired on {}: sign a newer one", what,
                      base::format_utc(*policy.expires));
  if (policy.issued - now > kClockBehindMax)
    return make_error(ErrorCode::kDenied, "{}: issued on {}, which is yet to come", what,
                      base::format_utc(policy.issued));
  return {};
}

Status check_pins(const Policy& policy, std::string_view what) {
  if (policy.unpinned_aliases.empty()) return {};
  return make_error(ErrorCode::kCorrupt,
                    "{}: alias \"{}\" is not pinned to an id under [pins]; lantern policy sign "
                    "does that",
                    what, policy.unpinned_aliases.front());
}

}  // namespace

Result<TrustRoots> load_trust_roots(const fs::path& folder, uid_t owner) {
  LANTERN_ASSIGN(const OwnedFolder outer, OwnedFolder::open(folder, owner));
  LANTERN_ASSIGN(const OwnedFolder trust, outer.folder(kTrustFolder));
  LANTERN_ASSIGN(const std::vector<std::string> names, trust.names(kTrustFilesMax));
  TrustRoots roots;
  for (const std::string& name : names) {
    const bool is_key = name.ends_with(".pem");
    if (!is_key && !name.ends_with(".crt")) continue;
    LANTERN_ASSIGN(std::string pem, trust.read(name, kTrustFileBytesMax));
    if (!is_key) {
      roots.certificates.push_back(std::move(pem));
      continue;
    }
    const std::string where = (folder / kTrustFolder / name).string();
    LANTERN_ASSIGN(base::PublicKey key, base::PublicKey::from_pem(pem, where));
    roots.keys.push_back(std::move(key));
  }
  if (roots.keys.empty())
    return make_error(ErrorCode::kNotFound,
                      "{}: holds no public key (*.pem), so nothing is trusted",
                      (folder / kTrustFolder).string());
  return roots;
}

Result<SignedPolicy> verify_policy(std::string_view envelope_text,
                                   std::span<const base::PublicKey> trusted,
                                   const VerifyPolicy& options) {
  LANTERN_ASSIGN(base::DsseEnvelope envelope, base::parse_dsse(envelope_text, options.what));
  if (envelope.payload_type != kPolicyPayloadType)
    return make_error(ErrorCode::kCorrupt, "{}: the payload is no policy ({})", options.what,
                      kPolicyPayloadType);
  SignedPolicy result;
  result.signers = base::dsse_signers(envelope, trusted);
  // Before the text is parsed: what nobody signed is not worth a parser's time.
  if (result.signers.empty())
    return make_error(ErrorCode::kDenied, "{}: no key of the trust root signed it", options.what);
  LANTERN_ASSIGN(result.policy, parse_policy(envelope.payload, options.what));
  LANTERN_TRY(check_times(result.policy, options.now, options.what));
  LANTERN_TRY(check_pins(result.policy, options.what));
  result.digest = base::sha256(envelope.payload);
  result.text = std::move(envelope.payload);
  return result;
}

Result<std::string> sign_policy(std::string_view toml, std::string_view what,
                                const base::PrivateKey& key, const AliasResolver& resolve) {
  LANTERN_ASSIGN(const Policy policy, parse_policy(toml, what));
  if (!policy.expires)
    return make_error(ErrorCode::kInvalidArgument, "{}: \"expires\" is missing; give it an end",
                      what);
  std::string text(toml);
  std::string pins;
  for (const std::string& alias : policy.unpinned_aliases) {
    auto id = resolve(alias);
    if (!id.ok()) return std::move(id).error().within(fmt::format("{}: {}", what, alias));
    pins += fmt::format("\"{}\" = \"sha256:{}\"\n", alias, base::to_hex(*id));
  }
  if (!pins.empty() && !policy.pins.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: [pins] lacks aliases that rules name: \"{}\" first; add it or leave "
                      "[pins] out",
                      what, policy.unpinned_aliases.front());
  if (!pins.empty()) text += "\n[pins]\n" + pins;
  LANTERN_ASSIGN(const Policy pinned, parse_policy(text, what));
  LANTERN_TRY(check_pins(pinned, what));
  LANTERN_ASSIGN(const base::DsseEnvelope envelope, base::dsse_sign(kPolicyPayloadType, text, key));
  return base::dsse_to_json(envelope).dump(2) + "\n";
}

Result<SignedPolicy> load_policy(const PolicySource& source, base::UtcTime now,
                                 VersionFloor& floor) {
  LANTERN_ASSIGN(const TrustRoots roots, load_trust_roots(source.folder, source.owner));
  LANTERN_ASSIGN(const OwnedFolder folder, OwnedFolder::open(source.folder, source.owner));
  LANTERN_ASSIGN(const std::string envelope, folder.read(kPolicyFileName, kEnvelopeBytesMax));
  const std::string what = (source.folder / kPolicyFileName).string();
  LANTERN_ASSIGN(SignedPolicy loaded,
                 verify_policy(envelope, roots.keys, {.what = what, .now = now}));
  LANTERN_TRY(
      accept_version(floor, {.version = loaded.policy.version, .digest = loaded.digest}, what));
  return loaded;
}

PolicyWatcher::PolicyWatcher(PolicySource source, VersionFloor& floor)
    : source_(std::move(source)), floor_(floor) {}

PolicyWatcher::Current PolicyWatcher::current(const Result<base::UtcTime>& now) {
  const std::scoped_lock lock(mutex_);
  if (!now.ok()) return {.policy = now.error()};
  bool changed = false;
  // Taken before the reading: a change during it is seen by the next call.
  base::PathStamp newest = stamp_of(source_);
  const bool is_unread = newest.text != stamp_ || newest.is_young;
  // What failed may be mended by time alone (a policy issued in the future) or by the floor's
  // keeper, so it is tried again.
  if (is_unread || fault_ || !loaded_) {
    auto read = load_policy(source_, *now, floor_);
    stamp_ = std::move(newest.text);
    if (read.ok()) {
      changed = !loaded_ || loaded_->digest != read->digest;
      loaded_ = std::make_shared<const SignedPolicy>(std::move(read).value());
      fault_.reset();
    } else {
      changed = !fault_ || fault_->message != read.error().message;
      fault_ = read.error();
    }
  }
  if (!loaded_) return {.policy = *fault_, .warning = fault_->message, .changed = changed};
  if (const Status valid = check_times(loaded_->policy, *now, kPolicyFileName); !valid.ok())
    return {.policy = fault_ ? *fault_ : valid.error(),
            .warning = fault_ ? fault_->message : valid.error().message,
            .changed = changed};
  if (fault_)
    return {
        .policy = loaded_,
        .warning = fmt::format("{}; version {} stays in force until {}", fault_->message,
                               loaded_->policy.version, base::format_utc(*loaded_->policy.expires)),
        .changed = changed};
  return {.policy = loaded_, .warning = "", .changed = changed};
}

}  // namespace lantern::policy
