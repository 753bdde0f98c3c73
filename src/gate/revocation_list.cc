#include "gate/revocation_list.h"

#include <utility>

#include "base/file.h"
#include "base/path_stamp.h"
#include "base/paths.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// Takes the version that `floor` names and no later one: an import that died on its way counts
/// from the moment the state does.
class FirmFloor : public policy::VersionFloor {
 public:
  explicit FirmFloor(policy::VersionFloor& floor) : floor_(floor) {}
  Result<std::optional<policy::VersionSeen>> highest() override { return floor_.highest(); }
  Status raise(const policy::VersionSeen& seen) override {
    return make_error(ErrorCode::kDenied, "version {} is not in force", seen.version);
  }

 private:
  policy::VersionFloor& floor_;
};

Result<RevocationListPtr> verified(const fs::path& path, std::span<const base::PublicKey> keys,
                                   policy::VersionFloor& floor) {
  LANTERN_ASSIGN(const std::string envelope,
                 base::read_text_file(path, policy::kRevocationBytesMax));
  LANTERN_ASSIGN(policy::RevocationList list,
                 policy::verify_revocations(envelope, path.string(), keys, floor));
  return RevocationListPtr(std::make_shared<policy::RevocationList>(std::move(list)));
}

}  // namespace

Result<RevocationListPtr> RevocationListInForce::read(const fs::path& folder,
                                                      const policy::Policy& policy) {
  const auto keys = policy.keys_for(policy::KeyUse::kRevocations);
  auto list = verified(folder / kRevocationsFile, keys, *floor_);
  if (list.ok()) return list;
  FirmFloor firm(*floor_);
  if (auto incoming = verified(folder / kIncomingRevocationsFile, keys, firm); incoming.ok())
    return incoming;
  if (list.error().code != ErrorCode::kNotFound) return list;
  LANTERN_ASSIGN(const auto highest, floor_->highest());
  if (!highest) return RevocationListPtr();
  return make_error(ErrorCode::kDenied, "{}: is gone, though version {} was in force: import it",
                    (folder / kRevocationsFile).string(), highest->version);
}

Result<RevocationListPtr> RevocationListInForce::current(const policy::Policy& policy) {
  const auto keys = policy.keys_for(policy::KeyUse::kRevocations);
  if (keys.empty()) return RevocationListPtr();
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  LANTERN_ASSIGN(const auto highest, floor_->highest());
  const base::PathStamp file = base::path_stamp(folders.data / kRevocationsFile);
  std::string stamp = file.text + fmt::format("{} {}\n", highest ? highest->version : 0,
                                              highest ? base::to_hex(highest->digest) : "");
  for (const base::PublicKey& key : keys) stamp += base::to_hex(key.id()) + "\n";
  if (list_ && !file.is_young && stamp == stamp_) return list_;
  LANTERN_ASSIGN(list_, read(folders.data, policy));
  stamp_ = std::move(stamp);
  return list_;
}

}  // namespace lantern::gate
