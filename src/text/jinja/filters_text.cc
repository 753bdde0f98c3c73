// Filters that make text.
#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/format.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

template <CaseChange kChange>
Result<Value> case_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  LANTERN_TRY(rt.read(4 * text.text().size_bytes()));
  LANTERN_TRY(rt.heap().check(3 * text.text().memory_bytes()));
  return rt.heap().string(change_case(text.text(), kChange));
}

bool separates_words(uint32_t c) {
  return c == '-' || c == '(' || c == '{' || c == '[' || c == '<' || is_space(c);
}

/// Unlike str.title(), a new word begins only after a blank, a dash or an opening bracket.
Result<Value> title_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value string, to_string(rt, value));
  const Text& text = string.text();
  LANTERN_TRY(rt.read(4 * text.size_bytes()));
  LANTERN_TRY(rt.heap().check(3 * text.memory_bytes()));
  TextBuilder out(rt.heap());
  size_t size = 0;
  for (size_t at = 0; at < text.size_bytes();) {
    const bool separator = separates_words(decode_code_point(text.view(), at, size));
    Text first;
    first.append(text, at, at + size);
    size_t end = at + size;
    for (; end < text.size_bytes(); end += size)
      if (separates_words(decode_code_point(text.view(), end, size)) != separator) break;
    Text rest;
    rest.append(text, at + first.size_bytes(), end);
    out.append(change_case(first, CaseChange::kUpper));
    out.append(change_case(rest, CaseChange::kLower));
    at = end;
  }
  return out.finish();
}

Result<Value> trim_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  const Value* characters = args.find_some(0);
  if (characters != nullptr && !characters->is(Kind::kString))
    return type_error("strip arg must be None or str");
  return strip(rt, text.text(), characters != nullptr ? &characters->text() : nullptr, Side::kBoth);
}

Result<Value> center_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  LANTERN_ASSIGN(const int64_t width, args.integer(0, 80));
  return pad(rt, text.text(), width, " ", Side::kBoth);
}

Result<Value> replace_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  LANTERN_ASSIGN(const Value from, to_string(rt, args.at(0)));
  LANTERN_ASSIGN(const Value to, to_string(rt, args.at(1)));
  int64_t count = -1;
  if (args.find_some(2) != nullptr) {
    LANTERN_ASSIGN(count, args.integer(2, -1));
  }
  return replace(rt, text.text(), from.text(), to.text(), count);
}

Result<Value> escape_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  LANTERN_TRY(rt.read(text.text().size_bytes()));
  TextBuilder out(rt.heap());
  append_escaped(out, text);
  LANTERN_ASSIGN(const Value escaped, out.finish());
  return escaped.as_markup();
}

Result<Value> forceescape_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  return escape_filter(rt, Value::string(text.text_ref()), args);
}

/// The indention, bounded: a width in blanks or the text itself.
Result<Text> indention(Runtime& rt, const Arguments& args) {
  const Value* width = args.find(0);
  if (width != nullptr && width->is(Kind::kString)) return width->text();
  LANTERN_ASSIGN(const int64_t blanks, args.integer(0, 4));
  TextBuilder out(rt.heap());
  if (blanks > 0) out.fill(static_cast<uint64_t>(blanks), ' ');
  return out.take();
}

Result<Value> indent_filter(Runtime& rt, const Value& value, const Arguments& args) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is(Kind::kString))
    return type_error("indent needs a string, not '{}'", type_name(value));
  LANTERN_ASSIGN(const Text indent, indention(rt, args));
  const bool first = args.flag(1, false);
  const bool blank = args.flag(2, false);
  // Jinja adds a newline before it splits, so that a last newline stays one.
  TextBuilder with_newline(rt.heap());
  with_newline.append(value.text());
  with_newline.append("\n", SpanKind::kLiteral);
  LANTERN_ASSIGN(const Text text, with_newline.take());
  LANTERN_ASSIGN(const std::vector<Value> lines, split_lines(rt, text, false));
  TextBuilder out(rt.heap());
  if (first) out.append(indent);
  for (size_t i = 0; i < lines.size(); ++i) {
    LANTERN_TRY(rt.read(indent.size_bytes() + lines[i].text().size_bytes()));
    if (i > 0) out.append("\n", SpanKind::kLiteral);
    if (i > 0 && (blank || !lines[i].text().empty())) out.append(indent);
    out.append(lines[i].text());
  }
  return out.finish();
}

Result<Value> truncate_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const int64_t length, args.integer(0, 255));
  Text end("...", SpanKind::kLiteral);
  if (const Value* given = args.find(2)) {
    if (!given->is(Kind::kString)) return type_error("truncate needs a string as its end");
    end = given->text();
  }
  int64_t leeway = 5;
  if (args.find_some(3) != nullptr) {
    LANTERN_ASSIGN(leeway, args.integer(3, 5));
  }
  const int64_t kept = length - static_cast<int64_t>(end.length());
  if (kept < 0 || leeway < 0)
    return type_error("truncate needs a length of at least its end's and no negative leeway");
  const std::optional<int64_t> value_length = length_of(value);
  if (value_length && *value_length - length <= leeway) return value;
  if (!value.is(Kind::kString))
    return type_error("truncate needs a string, not '{}'", type_name(value));
  const Text& text = value.text();
  size_t end_byte = text.byte_at(static_cast<size_t>(kept));
  if (!args.flag(1, false)) {
    const size_t blank = text.view().substr(0, end_byte).rfind(' ');
    if (blank != std::string_view::npos) end_byte = blank;
  }
  LANTERN_TRY(rt.read(text.size_bytes()));
  TextBuilder out(rt.heap());
  out.append(text, 0, end_byte);
  out.append(end);
  return out.finish();
}

