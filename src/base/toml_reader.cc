#include "base/toml_reader.h"

#define TOML_EXCEPTIONS 0
// Its assertions concern the text, which comes from outside; without them it reports a fault.
#define TOML_ASSERT static_cast<void>
#include <toml++/toml.h>

#include <algorithm>

#include "base/printable.h"

namespace lantern::base {
namespace {

// toml++ nests a table for each dot of a key and destroys tables by recursion; it bounds brackets
// (256 of them) but not dots. Keys end with their line, so this bounds the depth.
constexpr int64_t kDotsPerLineMax = 32;

const toml::node& as_toml(const TomlTable::Node* node) {
  return *reinterpret_cast<const toml::node*>(node);
}
const TomlTable::Node* as_node(const toml::node& node) {
  return reinterpret_cast<const TomlTable::Node*>(&node);
}

std::string place(std::string_view what, const toml::source_position& at) {
  return fmt::format("{}: line {}, column {}", what, at.line, at.column);
}

Status check_dots(std::string_view text, std::string_view what) {
  for (size_t begin = 0, line = 1; begin < text.size(); ++line) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view of_line = text.substr(begin, end - begin);
    if (std::count(of_line.begin(), of_line.end(), '.') > kDotsPerLineMax)
      return make_error(ErrorCode::kCorrupt,
                        "{}: line {}: more than {} dots; write the text or the key shorter", what,
                        line, kDotsPerLineMax);
    begin = end + 1;
  }
  return {};
}

/// Refuses, before the library sees it, what TOML has no place for and toml++ 3.3.0 has no answer
/// to: letters beyond ASCII outside quotes and comments and after a backslash (its test for blanks,
/// is_non_ascii_horizontal_whitespace, is undefined for U+00A1 to U+0499 and others), and table
/// headers that begin with neither a letter nor a quote (its parse_key asserts that they do).
class Prelude {
 public:
  Prelude(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  Status check() {
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // a byte order mark
    bool is_line_begin = true;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '[' && is_line_begin) LANTERN_TRY(check_header());
      is_line_begin = c == '\n' || (is_line_begin && is_blank(c));
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (c == '"' || c == '\'') {
        LANTERN_TRY(skip_string(c));
      } else if (is_beyond_ascii(c)) {
        return wrong("a letter beyond ASCII needs quotes around it");
      } else if (static_cast<unsigned char>(c) < ' ' && c != '\n' && !is_blank(c)) {
        return wrong("a control character");
      } else {
        ++at_;
      }
    }
    return {};
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

  /// At a '[' that begins a line; leaves at_ where the fault is.
  Status check_header() {
    const size_t begin = at_;
    const auto skip_blanks = [this] {
      while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    };
    ++at_;
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') {
      ++at_;
      skip_blanks();
    }
    constexpr std::string_view kFirst =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-\"'";
    if (at_ == text_.size() || kFirst.find(text_[at_]) == std::string_view::npos)
      return wrong("a name is needed after [");
    at_ = begin;
    return {};
  }

  static bool is_beyond_ascii(char c) { return static_cast<unsigned char>(c) >= 0x80; }

