// Which advisories speak of a model. Nothing is guessed: where the answer needs history that is not
// here (a git range without its repository), it is inconclusive.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "supply/advisories/advisory.h"

namespace lantern::supply {

/// The model in question.
struct AdvisorySubject {
  base::Digest id{};                           // the composition
  std::vector<base::Digest> files = {};        // of its files
  std::vector<PackageUrl> packages = {};       // with versions, where known
  std::vector<std::string> commits = {};       // of its repository: lower-case hexadecimal
  std::vector<std::string> repositories = {};  // repository_key() of each
};

/// "host/path" of a repository's URL: lower case, without scheme, user, ".git" and slashes at the
/// end; so that https, ssh and git URLs of one repository are equal. Empty for no URL.
std::string repository_key(std::string_view url);

/// Of a model as the store knows it. `source`, `revision`: Manifest's.
AdvisorySubject advisory_subject(const base::Digest& id, std::span<const base::Digest> files,
                                 std::string_view source, std::string_view revision);

enum class Standing {
  kNotAffected,   // named, but cleared: a VEX statement, a fixed commit, withdrawn
  kInconclusive,  // may be affected: policy treats it as a doubt, never as clean
  kAffected,
};
/// "not affected", "inconclusive", "affected"
std::string_view standing_name(Standing standing);

struct AdvisoryMatch {
  std::string id = {};
  std::vector<std::string> aliases = {};
  std::string summary = {};
  Standing standing = Standing::kAffected;
  std::string by = {};       // "digest", "package", "git range", "vex"
  std::string because = {};  // a line: what matched, and what cleared it
  Severity severity = Severity::kUnknown;
  std::vector<std::string> cvss = {};
  std::string modified = {};
  std::string vex = {};  // the document that decided, if one did
  std::vector<std::string> references = {};
};

/// How `advisory` stands to `subject` by itself; nothing where it does not speak of it.
std::optional<AdvisoryMatch> match_advisory(const Advisory& advisory,
                                            const AdvisorySubject& subject);

/// Changes `matches` by what `documents` state of the subject; a statement `affected` about an id
/// that no advisory here has becomes a match of its own. Of several statements about one id the
/// latest decides, of equal ones the worst.
void apply_vex(std::span<const VexDocument> documents, const AdvisorySubject& subject,
               std::vector<AdvisoryMatch>& matches);

/// 1.2 against 1.10 and the like: <0, 0, >0; nothing where either has more than numbers and dots.
std::optional<int> compare_plain_versions(std::string_view a, std::string_view b);

}  // namespace lantern::supply
