// The models that Lantern knows by digest: catalog/*.toml, compiled into the program.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

struct CatalogText {
  std::string_view name;  // the file's
  std::string_view toml;
};

/// What the build compiled in.
std::span<const CatalogText> catalog_texts();

struct CatalogSource {
  std::string reference = {};   // as `pull` takes it
  uint64_t download_bytes = 0;  // over the wire; 0: the file's own size
};

struct CatalogEntry {
  std::string alias = {};
  std::string title = {};
  std::string licence = {};  // an SPDX id
  std::string homepage = {};
  std::string supplier = {};  // who published it; may be empty
  std::string released = {};  // "2025-01-31"; may be empty
  std::string file_name = {};
  uint64_t size = 0;
  base::Digest digest{};
  std::vector<CatalogSource> sources = {};  // in the order in which they are tried
};

/// Reads one entry. kCorrupt names the file, the key and what is wrong with it; unknown keys are
/// wrong too, so that a misspelt one is not silently without effect.
Result<CatalogEntry> parse_catalog_entry(const CatalogText& text);

/// All entries, sorted by alias. An unreadable one or an alias that stands twice is an error.
Result<std::vector<CatalogEntry>> read_catalog();
Result<std::optional<CatalogEntry>> find_in_catalog(std::string_view alias);

}  // namespace lantern::supply