  Status skip_string(char quote) {
    const std::string three(3, quote);
    const bool has_lines = text_.substr(at_).starts_with(three);
    const std::string_view end = std::string_view(three).substr(0, has_lines ? 3 : 1);
    // A quote within a word or after its dot is read as part of it, without regard for quotes; so
    // is one behind brackets that a word goes into.
    size_t begin = at_;
    while (begin > 0 && (text_[begin - 1] == '[' || text_[begin - 1] == '{')) --begin;
    constexpr std::string_view kAround = " \t\r\n=,";
    const bool is_glued = begin > 0 && kAround.find(text_[begin - 1]) == std::string_view::npos;
    at_ += end.size();
    while (at_ < text_.size() && !text_.substr(at_).starts_with(end)) {
      if (text_[at_] == '\n' && !has_lines) return {};  // the parser says so
      if (is_glued && is_beyond_ascii(text_[at_]))
        return wrong("a letter beyond ASCII in a word that does not begin with its quote");
      if (text_[at_] == '\\' && quote == '"') {
        ++at_;
        // Blanks may stand between the backslash and the end of its line.
        while (has_lines && at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
        if (at_ < text_.size() && is_beyond_ascii(text_[at_]))
          return wrong("a letter beyond ASCII cannot be escaped");
      }
      at_ = std::min(at_ + 1, text_.size());
    }
    at_ = std::min(at_ + end.size(), text_.size());
    // Up to two quotes may stand right before the three that end it.
    while (has_lines && at_ < text_.size() && text_[at_] == quote) ++at_;
    return {};
  }

  [[nodiscard]] Error wrong(std::string_view fault) const {
    const std::string_view before = text_.substr(0, at_);
    const std::string_view of_line = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
    const auto column = 1 + std::count_if(of_line.begin(), of_line.end(),
                                          [](char c) { return (c & 0xc0) != 0x80; });
    return make_error(ErrorCode::kCorrupt, "{}: line {}, column {}: {}", what_,
                      1 + std::count(before.begin(), before.end(), '\n'), column, fault);
  }

  std::string_view text_, what_;
  size_t at_ = 0;
};

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a text";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

std::string wanted(std::string_view type, const toml::node& node) {
  return fmt::format("{} is needed, not {}", type, type_name(node));
}

/// Nothing for what is no moment of UTC in whole seconds.
std::optional<UtcTime> utc(const toml::date_time& value) {
  if (!value.offset || value.time.nanosecond != 0 || value.date.year < 1970) return {};
  const std::chrono::year_month_day date(std::chrono::year(value.date.year),
                                         std::chrono::month(value.date.month),
                                         std::chrono::day(value.date.day));
  if (!date.ok()) return {};
  return UtcTime(std::chrono::sys_days(date)) + std::chrono::hours(value.time.hour) +
         std::chrono::minutes(value.time.minute) + std::chrono::seconds(value.time.second) -
         std::chrono::minutes(value.offset->minutes);
}

}  // namespace

struct TomlDocument::Parsed {
  toml::table root;
};

TomlDocument::TomlDocument() = default;
TomlDocument::~TomlDocument() = default;

Result<std::unique_ptr<TomlDocument>> TomlDocument::parse(std::string_view text,
                                                          std::string_view what, size_t bytes_max) {
  if (text.size() > bytes_max)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes of TOML, at most {} are read", what,
                      text.size(), bytes_max);
  LANTERN_TRY(check_dots(text, what));
  LANTERN_TRY(Prelude(text, what).check());
  toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return make_error(ErrorCode::kCorrupt, "{}: {}", place(what, parsed.error().source().begin),
                      printable(parsed.error().description(), 300));
  std::unique_ptr<TomlDocument> document(new TomlDocument);
  document->what_ = what;
  document->parsed_ = std::make_unique<Parsed>(Parsed{std::move(parsed).table()});
  return document;
}

TomlTable TomlDocument::root() { return {as_node(parsed_->root), "", this}; }

Status TomlDocument::status() const {
  if (fault_) return *fault_;
  return {};
}

bool TomlTable::has(std::string_view key) const { return as_toml(node_).as_table()->contains(key); }

int TomlTable::line() const { return static_cast<int>(as_toml(node_).source().begin.line); }

std::string TomlTable::path_of(std::string_view key) const {
  const std::string name = printable(key, 60);
  return path_.empty() ? name : path_ + "." + name;
}

const TomlTable::Node* TomlTable::find(std::string_view key) {
  asked_.emplace(key);
  const toml::node* node = as_toml(node_).as_table()->get(key);
  return node == nullptr ? nullptr : as_node(*node);
}

void TomlTable::wrong(std::string_view key, std::string_view fault) {
  if (document_->fault_) return;
  const toml::table& table = *as_toml(node_).as_table();
  toml::source_position at = table.source().begin;
  for (const auto& [name, value] : table)
    if (name.str() == key) at = name.source().begin;
  document_->fault_ = make_error(ErrorCode::kCorrupt, "{}: {}: {}", place(document_->what_, at),
                                 path_of(key), fault);
}

