#include "supply/licence_report.h"

#define TOML_EXCEPTIONS 0
#define TOML_ASSERT static_cast<void>  // as base/toml_reader.cc: one definition of the library
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/ascii.h"
#include "base/printable.h"
#include "supply/licence.h"
#include "supply/licence_texts.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

constexpr size_t kRowsMax = 1000, kSaidBytesMax = 500, kTokensMax = 64, kMarkBytes = 4096;
constexpr std::string_view kBlanks = " \t\r\n";

/// Runs of blanks as one blank, so that line breaks inside a mark do not matter.
std::string squeezed(std::string_view text) {
  std::string out;
  for (char c : text) {
    const bool blank = kBlanks.find(c) != std::string_view::npos;
    if (!blank) out += c;
    if (blank && !out.empty() && out.back() != ' ') out += ' ';
  }
  return out;
}

const std::set<std::string_view>& listed_ids() {
  static const std::set<std::string_view> kIds = [] {
    std::set<std::string_view> ids;
    for (std::string_view rest = spdx_licence_ids(); !rest.empty();) {
      const size_t end = std::min(rest.find('\n'), rest.size());
      if (end > 0) ids.insert(rest.substr(0, end));
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    return ids;
  }();
  return kIds;
}

Error wrong(size_t row, std::string_view key, std::string_view fault) {
  return make_error(ErrorCode::kCorrupt, "rules/licences.toml: row {}: {}: {}", row, key, fault);
}

/// Fields of one row, with messages that name row and key.
class Row {
 public:
  Row(const toml::table& table, size_t number) : table_(table), number_(number) {}

  Status only_known() const {
    static constexpr std::array<std::string_view, 9> kKeys = {
        "id",         "name",        "also",        "marks",
        "commercial", "attribution", "share_alike", "use_restrictions",
        "obligations"};
    for (const auto& [key, value] : table_)
      if (std::find(kKeys.begin(), kKeys.end(), key.str()) == kKeys.end())
        return wrong(number_, key.str(), "unknown key");
    return {};
  }
  Result<std::string> text(std::string_view key) const {
    auto value = table_[key].value_exact<std::string>();
    if (!value || value->empty()) return wrong(number_, key, "a text is needed");
    return *value;
  }
  Result<bool> truth(std::string_view key) const {
    auto value = table_[key].value_exact<bool>();
    if (!value) return wrong(number_, key, "true or false is needed");
    return *value;
  }
  Result<std::vector<std::string>> texts(std::string_view key) const {
    const toml::array* array = table_[key].as_array();
    if (!array) return wrong(number_, key, "a list of texts is needed");
    std::vector<std::string> values;
    for (const auto& node : *array) {
      auto value = node.value_exact<std::string>();
      if (!value || value->empty()) return wrong(number_, key, "a list of texts is needed");
      values.push_back(*value);
    }
    return values;
  }

 private:
  const toml::table& table_;
  size_t number_;
};

Result<LicenceTerms> read_row(const toml::table& table, size_t number) {
  const Row row(table, number);
  LANTERN_TRY(row.only_known());
  LicenceTerms terms;
  LANTERN_ASSIGN(terms.id, row.text("id"));
  if (!is_listed_spdx_id(terms.id) &&
      !(terms.id.starts_with("LicenseRef-") && is_spdx_id(terms.id)))
    return wrong(number, "id", "neither an id of the SPDX list nor a LicenseRef-");
  LANTERN_ASSIGN(terms.name, row.text("name"));
  LANTERN_ASSIGN(terms.also, row.texts("also"));
  for (const std::string& name : terms.also)
    if (name != base::to_lower(name)) return wrong(number, "also", "lower case is needed");
  LANTERN_ASSIGN(terms.marks, row.texts("marks"));
  LANTERN_ASSIGN(terms.commercial, row.text("commercial"));
  if (terms.commercial != "yes" && terms.commercial != "no" && terms.commercial != "conditions")
    return wrong(number, "commercial", "yes, no or conditions is needed");
  LANTERN_ASSIGN(terms.attribution, row.truth("attribution"));
  LANTERN_ASSIGN(terms.share_alike, row.truth("share_alike"));
  LANTERN_ASSIGN(terms.use_restrictions, row.truth("use_restrictions"));
  LANTERN_ASSIGN(terms.obligations, row.text("obligations"));
  return terms;
}

/// One licence's id by any of its spellings; empty where it is none that we know.
std::string single_id(std::string_view said, std::span<const LicenceTerms> table) {
  if (said.starts_with("LicenseRef-") && is_spdx_id(said)) return std::string(said);
  if (is_listed_spdx_id(said)) return std::string(said);
  const std::string plain = base::to_lower(said);
  for (const LicenceTerms& terms : table)
    if (base::to_lower(terms.id) == plain ||
        std::find(terms.also.begin(), terms.also.end(), plain) != terms.also.end())
      return terms.id;
  for (std::string_view id : listed_ids())
    if (base::to_lower(id) == plain) return std::string(id);
  const std::string of_hub = spdx_of_hub_licence(plain);
  return is_listed_spdx_id(of_hub) ? of_hub : "";
}

/// "(MIT OR Apache-2.0)" as parentheses, operators and words.
std::vector<std::string> expression_tokens(std::string_view text) {
  std::vector<std::string> tokens;
  std::string word;
  auto flush = [&] {
    if (!word.empty()) tokens.push_back(std::move(word));
    word.clear();
  };
  for (char c : text) {
    const bool bracket = c == '(' || c == ')';
    if (!bracket && kBlanks.find(c) == std::string_view::npos) {
      word += c;
      continue;
    }
    flush();
    if (bracket) tokens.emplace_back(1, c);
  }
  flush();
  return tokens;
}

bool is_operator(std::string_view token) {
  return token == "AND" || token == "OR" || token == "WITH";
}

/// The expression with each id in the list's spelling; empty where it is no expression.
std::string normal_expression(std::string_view said, std::span<const LicenceTerms> table) {
  const auto tokens = expression_tokens(said);
  if (tokens.size() < 3 || tokens.size() > kTokensMax) return "";
  std::string out;
  size_t open = 0;
  bool operand_next = true, exception_next = false;
  for (const std::string& token : tokens) {
    if (token == "(") {
      if (!operand_next || exception_next) return "";
      ++open;
      out += "(";
      continue;
    }
    if (token == ")") {
      if (operand_next || open == 0) return "";
      --open;
      out += ")";
      continue;
    }
    if (is_operator(token) == operand_next) return "";
    if (operand_next) {
      const std::string id = exception_next && is_spdx_id(token) ? token : single_id(token, table);
      if (id.empty()) return "";
      out += id;
    } else {
      out += " " + token + " ";
    }
    exception_next = token == "WITH";
    operand_next = !operand_next;
  }
  return operand_next || open > 0 ? "" : out;
}

void add_statement(LicenceReport& report, std::string where, std::string said, std::string spdx) {
  if (said.empty()) return;
  if (said.size() > kSaidBytesMax) said.resize(kSaidBytesMax);
  report.statements.push_back(
      {.where = std::move(where), .said = std::move(said), .spdx = std::move(spdx)});
}

void read_metadata(const LicenceSources& sources, std::span<const LicenceTerms> table,
                   LicenceReport& report) {
  for (const auto& [key, value] : sources.metadata) {
    if (key.ends_with("link")) {
      report.link = value.substr(0, kSaidBytesMax);
      continue;
    }
    if (key == "file") continue;  // the file's name; its text is judged instead
    // A folder's `license` is its model card's.
    add_statement(report, key == "license" ? "model card license" : "metadata " + key, value,
                  spdx_expression(value, table));
  }
}

/// What the statements that name a licence agree on; empty where they do not, or there are none.
std::string agreed(LicenceReport& report) {
  std::string found;
  for (const LicenceStatement& statement : report.statements) {
    if (statement.spdx.empty()) continue;
    if (!found.empty() && statement.spdx != found) {
      report.contradiction = true;
      return "";
    }
    found = statement.spdx;
  }
  return found;
}

}  // namespace

