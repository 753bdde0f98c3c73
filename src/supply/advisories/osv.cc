#include <algorithm>

#include "base/printable.h"
#include "supply/advisories/advisory.h"
#include "supply/advisories/record_reader.h"

namespace lantern::supply {
namespace {

using base::Json;

constexpr std::string_view kDigestPrefix = "sha256:";
constexpr size_t kIdBytesMax = 200;

/// Ids are shown, compared and written to files: the letters that the schema's databases use.
bool is_advisory_id(std::string_view id) {
  return !id.empty() && id.size() <= kIdBytesMax && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._:-+/").find(c) != std::string_view::npos;
  });
}

/// database_specific.sha256: one digest or a list, each with or without "sha256:".
Result<std::vector<base::Digest>> digests_of(const RecordReader& record) {
  std::vector<base::Digest> digests;
  const Json* specific = record.find("database_specific");
  if (!specific) return digests;
  const RecordReader reader(*specific, record.inside("database_specific"));
  LANTERN_TRY(reader.check_object());
  const Json* member = reader.find("sha256");
  if (!member) return digests;
  std::vector<std::string> texts;
  if (member->is_string()) {
    LANTERN_ASSIGN(std::string one, reader.needed_text("sha256"));
    texts.push_back(std::move(one));
  } else {
    LANTERN_ASSIGN(texts, reader.texts("sha256"));
  }
  for (std::string_view text : texts) {
    if (text.starts_with(kDigestPrefix)) text.remove_prefix(kDigestPrefix.size());
    auto digest = base::digest_from_hex(text);
    if (!digest.ok()) return reader.wrong("sha256", digest.error().message);
    digests.push_back(*digest);
  }
  return digests;
}

/// severity[]: vectors as they stand; "Ubuntu" entries are labels.
Status read_severity(const RecordReader& record, std::vector<std::string>& cvss,
                     std::optional<Severity>& label) {
  LANTERN_ASSIGN(const Json* list, record.list("severity"));
  if (!list) return {};
  for (const Json& entry : *list) {
    const RecordReader one(entry, record.inside("severity"));
    LANTERN_TRY(one.check_object());
    LANTERN_ASSIGN(const std::string type, one.needed_text("type"));
    LANTERN_ASSIGN(std::string score, one.needed_text("score"));
    if (type == "Ubuntu") {
      label = severity_from_name(score);
      if (!label) return one.wrong("score", "no severity that Ubuntu has");
    } else if (type == "CVSS_V2" || type == "CVSS_V3" || type == "CVSS_V4") {
      cvss.push_back(std::move(score));
    } else {
      return one.wrong("type", "neither CVSS_V2, CVSS_V3, CVSS_V4 nor Ubuntu");
    }
  }
  return {};
}

/// database_specific.severity, as GitHub's records have it. Other texts there say nothing.
std::optional<Severity> labelled(const RecordReader& record) {
  const Json* specific = record.find("database_specific");
  if (!specific || !specific->is_object()) return std::nullopt;
  const auto at = specific->find("severity");
  if (at == specific->end() || !at->is_string()) return std::nullopt;
  return severity_from_name(at->get_ref<const std::string&>());
}

Result<OsvEvent> read_event(const Json& json, const std::string& where) {
  const RecordReader reader(json, where);
  LANTERN_TRY(reader.check_object());
  static constexpr std::pair<const char*, OsvEvent::Kind> kKinds[] = {
      {"introduced", OsvEvent::Kind::kIntroduced},
      {"fixed", OsvEvent::Kind::kFixed},
      {"last_affected", OsvEvent::Kind::kLastAffected},
      {"limit", OsvEvent::Kind::kLimit}};
  std::optional<OsvEvent> event;
  for (const auto& [key, kind] : kKinds) {
    if (!reader.find(key)) continue;
    if (event) return reader.wrong(key, "a second event in one object");
    LANTERN_ASSIGN(std::string value, reader.needed_text(key));
    event = OsvEvent{.kind = kind, .value = std::move(value)};
  }
  if (!event)
    return make_error(ErrorCode::kCorrupt, "{}: neither introduced, fixed, last_affected nor limit",
                      where);
  return *event;
}

Result<OsvRange> read_range(const Json& json, const std::string& where) {
  const RecordReader reader(json, where);
  LANTERN_TRY(reader.check_object());
  OsvRange range;
  LANTERN_ASSIGN(const std::string type, reader.needed_text("type"));
  if (type == "GIT") {
    range.type = OsvRange::Type::kGit;
    LANTERN_ASSIGN(range.repo, reader.needed_text("repo"));
  } else if (type == "SEMVER") {
    range.type = OsvRange::Type::kSemver;
  } else if (type == "ECOSYSTEM") {
    range.type = OsvRange::Type::kEcosystem;
  } else {
    return reader.wrong("type", "neither GIT, SEMVER nor ECOSYSTEM");
  }
  LANTERN_ASSIGN(const Json* events, reader.list("events"));
  if (!events || events->empty()) return reader.wrong("events", "at least one is needed");
  bool introduced = false, fixed = false, last_affected = false;
  for (const Json& event : *events) {
    LANTERN_ASSIGN(OsvEvent one, read_event(event, reader.inside("events")));
    introduced |= one.kind == OsvEvent::Kind::kIntroduced;
    fixed |= one.kind == OsvEvent::Kind::kFixed;
    last_affected |= one.kind == OsvEvent::Kind::kLastAffected;
    range.events.push_back(std::move(one));
  }
  if (!introduced) return reader.wrong("events", "no introduced");
  if (fixed && last_affected) return reader.wrong("events", "both fixed and last_affected");
  return range;
}

