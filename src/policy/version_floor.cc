#include "policy/version_floor.h"

namespace lantern::policy {

Status accept_version(VersionFloor& floor, const VersionSeen& seen, std::string_view what) {
  LANTERN_ASSIGN(const std::optional<VersionSeen> highest, floor.highest());
  if (!highest || seen.version > highest->version) return floor.raise(seen);
  if (seen.version < highest->version)
    return make_error(ErrorCode::kDenied, "{}: version {} is older than {}, which was in force",
                      what, seen.version, highest->version);
  if (seen.digest != highest->digest)
    return make_error(ErrorCode::kDenied,
                      "{}: another document was in force under version {}; give it the next number",
                      what, seen.version);
  return {};
}

}  // namespace lantern::policy