Result<std::vector<LicenceTerms>> parse_licence_table(std::string_view toml) {
  toml::parse_result parsed = toml::parse(toml);
  if (!parsed)
    return make_error(ErrorCode::kCorrupt, "rules/licences.toml: line {}: {}",
                      parsed.error().source().begin.line, parsed.error().description());
  const toml::array* rows = parsed.table()["licence"].as_array();
  if (!rows || rows->empty() || rows->size() > kRowsMax)
    return make_error(ErrorCode::kCorrupt, "rules/licences.toml: licence: 1 to {} rows are needed",
                      kRowsMax);
  std::vector<LicenceTerms> table;
  std::set<std::string> names;
  for (const auto& node : *rows) {
    const size_t number = table.size() + 1;
    if (!node.is_table()) return wrong(number, "licence", "a table is needed");
    LANTERN_ASSIGN(LicenceTerms terms, read_row(*node.as_table(), number));
    if (!names.insert(base::to_lower(terms.id)).second) return wrong(number, "id", "stands twice");
    for (const std::string& name : terms.also)
      if (name != base::to_lower(terms.id) && !names.insert(name).second)
        return wrong(number, "also", "a name of another row");
    table.push_back(std::move(terms));
  }
  return table;
}

Result<std::vector<LicenceTerms>> read_licence_table() {
  auto table = parse_licence_table(licence_table_toml());
  if (!table.ok()) return Error{ErrorCode::kInternal, std::move(table).error().message};
  return table;
}