Status read_package(const RecordReader& entry, OsvAffected& affected) {
  const Json* package = entry.find("package");
  if (!package) return {};
  const RecordReader reader(*package, entry.inside("package"));
  LANTERN_TRY(reader.check_object());
  LANTERN_ASSIGN(affected.ecosystem, reader.needed_text("ecosystem"));
  LANTERN_ASSIGN(const std::string name, reader.needed_text("name"));
  LANTERN_ASSIGN(const std::string purl, reader.text("purl"));
  if (!purl.empty()) {
    auto parsed = parse_package_url(purl);
    if (!parsed.ok()) return reader.wrong("purl", parsed.error().message);
    affected.package_key = parsed->key();
    affected.package_version = parsed->version;
  } else if (affected.ecosystem == "PyPI") {
    affected.package_key = PackageUrl{.type = "pypi", .name_space = {}, .name = name}.key();
  } else if (affected.ecosystem == "Hugging Face" || affected.ecosystem == "HuggingFace") {
    // Not of the schema's list yet, and unmistakable.
    affected.package_key = PackageUrl{.type = "huggingface", .name_space = {}, .name = name}.key();
  }
  return {};
}

Result<OsvAffected> read_affected(const Json& json, const std::string& where) {
  const RecordReader reader(json, where);
  LANTERN_TRY(reader.check_object());
  OsvAffected affected;
  LANTERN_TRY(read_package(reader, affected));
  LANTERN_TRY(read_severity(reader, affected.cvss, affected.severity));
  if (!affected.severity) affected.severity = labelled(reader);
  LANTERN_ASSIGN(const Json* ranges, reader.list("ranges"));
  if (ranges)
    for (const Json& range : *ranges) {
      LANTERN_ASSIGN(OsvRange one, read_range(range, reader.inside("ranges")));
      affected.ranges.push_back(std::move(one));
    }
  LANTERN_ASSIGN(affected.digests, digests_of(reader));
  LANTERN_ASSIGN(std::vector<std::string> versions, reader.texts("versions"));
  for (std::string& version : versions) {
    if (!version.starts_with(kDigestPrefix)) {
      affected.versions.push_back(std::move(version));
      continue;
    }
    auto digest = base::digest_from_hex(std::string_view(version).substr(kDigestPrefix.size()));
    if (!digest.ok()) return reader.wrong("versions", digest.error().message);
    affected.digests.push_back(*digest);
  }
  return affected;
}

Status read_references(const RecordReader& record, std::vector<std::string>& references) {
  LANTERN_ASSIGN(const Json* list, record.list("references"));
  if (!list) return {};
  for (const Json& entry : *list) {
    const RecordReader one(entry, record.inside("references"));
    LANTERN_TRY(one.check_object());
    LANTERN_ASSIGN(std::string url, one.needed_text("url"));
    references.push_back(std::move(url));
  }
  return {};
}

/// The worst of the labels and vectors; a record without any stays unknown.
Severity overall(const std::vector<std::string>& cvss, std::optional<Severity> label) {
  if (label) return *label;
  std::optional<Severity> worst;
  for (const std::string& vector : cvss)
    if (const auto one = cvss_severity(vector); one && (!worst || *one > *worst)) worst = one;
  return worst.value_or(Severity::kUnknown);
}

}  // namespace

Result<Advisory> parse_osv(std::string_view text, std::string_view where) {
  LANTERN_ASSIGN(const Json json, parse_record(text, where));
  return read_osv(json, where);
}

Result<Advisory> read_osv(const Json& json, std::string_view where) {
  const RecordReader reader(json, std::string(where));
  LANTERN_TRY(reader.check_object());
  Advisory advisory;
  LANTERN_ASSIGN(advisory.id, reader.needed_text("id"));
  if (!is_advisory_id(advisory.id))
    return reader.wrong("id", "letters, digits and . _ : - + / are needed, at most 200");
  LANTERN_ASSIGN(const std::string version, reader.text("schema_version"));
  if (!version.empty() && !version.starts_with("1."))
    return make_error(ErrorCode::kUnsupported, "{}: schema_version: only 1.x is understood, not {}",
                      where, base::printable(version, 40));
  LANTERN_ASSIGN(advisory.modified_text, reader.needed_text("modified"));
  auto modified = parse_instant(advisory.modified_text);
  if (!modified.ok()) return reader.wrong("modified", modified.error().message);
  advisory.modified = *modified;
  LANTERN_ASSIGN(const std::string withdrawn, reader.text("withdrawn"));
  if (!withdrawn.empty()) {
    if (auto time = parse_instant(withdrawn); !time.ok())
      return reader.wrong("withdrawn", time.error().message);
    advisory.withdrawn = true;
  }
  LANTERN_ASSIGN(advisory.aliases, reader.texts("aliases"));
  LANTERN_ASSIGN(std::vector<std::string> upstream, reader.texts("upstream"));
  for (std::string& one : upstream) advisory.aliases.push_back(std::move(one));
  LANTERN_ASSIGN(advisory.summary, reader.text("summary"));
  std::optional<Severity> label;
  LANTERN_TRY(read_severity(reader, advisory.cvss, label));
  if (!label) label = labelled(reader);
  LANTERN_ASSIGN(advisory.digests, digests_of(reader));
  LANTERN_ASSIGN(const Json* affected, reader.list("affected"));
  if (affected)
    for (const Json& entry : *affected) {
      LANTERN_ASSIGN(OsvAffected one, read_affected(entry, reader.inside("affected")));
      advisory.affected.push_back(std::move(one));
    }
  LANTERN_TRY(read_references(reader, advisory.references));
  advisory.severity = overall(advisory.cvss, label);
  return advisory;
}

}  // namespace lantern::supply
