#include "supply/scan/report.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lantern::supply::scan {
namespace {

using base::Json;
using base::OrderedJson;

constexpr std::array<std::pair<Verdict, std::string_view>, 5> kNames = {{
    {Verdict::kClean, "clean"},
    {Verdict::kWarn, "warn"},
    {Verdict::kUnsupported, "unsupported format"},
    {Verdict::kInconclusive, "inconclusive"},
    {Verdict::kMalicious, "malicious"},
}};

constexpr size_t kStringBytesMax = 16u << 10;  // of one field of a report
constexpr size_t kItemsMax = 200'000;          // of one list of a report

Error bad_report(std::string_view field) {
  return make_error(ErrorCode::kCorrupt, "scan report: {}: missing or not what it should be",
                    field);
}

/// Fields of one JSON object, each looked for once; any other field is a fault.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  Result<std::string> text(const char* key) {
    const Json* value = find(key);
    if (value == nullptr || !value->is_string()) return bad_report(key);
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() > kStringBytesMax) return bad_report(key);
    return text;
  }
  Result<uint64_t> number(const char* key) {
    const Json* value = find(key);
    if (value == nullptr || !value->is_number_unsigned()) return bad_report(key);
    return value->get<uint64_t>();
  }
  Result<Verdict> verdict(const char* key) {
    LANTERN_ASSIGN(const std::string name, text(key));
    const auto verdict = verdict_from_name(name);
    if (!verdict) return bad_report(key);
    return *verdict;
  }
  Result<const Json*> list(const char* key) {
    const Json* value = find(key);
    if (value == nullptr || !value->is_array() || value->size() > kItemsMax) return bad_report(key);
    return value;
  }
  const Json* find(const char* key) {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(key);
    if (found == object_.end()) return nullptr;
    ++n_found_;
    return &*found;
  }
  [[nodiscard]] Status done(std::string_view what) const {
    if (!object_.is_object() || object_.size() != n_found_) return bad_report(what);
    return {};
  }

 private:
  const Json& object_;
  size_t n_found_ = 0;
};

Result<Finding> finding_from(const Json& json) {
  Fields fields(json);
  Finding finding;
  LANTERN_ASSIGN(finding.scanner, fields.text("scanner"));
  LANTERN_ASSIGN(finding.rule, fields.text("rule"));
  LANTERN_ASSIGN(finding.verdict, fields.verdict("verdict"));
  LANTERN_ASSIGN(finding.where.file, fields.text("file"));
  LANTERN_ASSIGN(finding.where.nested, fields.text("nested"));
  const Json* offset = fields.find("offset");
  if (offset == nullptr) return bad_report("offset");
  if (!offset->is_null()) {
    if (!offset->is_number_unsigned()) return bad_report("offset");
    finding.where.offset = offset->get<uint64_t>();
  }
  LANTERN_ASSIGN(finding.message, fields.text("message"));
  LANTERN_TRY(fields.done("finding"));
  return finding;
}

Result<ScannedFile> file_from(const Json& json) {
  Fields fields(json);
  ScannedFile file;
  LANTERN_ASSIGN(file.path, fields.text("path"));
  LANTERN_ASSIGN(file.size, fields.number("bytes"));
  LANTERN_ASSIGN(const Json* formats, fields.list("formats"));
  for (const Json& format : *formats) {
    if (!format.is_string() || format.get_ref<const std::string&>().size() > kStringBytesMax)
      return bad_report("formats");
    file.formats.push_back(format.get<std::string>());
  }
  LANTERN_ASSIGN(file.verdict, fields.verdict("verdict"));
  LANTERN_TRY(fields.done("file"));
  return file;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  for (const auto& [value, name] : kNames)
    if (value == verdict) return name;
  return "inconclusive";
}

std::optional<Verdict> verdict_from_name(std::string_view name) {
  for (const auto& [value, known] : kNames)
    if (known == name) return value;
  return std::nullopt;
}

Verdict Report::verdict() const {
  Verdict worst = Verdict::kClean;
  for (const Finding& finding : findings) worst = std::max(worst, finding.verdict);
  for (const ScannedFile& file : files) worst = std::max(worst, file.verdict);
  if (n_findings_dropped > 0) worst = std::max(worst, Verdict::kInconclusive);
  return worst;
}

OrderedJson report_to_json(const Report& report) {
  OrderedJson files = OrderedJson::array(), findings = OrderedJson::array();
  for (const ScannedFile& file : report.files)
    files.push_back({{"path", file.path},
                     {"bytes", file.size},
                     {"formats", file.formats},
                     {"verdict", verdict_name(file.verdict)}});
  for (const Finding& finding : report.findings)
    findings.push_back(
        {{"scanner", finding.scanner},
         {"rule", finding.rule},
         {"verdict", verdict_name(finding.verdict)},
         {"file", finding.where.file},
         {"nested", finding.where.nested},
         {"offset", finding.where.offset ? OrderedJson(*finding.where.offset) : OrderedJson()},
         {"message", finding.message}});
  return {{"verdict", verdict_name(report.verdict())},
          {"files", std::move(files)},
          {"findings", std::move(findings)},
          {"findings_dropped", report.n_findings_dropped},
          {"objects", report.n_objects}};
}

Result<Report> report_from_json(std::string_view text) {
  LANTERN_ASSIGN(const Json json,
                 base::parse_json(text, "scan report", {.bytes_max = 64u << 20, .depth_max = 8}));
  Fields fields(json);
  Report report;
  LANTERN_ASSIGN(const Json* files, fields.list("files"));
  for (const Json& file : *files) {
    LANTERN_ASSIGN(report.files.emplace_back(), file_from(file));
  }
  LANTERN_ASSIGN(const Json* findings, fields.list("findings"));
  for (const Json& finding : *findings) {
    LANTERN_ASSIGN(report.findings.emplace_back(), finding_from(finding));
  }
  LANTERN_ASSIGN(report.n_findings_dropped, fields.number("findings_dropped"));
  LANTERN_ASSIGN(report.n_objects, fields.number("objects"));
  // What the child says of the whole is only held against what follows from its parts.
  LANTERN_ASSIGN(const Verdict verdict, fields.verdict("verdict"));
  if (verdict != report.verdict()) return bad_report("verdict");
  LANTERN_TRY(fields.done("report"));
  return report;
}

}  // namespace lantern::supply::scan
