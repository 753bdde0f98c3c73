// What is known of a model's licence: who says what, the text if the model holds it, and what
// the licence asks of whoever uses the model (rules/licences.toml).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::supply {

/// One row of rules/licences.toml.
struct LicenceTerms {
  std::string id = {};  // an SPDX id, or LicenseRef-... where SPDX lists none
  std::string name = {};
  std::vector<std::string> also = {};   // other spellings that metadata use, lower case
  std::vector<std::string> marks = {};  // each stands near the top of the licence's text
  std::string commercial = {};          // "yes", "no" or "conditions"
  bool attribution = false;             // notice or licence text go along with copies
  bool share_alike = false;             // what is made from it takes the same licence
  bool use_restrictions = false;        // some uses are forbidden
  std::string obligations = {};         // a line for a person
};

/// The table that the build compiled in. kInternal where it cannot be read (a test reads it).
Result<std::vector<LicenceTerms>> read_licence_table();
/// `toml`: the table's text. kCorrupt names row, key and fault.
Result<std::vector<LicenceTerms>> parse_licence_table(std::string_view toml);

/// Whether SPDX lists this id, in this spelling (rules/spdx_licences.txt).
bool is_listed_spdx_id(std::string_view id);

/// An SPDX expression ("Apache-2.0", "MIT OR GPL-2.0-only WITH ...") of what metadata or a model
/// card call a licence: listed ids in their own spelling, known models' licences as LicenseRef-...;
/// empty where it says nothing ("other", "unknown", "").
std::string spdx_expression(std::string_view said, std::span<const LicenceTerms> table);

/// The id whose marks all stand in the first 4 KiB of `text`, or empty.
std::string recognise_licence_text(std::string_view text, std::span<const LicenceTerms> table);

struct LicenceStatement {
  std::string where = {};  // "metadata general.license", "file LICENSE", "catalog", "store"
  std::string said = {};   // as it stands there
  std::string spdx = {};   // empty: names no licence that we know
};

/// What is looked at, gathered by the caller.
struct LicenceSources {
  std::vector<std::pair<std::string, std::string>> metadata = {};  // format::Description::licence
  std::string text = {}, text_file = {};  // the licence file that the model holds
  std::string catalog = {};               // judged when the model was taken into the catalog
  std::string recorded = {};              // Manifest::licence
  std::string given = {};                 // by the person who asks
};

struct LicenceReport {
  std::string declared = {};  // SPDX expression by the model's own files; empty: unknown
  std::string concluded =
      {};  // what holds; empty: unknown, or the statements contradict each other
  bool contradiction = false;
  std::vector<LicenceStatement> statements = {};
  std::string text = {}, text_file = {}, link = {};
  std::vector<LicenceTerms> terms = {};  // of each licence that `concluded` names
};

/// `given` over `catalog` over what the statements agree on.
Result<LicenceReport> judge_licence(const LicenceSources& sources);

}  // namespace lantern::supply
