// Bills of materials for a model. One file a format (bom_formats.cc lists them); all are written
// from the same facts, so that they cannot disagree. The same model gives the same bytes: the
// serial number is a UUID (version 5) of the model's id and of the content, the time is the
// record's or SOURCE_DATE_EPOCH.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "format/describe.h"
#include "supply/licence_report.h"
#include "supply/manifest.h"

namespace lantern::supply {

/// What a model was made of, where that is known: from the store's records or from metadata.
struct BomAncestor {
  std::string name = {};
  std::optional<base::Digest> id = {};  // a composition
  std::string version = {};
  std::string supplier = {};
  std::string url = {};
};

struct Derivation {
  std::vector<BomAncestor> parents = {};
  std::string tool = {};  // with its arguments: "lantern convert --type q8_0"
};

struct BomInput {
  std::string name = {};   // what the store calls it, or the file
  Manifest manifest = {};  // id, files, source, revision, pulled_at (or the newest file's time)
  const format::Description* description = nullptr;  // never null
  LicenceReport licence = {};
  Derivation derivation = {};
  // Facts that files rarely hold: from the catalog, or from who asks. Empty: looked for in
  // metadata and source.
  std::string supplier = {};
  std::string released = {};           // RFC 3339, UTC, or a date
  std::string download_location = {};  // a URI
  std::string homepage = {};
  std::optional<int64_t> source_date_epoch = {};  // seconds since 1970
};

struct BomFile {
  std::string path = {};
  uint64_t bytes = 0;
  std::string sha256 = {};
  std::string media_type = {};
};

/// A fact that some format asks for and nobody said.
enum class BomGap { kSupplier, kReleased, kDownloadLocation, kLicence };

struct BomProperty {
  std::string name = {};  // without the "lantern:" before it
  std::string value = {};
};

/// What every format is written from. No field is empty unless its comment says so.
struct BomFacts {
  std::string id = {};  // 64 hexadecimal digits
  std::string name = {}, version = {};
  std::string purl = {};               // may be empty: the source has no package URL
  std::string supplier = {};           // may be empty: unknown
  std::string download_location = {};  // may be empty: unknown
  std::string released = {};           // may be empty: unknown
  std::string recorded = {};           // when the files were first seen here
  std::string homepage = {};           // may be empty
  std::string description = {};        // may be empty
  std::string created = {};            // of the document
  std::string architecture = {};       // may be empty
  std::string task = {};               // "text-generation", ...; may be empty
  LicenceReport licence = {};
  std::vector<BomFile> files = {};
  std::vector<BomAncestor> ancestors = {};
  std::vector<std::string> datasets = {}, languages = {}, tags = {};
  std::string tool = {};                     // of the derivation; may be empty
  std::vector<BomProperty> properties = {};  // parameters, quantization, context, ...
  std::vector<BomGap> gaps = {};
};

/// kInvalidArgument for a time or URI given that is none.
Result<BomFacts> bom_facts(const BomInput& input);

struct BomFormat {
  std::string_view name;     // as --format takes it
  std::string_view summary;  // for a person
  std::span<const BomGap> asks_for;
  std::string (*write)(const BomFacts& facts);
  /// What the standard asks for and its validators do not enforce, checked on the document itself:
  /// a line for each fault.
  std::vector<std::string> (*faults)(std::string_view document, const BomFacts& facts);
};

std::span<const BomFormat> bom_formats();

struct Bom {
  std::string document = {};
  /// Fields that the document has to answer with "not known", each with how to give it.
  std::vector<std::string> missing = {};
};

/// kInvalidArgument for an unknown format; kInternal where the document fails our own checks.
Result<Bom> write_bom(const BomInput& input, std::string_view format);

/// RFC 9562 version 5 in Lantern's own name space, 36 characters.
std::string uuid5(std::string_view name);

/// pkg:huggingface/ORG/REPO@REVISION, pkg:pypi/NAME@VERSION#MEMBER; empty for other sources.
/// `source`, `revision`: Manifest's.
std::string purl_of_source(std::string_view source, std::string_view revision);

}  // namespace lantern::supply
