#include <algorithm>
#include <array>

#include "base/printable.h"
#include "supply/advisories/advisory.h"
#include "supply/advisories/record_reader.h"

namespace lantern::supply {
namespace {

using base::Json;

constexpr std::string_view kContext = "https://openvex.dev/ns";
constexpr std::array<std::string_view, 5> kJustifications = {
    "component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist"};

constexpr std::array<VexStatus, 4> kStatuses = {VexStatus::kNotAffected, VexStatus::kFixed,
                                                VexStatus::kUnderInvestigation,
                                                VexStatus::kAffected};

/// A package URL or "sha256:HEX"; other identifiers (CPE, URLs) name nothing that we know.
Status read_identifier(const RecordReader& reader, const char* key, std::string_view text,
                       VexProduct& product) {
  constexpr std::string_view kDigest = "sha256:";
  if (text.starts_with("pkg:")) {
    auto purl = parse_package_url(text);
    if (!purl.ok()) return reader.wrong(key, purl.error().message);
    product.package_key = purl->key();
    product.version = purl->version;
  } else if (text.starts_with(kDigest)) {
    auto digest = base::digest_from_hex(text.substr(kDigest.size()));
    if (!digest.ok()) return reader.wrong(key, digest.error().message);
    product.digests.push_back(*digest);
  }
  return {};
}

/// Without its subcomponents.
Result<VexProduct> read_component(const RecordReader& reader) {
  LANTERN_TRY(reader.check_object());
  VexProduct product;
  LANTERN_ASSIGN(const std::string id, reader.text("@id"));
  LANTERN_TRY(read_identifier(reader, "@id", id, product));
  if (const Json* identifiers = reader.find("identifiers")) {
    const RecordReader inner(*identifiers, reader.inside("identifiers"));
    LANTERN_TRY(inner.check_object());
    LANTERN_ASSIGN(const std::string purl, inner.text("purl"));
    LANTERN_TRY(read_identifier(inner, "purl", purl, product));
  }
  if (const Json* hashes = reader.find("hashes")) {
    const RecordReader inner(*hashes, reader.inside("hashes"));
    LANTERN_TRY(inner.check_object());
    LANTERN_ASSIGN(const std::string hex, inner.text("sha-256"));
    if (!hex.empty()) {
      auto digest = base::digest_from_hex(hex);
      if (!digest.ok()) return inner.wrong("sha-256", digest.error().message);
      product.digests.push_back(*digest);
    }
  }
  return product;
}

Result<VexProduct> read_product(const Json& json, const std::string& where) {
  const RecordReader reader(json, where);
  LANTERN_ASSIGN(VexProduct product, read_component(reader));
  LANTERN_ASSIGN(const Json* parts, reader.list("subcomponents"));
  if (!parts) return product;
  for (const Json& part : *parts) {
    LANTERN_ASSIGN(VexProduct one,
                   read_component(RecordReader(part, reader.inside("subcomponents"))));
    product.subcomponents.push_back(std::move(one));
  }
  product.has_subcomponents = !product.subcomponents.empty();
  return product;
}

Status read_vulnerability(const RecordReader& statement, VexStatement& result) {
  const Json* vulnerability = statement.find("vulnerability");
  if (!vulnerability) return statement.wrong("vulnerability", "an object is needed");
  const RecordReader reader(*vulnerability, statement.inside("vulnerability"));
  LANTERN_TRY(reader.check_object());
  LANTERN_ASSIGN(std::string name, reader.needed_text("name"));
  LANTERN_ASSIGN(std::string id, reader.text("@id"));
  LANTERN_ASSIGN(result.vulnerabilities, reader.texts("aliases"));
  if (!id.empty()) result.vulnerabilities.push_back(std::move(id));
  result.vulnerabilities.insert(result.vulnerabilities.begin(), std::move(name));
  return {};
}

/// What a status needs beside it, so that a clearance always says why.
Status check_status(const RecordReader& reader, const VexStatement& statement) {
  if (statement.status == VexStatus::kNotAffected) {
    if (statement.justification.empty())
      return reader.wrong("justification", "a not_affected statement needs one");
    if (std::find(kJustifications.begin(), kJustifications.end(), statement.justification) ==
        kJustifications.end())
      return reader.wrong("justification", fmt::format("\"{}\" is none of OpenVEX's",
                                                       base::printable(statement.justification)));
  }
  if (statement.status == VexStatus::kAffected && statement.action.empty())
    return reader.wrong("action_statement", "an affected statement needs one");
  return {};
}

Result<VexStatement> read_statement(const Json& json, const std::string& where, Instant time) {
  const RecordReader reader(json, where);
  LANTERN_TRY(reader.check_object());
  VexStatement statement;
  LANTERN_TRY(read_vulnerability(reader, statement));
  LANTERN_ASSIGN(const std::string word, reader.needed_text("status"));
  const auto status = std::find_if(kStatuses.begin(), kStatuses.end(),
                                   [&](VexStatus one) { return vex_status_name(one) == word; });
  if (status == kStatuses.end())
    return reader.wrong("status", fmt::format("\"{}\" is no status", base::printable(word)));
  statement.status = *status;
  LANTERN_ASSIGN(statement.justification, reader.text("justification"));
  LANTERN_ASSIGN(statement.impact, reader.text("impact_statement"));
  LANTERN_ASSIGN(statement.action, reader.text("action_statement"));
  LANTERN_TRY(check_status(reader, statement));
  statement.time = time;
  for (const char* key : {"timestamp", "last_updated"}) {
    LANTERN_ASSIGN(const std::string text, reader.text(key));
    if (text.empty()) continue;
    auto own = parse_instant(text);
    if (!own.ok()) return reader.wrong(key, own.error().message);
    statement.time = *own;
  }
  LANTERN_ASSIGN(const Json* products, reader.list("products"));
  if (!products || products->empty()) return reader.wrong("products", "at least one is needed");
  for (const Json& product : *products) {
    LANTERN_ASSIGN(VexProduct one, read_product(product, reader.inside("products")));
    statement.products.push_back(std::move(one));
  }
  return statement;
}

}  // namespace

std::string_view vex_status_name(VexStatus status) {
  switch (status) {
    case VexStatus::kNotAffected:
      return "not_affected";
    case VexStatus::kFixed:
      return "fixed";
    case VexStatus::kUnderInvestigation:
      return "under_investigation";
    case VexStatus::kAffected:
      return "affected";
  }
  return "";
}

Result<VexDocument> parse_openvex(std::string_view text, std::string_view where) {
  LANTERN_ASSIGN(const Json json, parse_record(text, where));
  return read_openvex(json, where);
}

Result<VexDocument> read_openvex(const Json& json, std::string_view where) {
  const RecordReader reader(json, std::string(where));
  LANTERN_TRY(reader.check_object());
  VexDocument document;
  LANTERN_ASSIGN(const std::string context, reader.needed_text("@context"));
  if (!context.starts_with(kContext))
    return make_error(ErrorCode::kUnsupported, "{}: @context: not OpenVEX's ({})", where, kContext);
  LANTERN_ASSIGN(document.id, reader.needed_text("@id"));
  LANTERN_ASSIGN(document.author, reader.needed_text("author"));
  LANTERN_ASSIGN(document.time_text, reader.needed_text("timestamp"));
  auto issued = parse_instant(document.time_text);
  if (!issued.ok()) return reader.wrong("timestamp", issued.error().message);
  document.time = *issued;
  LANTERN_ASSIGN(const std::string updated, reader.text("last_updated"));
  if (!updated.empty()) {
    auto time = parse_instant(updated);
    if (!time.ok()) return reader.wrong("last_updated", time.error().message);
    if (*time > document.time) {
      document.time = *time;
      document.time_text = updated;
    }
  }
  const Json* version = reader.find("version");
  if (!version || !version->is_number_unsigned() || version->get<uint64_t>() < 1)
    return reader.wrong("version", "a number from 1 on is needed");
  document.version = version->get<uint64_t>();
  LANTERN_ASSIGN(const Json* statements, reader.list("statements"));
  if (!statements || statements->empty())
    return reader.wrong("statements", "at least one is needed");
  for (const Json& statement : *statements) {
    LANTERN_ASSIGN(VexStatement one,
                   read_statement(statement, reader.inside("statements"), document.time));
    document.statements.push_back(std::move(one));
  }
  return document;
}

}  // namespace lantern::supply