bool is_listed_spdx_id(std::string_view id) { return listed_ids().contains(id); }

std::string spdx_expression(std::string_view said, std::span<const LicenceTerms> table) {
  said = base::trimmed(said);
  if (said.empty() || said.size() > kSaidBytesMax) return "";
  const std::string single = single_id(said, table);
  return single.empty() ? normal_expression(said, table) : single;
}

std::string recognise_licence_text(std::string_view text, std::span<const LicenceTerms> table) {
  const std::string top = squeezed(text.substr(0, kMarkBytes));
  const LicenceTerms* found = nullptr;
  for (const LicenceTerms& terms : table) {
    if (terms.marks.empty()) continue;
    const bool all =
        std::all_of(terms.marks.begin(), terms.marks.end(),
                    [&](const std::string& mark) { return top.find(mark) != std::string::npos; });
    if (!all) continue;
    if (found) return "";  // the text speaks of several licences: no guess
    found = &terms;
  }
  return found ? found->id : "";
}

Result<LicenceReport> judge_licence(const LicenceSources& sources) {
  LANTERN_ASSIGN(const std::vector<LicenceTerms> table, read_licence_table());
  LicenceReport report;
  read_metadata(sources, table, report);
  report.text = sources.text;
  report.text_file = sources.text_file;
  if (!sources.text.empty()) {
    const std::string first = std::string(
        base::trimmed(sources.text.substr(0, std::min(sources.text.find('\n'), size_t{80}))));
    add_statement(report, "file " + sources.text_file, first.empty() ? "(text)" : first,
                  recognise_licence_text(sources.text, table));
  }
  report.declared = agreed(report);
  add_statement(report, "store", sources.recorded, spdx_expression(sources.recorded, table));
  const std::string of_all = agreed(report);
  add_statement(report, "catalog", sources.catalog, spdx_expression(sources.catalog, table));
  add_statement(report, "given", sources.given, spdx_expression(sources.given, table));
  report.concluded = of_all;
  for (const std::string* judged : {&sources.catalog, &sources.given})
    if (std::string spdx = spdx_expression(*judged, table); !spdx.empty()) report.concluded = spdx;
  if (!sources.given.empty() && spdx_expression(sources.given, table).empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "licence \"{}\": neither an SPDX expression nor a LicenseRef-",
                      base::printable(sources.given));
  for (const std::string& token : expression_tokens(report.concluded))
    for (const LicenceTerms& terms : table)
      if (terms.id == token) report.terms.push_back(terms);
  return report;
}

}  // namespace lantern::supply
