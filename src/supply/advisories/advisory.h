// What is known against a model: records of the OSV schema 1.7.5, and OpenVEX documents that say
// how a product stands to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

/// An instant of UTC, to the nanosecond; OSV and OpenVEX times order records.
struct Instant {
  int64_t seconds = 0;
  int32_t nanoseconds = 0;
  auto operator<=>(const Instant&) const = default;
};
/// RFC 3339 with any offset. kCorrupt.
Result<Instant> parse_instant(std::string_view text);

/// kUnknown is nobody's harmless: a policy that denies from some severity on denies it too.
enum class Severity { kUnknown, kNone, kLow, kMedium, kHigh, kCritical };
/// "unknown", "none", "low", ...
std::string_view severity_name(Severity severity);
std::optional<Severity> severity_from_name(std::string_view name);  // MODERATE is medium; any case

/// The base score of a CVSS 2.0, 3.0, 3.1 or 4.0 vector by FIRST's formulas, 0 to 10 with one
/// decimal; nothing for other versions and for what is no vector.
std::optional<double> cvss_base_score(std::string_view vector);
/// Its qualitative rating.
std::optional<Severity> cvss_severity(std::string_view vector);

/// "pkg:type/namespace/name@version?qualifiers#subpath", decoded, type in lower case.
struct PackageUrl {
  std::string type = {}, name_space = {}, name = {}, version = {};
  /// type/namespace/name for comparing: lower case; PyPI's names with '-' for "_" and ".".
  [[nodiscard]] std::string key() const;
};
/// kCorrupt says what is wrong.
Result<PackageUrl> parse_package_url(std::string_view text);

struct OsvEvent {
  enum class Kind { kIntroduced, kFixed, kLastAffected, kLimit };
  Kind kind = Kind::kIntroduced;
  std::string value = {};
};

struct OsvRange {
  enum class Type { kGit, kSemver, kEcosystem };
  Type type = Type::kGit;
  std::string repo = {};  // kGit: a URL
  std::vector<OsvEvent> events = {};
};

struct OsvAffected {
  std::string package_key = {};      // PackageUrl::key(); empty: no package, or one without a purl
  std::string package_version = {};  // where the purl names one
  std::string ecosystem = {};
  std::vector<OsvRange> ranges = {};
  std::vector<std::string> versions = {};  // without those that are digests
  std::vector<base::Digest> digests = {};  // versions "sha256:…", database_specific.sha256
  std::vector<std::string> cvss = {};      // vectors, where this entry has its own
  std::optional<Severity> severity = {};   // its own label
};

struct Advisory {
  std::string id = {};
  Instant modified = {};
  std::string modified_text = {};
  bool withdrawn = false;
  std::vector<std::string> aliases = {};  // with `upstream`
  std::string summary = {};
  std::vector<std::string> cvss = {};  // vectors, as they stand
  Severity severity = Severity::kUnknown;
  std::vector<OsvAffected> affected = {};
  std::vector<base::Digest> digests = {};  // database_specific.sha256 of the record itself
  std::vector<std::string> references = {};
};

/// `text` is one OSV record. kCorrupt, kUnsupported and kTooLarge name the field.
Result<Advisory> parse_osv(std::string_view text, std::string_view where);

enum class VexStatus { kNotAffected, kFixed, kUnderInvestigation, kAffected };
/// "not_affected", ...
std::string_view vex_status_name(VexStatus status);

struct VexProduct {
  std::string package_key = {}, version = {};  // of its purl
  std::vector<base::Digest> digests = {};
  /// Whether the statement is about parts of the product alone.
  bool has_subcomponents = false;
  std::vector<VexProduct> subcomponents = {};
};

struct VexStatement {
  std::vector<std::string> vulnerabilities = {};  // its name, id and aliases
  VexStatus status = VexStatus::kUnderInvestigation;
  std::string justification = {}, impact = {}, action = {};
  Instant time = {};
  std::vector<VexProduct> products = {};
};

struct VexDocument {
  std::string id = {};
  std::string author = {};
  Instant time = {};  // the later of timestamp and last_updated
  std::string time_text = {};
  uint64_t version = 0;
  std::vector<VexStatement> statements = {};
};

/// `text` is one OpenVEX 0.2.0 document. As parse_osv(); a `not_affected` without a justification
/// is refused, and so is an `affected` without an action_statement.
Result<VexDocument> parse_openvex(std::string_view text, std::string_view where);

}  // namespace lantern::supply
