#include "supply/catalog.h"

#define TOML_EXCEPTIONS 0
#define TOML_ASSERT static_cast<void>  // as base/toml_reader.cc: one definition of the library
#include <toml++/toml.h>

#include <algorithm>
#include <initializer_list>

#include "base/time.h"
#include "supply/names.h"
#include "supply/reference.h"

namespace lantern::supply {
namespace {

constexpr int64_t kFileBytesMax = int64_t{1} << 44;  // 16 TiB, larger than any model

/// One table of the file, with messages that name file and key.
class Table {
 public:
  Table(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  [[nodiscard]] Error wrong(std::string_view key, std::string_view fault) const {
    return make_error(ErrorCode::kCorrupt, "{}: {}: {}", where_, key, fault);
  }
  Result<std::string> text(std::string_view key) const {
    auto value = table_[key].value_exact<std::string>();
    if (!value || value->empty()) return wrong(key, "a text is needed");
    return *value;
  }
  Result<uint64_t> bytes(std::string_view key) const {
    auto value = table_[key].value_exact<int64_t>();
    if (!value || *value <= 0 || *value > kFileBytesMax)
      return wrong(key, "a number of bytes is needed");
    return static_cast<uint64_t>(*value);
  }
  Status only(std::initializer_list<std::string_view> keys) const {
    for (const auto& [key, value] : table_)
      if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
        return wrong(key.str(), "unknown key");
    return {};
  }

 private:
  const toml::table& table_;
  std::string where_;
};

Status read_sources(const toml::table& root, const std::string& where, CatalogEntry& entry) {
  const toml::array* sources = root["sources"].as_array();
  if (!sources || sources->empty())
    return make_error(ErrorCode::kCorrupt, "{}: sources: at least one is needed", where);
  for (const auto& node : *sources) {
    if (!node.is_table())
      return make_error(ErrorCode::kCorrupt, "{}: sources: tables are needed", where);
    const toml::table& fields = *node.as_table();
    Table table(fields, where + ": sources");
    LANTERN_TRY(table.only({"reference", "download"}));
    CatalogSource source;
    LANTERN_ASSIGN(source.reference, table.text("reference"));
    auto reference = parse_reference(source.reference);
    if (!reference.ok()) return table.wrong("reference", reference.error().message);
    if (reference->kind == Reference::Kind::kAlias || reference->kind == Reference::Kind::kPath)
      return table.wrong("reference", "neither a source on the network nor a package");
    if (fields.contains("download")) {
      LANTERN_ASSIGN(source.download_bytes, table.bytes("download"));
    }
    entry.sources.push_back(std::move(source));
  }
  return {};
}

}  // namespace

Result<CatalogEntry> parse_catalog_entry(const CatalogText& text) {
  std::string where = fmt::format("catalog/{}", text.name);
  toml::parse_result parsed = toml::parse(text.toml);
  if (!parsed)
    return make_error(ErrorCode::kCorrupt, "{}: line {}: {}", where,
                      parsed.error().source().begin.line, parsed.error().description());
  const toml::table& root = parsed.table();
  Table table(root, where);
  LANTERN_TRY(table.only(
      {"alias", "title", "licence", "homepage", "supplier", "released", "file", "sources"}));
  CatalogEntry entry;
  LANTERN_ASSIGN(entry.alias, table.text("alias"));
  if (!is_alias(entry.alias) || text.name != entry.alias + ".toml")
    return table.wrong("alias", "must be the file's name without .toml");
  LANTERN_ASSIGN(entry.title, table.text("title"));
  LANTERN_ASSIGN(entry.licence, table.text("licence"));
  if (!is_spdx_id(entry.licence)) return table.wrong("licence", "an SPDX id is needed");
  LANTERN_ASSIGN(entry.homepage, table.text("homepage"));
  if (root.contains("supplier")) {
    LANTERN_ASSIGN(entry.supplier, table.text("supplier"));
  }
  if (root.contains("released")) {
    LANTERN_ASSIGN(entry.released, table.text("released"));
    if (!base::parse_utc(entry.released + "T00:00:00Z").ok())
      return table.wrong("released", "a date such as \"2025-01-31\" is needed");
  }

  const toml::table* file_fields = root["file"].as_table();
  if (!file_fields) return table.wrong("file", "a table is needed");
  Table file(*file_fields, where + ": file");
  LANTERN_TRY(file.only({"name", "size", "sha256"}));
  LANTERN_ASSIGN(entry.file_name, file.text("name"));
  if (!is_safe_file_name(entry.file_name)) return file.wrong("name", "not a plain file name");
  LANTERN_ASSIGN(entry.size, file.bytes("size"));
  LANTERN_ASSIGN(std::string hex, file.text("sha256"));
  auto digest = base::digest_from_hex(hex);
  if (!digest.ok()) return file.wrong("sha256", digest.error().message);
  entry.digest = *digest;
  LANTERN_TRY(read_sources(root, where, entry));
  return entry;
}

Result<std::vector<CatalogEntry>> read_catalog() {
  std::vector<CatalogEntry> entries;
  for (const auto& text : catalog_texts()) {
    LANTERN_ASSIGN(CatalogEntry entry, parse_catalog_entry(text));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.alias < b.alias; });
  return entries;
}

Result<std::optional<CatalogEntry>> find_in_catalog(std::string_view alias) {
  LANTERN_ASSIGN(std::vector<CatalogEntry> entries, read_catalog());
  for (auto& entry : entries)
    if (entry.alias == alias) return std::optional<CatalogEntry>(std::move(entry));
  return std::optional<CatalogEntry>();
}

}  // namespace lantern::supply