void TomlTable::require(std::string_view key) {
  if (!has(key)) wrong(key, "is missing");
}

void TomlTable::finish() {
  for (const auto& [name, value] : *as_toml(node_).as_table())
    if (!asked_.contains(name.str())) {
      wrong(name.str(), "unknown key");
      return;
    }
}

std::optional<std::string> TomlTable::text(std::string_view key, const TextCheck& check) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const auto* value = as_toml(node).as_string();
  if (value == nullptr) {
    wrong(key, wanted("a text", as_toml(node)));
    return {};
  }
  if (const std::string fault = check(value->get()); !fault.empty()) {
    wrong(key, fault);
    return {};
  }
  return value->get();
}

std::optional<int64_t> TomlTable::integer(std::string_view key, int64_t min, int64_t max) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const auto* value = as_toml(node).as_integer();
  if (value == nullptr) {
    wrong(key, wanted("a whole number", as_toml(node)));
    return {};
  }
  if (value->get() < min || value->get() > max) {
    wrong(key, fmt::format("{} is not within {} to {}", value->get(), min, max));
    return {};
  }
  return value->get();
}

std::optional<bool> TomlTable::boolean(std::string_view key) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const auto* value = as_toml(node).as_boolean();
  if (value == nullptr) {
    wrong(key, wanted("true or false", as_toml(node)));
    return {};
  }
  return value->get();
}

std::optional<UtcTime> TomlTable::time(std::string_view key) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const auto* value = as_toml(node).as_date_time();
  const auto moment = value == nullptr ? std::nullopt : utc(value->get());
  if (!moment)
    wrong(key, "a time such as 2026-01-31T12:00:00Z is needed: with its offset, whole seconds");
  return moment;
}

std::optional<std::vector<std::string>> TomlTable::texts(std::string_view key,
                                                         const TextCheck& check) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const toml::array* list = as_toml(node).as_array();
  if (list == nullptr || list->empty()) {
    wrong(key, list == nullptr ? wanted("a list of texts", as_toml(node))
                               : "the list is empty; leave the key out instead");
    return {};
  }
  std::vector<std::string> texts;
  std::set<std::string> seen;
  for (const toml::node& entry : *list) {
    const auto* value = entry.as_string();
    if (value == nullptr) {
      wrong(key, wanted("a list of texts", entry));
      return {};
    }
    std::string fault = check(value->get());
    if (fault.empty() && !seen.insert(value->get()).second) fault = "stands twice";
    if (!fault.empty()) {
      wrong(key, fmt::format("\"{}\": {}", printable(value->get(), 60), fault));
      return {};
    }
    texts.push_back(value->get());
  }
  return texts;
}

std::optional<TomlTable> TomlTable::table(std::string_view key) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  if (!as_toml(node).is_table()) {
    wrong(key, wanted("a table", as_toml(node)));
    return {};
  }
  return TomlTable(node, path_of(key), document_);
}

std::vector<TomlTable> TomlTable::tables(std::string_view key, size_t count_max) {
  const Node* node = find(key);
  if (node == nullptr) return {};
  const toml::array* list = as_toml(node).as_array();
  if (list == nullptr || list->empty()) {
    wrong(key, fmt::format("tables are needed: [[{}]]", path_of(key)));
    return {};
  }
  if (list->size() > count_max) {
    wrong(key, fmt::format("{} of them, at most {} are read", list->size(), count_max));
    return {};
  }
  std::vector<TomlTable> tables;
  for (const toml::node& entry : *list) {
    if (!entry.is_table()) {
      wrong(key, wanted("a list of tables", entry));
      return {};
    }
    tables.push_back(TomlTable(as_node(entry),
                               fmt::format("{}.{}", path_of(key), tables.size() + 1), document_));
  }
  return tables;
}

std::vector<std::string> TomlTable::keys() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : *as_toml(node_).as_table()) names.emplace_back(name.str());
  return names;
}

}  // namespace lantern::base
