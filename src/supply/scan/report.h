// What a scan found: findings with a rule, a place and a message, and one verdict over them.
//
// A report crosses from the sandboxed child to its parent as JSON, and the parent trusts none of
// it: report_from_json() checks every field and bounds every length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lantern::supply::scan {

/// Ordered: the verdict of a whole is the greatest of its parts.
enum class Verdict : uint8_t {
  kClean,
  kWarn,          // worth a person's look; does not refuse
  kUnsupported,   // a format that Lantern never loads, in which nothing dangerous was found
  kInconclusive,  // could not be read to its end: counts as a no wherever it matters
  kMalicious,     // does something that no model needs
};

/// "clean", "warn", "unsupported format", "inconclusive", "malicious".
std::string_view verdict_name(Verdict verdict);
std::optional<Verdict> verdict_from_name(std::string_view name);

struct Where {
  std::string file;    // relative to what was scanned; the file's own name for a single one
  std::string nested;  // inside it: archive entries, metadata keys, joined with "!"
  std::optional<uint64_t> offset;  // in the innermost; a template's line number for templates
  bool operator==(const Where&) const = default;
};

struct Finding {
  std::string scanner;  // "pickle"
  std::string rule;     // "pickle-dangerous-call", stable: what policies and SARIF name
  Verdict verdict = Verdict::kClean;
  Where where;
  std::string message;  // one line: what, and what it would do
  bool operator==(const Finding&) const = default;
};

struct ScannedFile {
  std::string path;
  uint64_t size = 0;
  std::vector<std::string> formats;  // of the outermost layer, by content
  Verdict verdict = Verdict::kClean;
  bool operator==(const ScannedFile&) const = default;
};

struct Report {
  std::vector<ScannedFile> files;
  std::vector<Finding> findings;    // none of verdict clean
  uint64_t n_findings_dropped = 0;  // past the limit on findings
  uint64_t n_objects = 0;           // files and what was found nested in them

  [[nodiscard]] Verdict verdict() const;
  bool operator==(const Report&) const = default;
};

/// A path as a report spells it: ASCII of one line, other bytes as \x41.
std::string shown_path(std::string_view path);

/// docs/schemas/scan-model.json.
base::OrderedJson report_to_json(const Report& report);
/// kCorrupt for anything that report_to_json() does not write, kTooLarge past 64 MiB of text.
Result<Report> report_from_json(std::string_view json);
/// SARIF 2.1.0 (OASIS): one run, one result a finding.
base::OrderedJson report_to_sarif(const Report& report);

}  // namespace lantern::supply::scan