/// Percent-encodes one string; within a query a blank is + and a slash is encoded.
void append_quoted(TextBuilder& out, const Text& text, bool query) {
  const std::string_view utf8 = text.view();
  for (size_t at = 0; at < utf8.size() && !out.full(); ++at) {
    const auto byte = static_cast<unsigned char>(utf8[at]);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
                       (byte >= 'a' && byte <= 'z') || byte == '_' || byte == '.' || byte == '-' ||
                       byte == '~' || (byte == '/' && !query);
    if (plain)
      out.append(utf8.substr(at, 1), text.kind());
    else
      out.append(query && byte == ' ' ? "+" : fmt::format("%{:02X}", byte), text.kind());
  }
}

Result<Value> urlencode_filter(Runtime& rt, const Value& value, const Arguments&) {
  TextBuilder out(rt.heap());
  const bool pairs = value.is(Kind::kDict) || value.is_sequence() || value.is(Kind::kView) ||
                     value.is(Kind::kIterator);
  if (!pairs) {
    LANTERN_ASSIGN(const Value text, to_string(rt, value));
    LANTERN_TRY(rt.read(16 * text.text().size_bytes()));
    append_quoted(out, text.text(), false);
    return out.finish();
  }
  std::vector<std::pair<Value, Value>> items;
  if (value.is(Kind::kDict)) {
    for (const Dict::Entry& e : value.dict().entries) items.emplace_back(e.key, e.value);
  } else {
    LANTERN_ASSIGN(const std::vector<Value> all, items_of(rt, value));
    for (const Value& pair : all) {
      LANTERN_ASSIGN(const std::vector<Value> both, items_of(rt, pair));
      if (both.size() != 2) return type_error("urlencode needs pairs of key and value");
      items.emplace_back(both[0], both[1]);
    }
  }
  for (size_t i = 0; i < items.size(); ++i) {
    LANTERN_ASSIGN(const Value key, to_string(rt, items[i].first));
    LANTERN_ASSIGN(const Value text, to_string(rt, items[i].second));
    LANTERN_TRY(rt.read(16 * (key.text().size_bytes() + text.text().size_bytes())));
    if (i > 0) out.append("&", SpanKind::kLiteral);
    append_quoted(out, key.text(), true);
    out.append("=", SpanKind::kLiteral);
    append_quoted(out, text.text(), true);
  }
  return out.finish();
}

Result<Value> wordcount_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(const Value string, to_string(rt, value));
  const std::string_view text = string.view_text();
  LANTERN_TRY(rt.read(4 * text.size()));
  int64_t count = 0;
  bool in_word = false;
  size_t size = 0;
  for (size_t at = 0; at < text.size(); at += size) {
    const uint32_t c = decode_code_point(text, at, size);
    const bool word = c == '_' || is_alnum(c);
    if (word && !in_word) ++count;
    in_word = word;
  }
  return Value::integer(count);
}

}  // namespace

Result<Value> format_filter(Runtime& rt, const Value& value, CallArgs args) {
  LANTERN_ASSIGN(const Value text, to_string(rt, value));
  if (!args.positional.empty() && !args.named.empty())
    return type_error("format takes positional or named arguments, not both");
  if (args.named.empty()) {
    LANTERN_ASSIGN(const Value tuple, rt.heap().tuple(std::move(args.positional)));
    return percent_format(rt, text.text(), tuple);
  }
  auto* dict = rt.heap().make<Dict>();
  for (auto& [name, named] : args.named) {
    LANTERN_ASSIGN(Value key, rt.heap().string(name, SpanKind::kLiteral));
    LANTERN_ASSIGN(std::string encoded, hash_key(key));
    dict->set(std::move(key), std::move(encoded), std::move(named));
  }
  return percent_format(rt, text.text(), Value::dict(dict));
}

std::span<const Builtin> text_filters() {
  static const std::vector<Builtin> kFilters = {
      {{"capitalize", {}}, case_filter<CaseChange::kCapitalize>},
      {{"center", {"width"}}, center_filter},
      {{"e", {}}, escape_filter},
      {{"escape", {}}, escape_filter},
      {{"forceescape", {}}, forceescape_filter},
      {{"indent", {"width", "first", "blank"}}, indent_filter},
      {{"lower", {}}, case_filter<CaseChange::kLower>},
      {{"replace", {"old", "new", "count"}, 2}, replace_filter},
      {{"title", {}}, title_filter},
      {{"trim", {"chars"}}, trim_filter},
      {{"truncate", {"length", "killwords", "end", "leeway"}}, truncate_filter},
      {{"upper", {}}, case_filter<CaseChange::kUpper>},
      {{"urlencode", {}}, urlencode_filter},
      {{"wordcount", {}}, wordcount_filter},
  };
  return kFilters;
}

}  // namespace lantern::text::jinja
