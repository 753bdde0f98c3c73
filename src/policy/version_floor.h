// The highest version of a signed document that was ever accepted, kept by the caller where an
// attacker who can put back an old document cannot put back the memory of the new one (the
// service's state and the audit log).
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::policy {

struct VersionSeen {
  int64_t version = 0;
  base::Digest digest = {};  // SHA-256 of the payload
  bool operator==(const VersionSeen&) const = default;
};

class VersionFloor {
 public:
  virtual ~VersionFloor() = default;
  /// The highest accepted so far, if there was one. An error refuses the document.
  virtual Result<std::optional<VersionSeen>> highest() = 0;
  /// Called after a document was accepted, before it takes effect. An error refuses it.
  virtual Status raise(const VersionSeen& seen) = 0;
};

/// Within one process; what a test or a check without state uses.
class VersionFloorInMemory : public VersionFloor {
 public:
  Result<std::optional<VersionSeen>> highest() override { return highest_; }
  Status raise(const VersionSeen& seen) override {
    highest_ = seen;
    return {};
  }

 private:
  std::optional<VersionSeen> highest_;
};

/// Refuses (kDenied) a version below the highest, and another document of the same version; raises
/// the floor where it is higher. `what` names the document in messages.
Status accept_version(VersionFloor& floor, const VersionSeen& seen, std::string_view what);

}  // namespace lantern::policy
