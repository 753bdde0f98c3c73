// The signed revocation list as an authority of its own: what it names must not run, whatever the
// state's records say. Read and verified once, and again when the file, the keys that the policy
// trusts for it, or the highest version seen changes.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "policy/policy.h"
#include "policy/revocations.h"

namespace lantern::gate {

/// The list in force, and one that is being imported, in the data folder.
inline constexpr std::string_view kRevocationsFile = "revocations.dsse";
inline constexpr std::string_view kIncomingRevocationsFile = "revocations.incoming.dsse";

using RevocationListPtr = std::shared_ptr<const policy::RevocationList>;

/// One thread at a time.
class RevocationListInForce {
 public:
  /// `floor`: of the versions that were ever in force.
  explicit RevocationListInForce(std::unique_ptr<policy::VersionFloor> floor)
      : floor_(std::move(floor)) {}

  /// Null where the policy has no key for lists, or none was ever in force. Errors: kDenied for one
  /// that no such key signed, that is older than the newest seen, or that is gone; kCorrupt, kIo.
  Result<RevocationListPtr> current(const policy::Policy& policy);

 private:
  Result<RevocationListPtr> read(const std::filesystem::path& folder, const policy::Policy& policy);

  std::unique_ptr<policy::VersionFloor> floor_;
  std::string stamp_;
  RevocationListPtr list_;
};

}  // namespace lantern::gate
