#include "text/jinja/text_functions.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja/conversion.h"

namespace lantern::text::jinja {
namespace {

/// Where each occurrence begins, in order, none overlapping another, at most `count`.
std::vector<size_t> occurrences(std::string_view text, std::string_view needle, int64_t count,
                                bool from_right) {
  std::vector<size_t> out;
  auto within = [&] { return count < 0 || static_cast<int64_t>(out.size()) < count; };
  if (!from_right) {
    for (size_t at = 0; within();) {
      const size_t found = find_bytes(text, needle, at);
      if (found == std::string_view::npos) break;
      out.push_back(found);
      at = found + needle.size();
    }
    return out;
  }
  const std::string text_backwards(text.rbegin(), text.rend());
  const std::string needle_backwards(needle.rbegin(), needle.rend());
  for (size_t at = 0; within();) {
    const size_t found = find_bytes(text_backwards, needle_backwards, at);
    if (found == std::string_view::npos) break;
    out.push_back(text.size() - found - needle.size());
    at = found + needle.size();
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// The [begin, end) bytes of each run of characters that are not whitespace.
std::vector<std::pair<size_t, size_t>> words(std::string_view text) {
  std::vector<std::pair<size_t, size_t>> out;
  size_t size = 0;
  bool in_word = false;
  for (size_t at = 0; at < text.size(); at += size) {
    const bool space = is_space(decode_code_point(text, at, size));
    if (!space && !in_word) out.emplace_back(at, text.size());
    if (space && in_word) out.back().second = at;
    in_word = !space;
  }
  return out;
}

Result<std::vector<Value>> split_at_space(Runtime& rt, const Text& text, int64_t splits_max,
                                          bool from_right) {
  std::vector<std::pair<size_t, size_t>> parts = words(text.view());
  // What is left over when the splits run out keeps its inner whitespace, and that at the
  // text's far end.
  const auto n_parts = static_cast<int64_t>(parts.size());
  if (splits_max >= 0 && n_parts > splits_max) {
    if (from_right) {
      const auto first_kept = static_cast<size_t>(n_parts - splits_max);
      const std::pair<size_t, size_t> rest{0, parts[first_kept - 1].second};
      parts.erase(parts.begin(), parts.begin() + static_cast<int64_t>(first_kept) - 1);
      parts[0] = rest;
    } else {
      parts.resize(static_cast<size_t>(splits_max) + 1);
      parts.back().second = text.size_bytes();
    }
  }
  std::vector<Value> out;
  for (const auto& [begin, end] : parts) {
    LANTERN_ASSIGN(Value part, slice_bytes(rt, text, begin, end));
    out.push_back(std::move(part));
  }
  return out;
}

}  // namespace

Result<Value> slice_bytes(Runtime& rt, const Text& text, size_t begin, size_t end) {
  LANTERN_TRY(rt.read(end > begin ? end - begin : 0));
  TextBuilder out(rt.heap());
  out.append(text, begin, end);
  return out.finish();
}

Result<Value> strip(Runtime& rt, const Text& text, const Text* characters, Side side) {
  LANTERN_TRY(rt.read(text.size_bytes()));
  const std::string_view utf8 = text.view();
  if (characters == nullptr) {
    const size_t begin = side == Side::kRight ? 0 : leading_space_bytes(utf8);
    const size_t end = side == Side::kLeft || begin == utf8.size()
                           ? utf8.size()
                           : utf8.size() - trailing_space_bytes(utf8);
    return slice_bytes(rt, text, begin, end);
  }
  LANTERN_TRY(rt.step(characters->size_bytes()));
  std::vector<uint32_t> set;
  size_t size = 0;
  for (size_t at = 0; at < characters->size_bytes(); at += size)
    set.push_back(decode_code_point(characters->view(), at, size));
  std::sort(set.begin(), set.end());
  auto stripped = [&](uint32_t c) { return std::binary_search(set.begin(), set.end(), c); };
  size_t begin = 0;
  size_t end = utf8.size();
  if (side != Side::kRight)
    for (; begin < end; begin += size)
      if (!stripped(decode_code_point(utf8, begin, size))) break;
  if (side != Side::kLeft) {
    while (end > begin) {
      size_t last = end - 1;
      while (last > begin && (static_cast<unsigned char>(utf8[last]) & 0xC0) == 0x80) --last;
      if (!stripped(decode_code_point(utf8, last, size))) break;
      end = last;
    }
  }
  return slice_bytes(rt, text, begin, end);
}

Result<Value> replace(Runtime& rt, const Text& text, const Text& from, const Text& to,
                      int64_t count) {
  LANTERN_TRY(rt.read(text.size_bytes()));
  TextBuilder out(rt.heap());
  if (from.empty()) {
    // Between all characters, before the first and after the last.
    size_t size = 0;
    size_t at = 0;
    for (; at < text.size_bytes() && count != 0 && !out.full(); at += size, --count) {
      decode_code_point(text.view(), at, size);
      LANTERN_TRY(rt.step());
      out.append(to);
      out.append(text, at, at + size);
    }
    out.append(text, at, text.size_bytes());
    if (at >= text.size_bytes() && count != 0) out.append(to);
    return out.finish();
  }
  size_t begin = 0;
  for (const size_t found : occurrences(text.view(), from.view(), count, false)) {
    LANTERN_TRY(rt.read(to.size_bytes()));
    out.append(text, begin, found);
    out.append(to);
    begin = found + from.size_bytes();
  }
  out.append(text, begin, text.size_bytes());
  return out.finish();
}

Result<std::vector<Value>> split(Runtime& rt, const Text& text, const Text* separator,
                                 int64_t splits_max, bool from_right) {
  LANTERN_TRY(rt.read(text.size_bytes()));
  if (separator == nullptr) return split_at_space(rt, text, splits_max, from_right);
  if (separator->empty()) return type_error("empty separator");
  std::vector<Value> out;
  size_t begin = 0;
  for (const size_t found : occurrences(text.view(), separator->view(), splits_max, from_right)) {
    LANTERN_ASSIGN(Value part, slice_bytes(rt, text, begin, found));
    out.push_back(std::move(part));
    begin = found + separator->size_bytes();
  }
  LANTERN_ASSIGN(Value rest, slice_bytes(rt, text, begin, text.size_bytes()));
  out.push_back(std::move(rest));
  return out;
}

Result<std::vector<Value>> split_lines(Runtime& rt, const Text& text, bool keep_ends) {
  LANTERN_TRY(rt.read(text.size_bytes()));
  const std::string_view utf8 = text.view();
  std::vector<Value> out;
  size_t begin = 0;
  size_t size = 0;
  for (size_t at = 0; at < utf8.size(); at += size) {
    if (!is_line_end(decode_code_point(utf8, at, size))) continue;
    if (utf8[at] == '\r' && at + 1 < utf8.size() && utf8[at + 1] == '\n') ++size;
    LANTERN_ASSIGN(Value line, slice_bytes(rt, text, begin, keep_ends ? at + size : at));
    out.push_back(std::move(line));
    begin = at + size;
  }
  if (begin < utf8.size()) {
    LANTERN_ASSIGN(Value line, slice_bytes(rt, text, begin, utf8.size()));
    out.push_back(std::move(line));
  }
  return out;
}

Result<Value> join(Runtime& rt, const Text& separator, const std::vector<Value>& items) {
  TextBuilder out(rt.heap());
  for (size_t i = 0; i < items.size(); ++i) {
    LANTERN_TRY(rt.step());
    if (i > 0) out.append(separator);
    LANTERN_TRY(append_str(rt, out, items[i]));
  }
  return out.finish();
}

Result<Value> pad(Runtime& rt, const Text& text, int64_t width, std::string_view fill,
                  Side text_at) {
  const int64_t padding = width - static_cast<int64_t>(text.length());
  TextBuilder out(rt.heap());
  if (padding <= 0) {
    out.append(text);
    return out.finish();
  }
  LANTERN_TRY(rt.heap().check(static_cast<size_t>(padding)));
  LANTERN_TRY(rt.read(static_cast<size_t>(padding)));
  // str.center() puts the odd one to the left only where the width is odd.
  const int64_t before = text_at == Side::kLeft    ? 0
                         : text_at == Side::kRight ? padding
                                                   : padding / 2 + (padding & width & 1);
  append_fill(out, fill, before);
  out.append(text);
  append_fill(out, fill, padding - before);
  return out.finish();
}

void append_fill(TextBuilder& out, std::string_view fill, int64_t count) {
  if (count <= 0) return;
  if (fill.size() == 1) {
    out.fill(static_cast<uint64_t>(count), fill[0]);
    return;
  }
  constexpr int64_t kChunk = 4096;  // characters
  std::string chunk;
  for (int64_t i = 0; i < std::min(count, kChunk); ++i) chunk += fill;
  for (; count >= kChunk && !out.full(); count -= kChunk) out.append(chunk, SpanKind::kLiteral);
  out.append(std::string_view(chunk).substr(0, static_cast<size_t>(count % kChunk) * fill.size()),
             SpanKind::kLiteral);
}

void append_escaped(TextBuilder& out, const Value& value) {
  const Text& text = value.text();
  const std::string_view utf8 = text.view();
  size_t begin = 0;
  for (size_t at = 0; at < utf8.size() && !value.is_markup(); ++at) {
    static constexpr std::string_view kSpecial = "&<>'\"";
    static constexpr std::string_view kEntities[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    const size_t which = kSpecial.find(utf8[at]);
    if (which == std::string_view::npos) continue;
    out.append(text, begin, at);
    Text entity;
    entity.append_like(kEntities[which], text, at);
    out.append(entity);
    begin = at + 1;
  }
  out.append(text, begin, utf8.size());
}

Result<std::optional<int64_t>> parse_integer(std::string_view text, int base) {
  text.remove_prefix(leading_space_bytes(text));
  text.remove_suffix(trailing_space_bytes(text));
  std::string digits;
  size_t size = 0;
  bool underscore = true;  // may not stand first, nor after another
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  const char marker = text.size() > 1 && text[0] == '0' ? static_cast<char>(text[1] | 0x20) : '\0';
  const int prefix_base = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 0;
  if (prefix_base != 0 && (base == prefix_base || base == 0)) {
    base = prefix_base;
    text.remove_prefix(2);
    underscore = false;
  }
  if (base == 0) base = 10;
  for (size_t at = 0; at < text.size(); at += size) {
    const uint32_t c = decode_code_point(text, at, size);
    if (c == '_') {
      if (underscore) return std::optional<int64_t>();
      underscore = true;
      continue;
    }
    underscore = false;
    const int decimal = decimal_value(c);
    if (decimal >= 0)
      digits += static_cast<char>('0' + decimal);
    else if (c < 0x80)
      digits += static_cast<char>(c);
    else
      return std::optional<int64_t>();
  }
  if (digits.empty() || underscore || digits[0] == '-' || digits[0] == '+')
    return std::optional<int64_t>();
  if (negative) digits.insert(0, 1, '-');
  int64_t value = 0;
  auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (end != digits.data() + digits.size() || problem == std::errc::invalid_argument)
    return std::optional<int64_t>();
  if (problem != std::errc())
    return type_error("the integer {} does not fit 64 bits", digits.substr(0, 40));
  return std::optional<int64_t>(value);
}

std::optional<double> parse_real(std::string_view text) {
  text.remove_prefix(leading_space_bytes(text));
  text.remove_suffix(trailing_space_bytes(text));
  std::string ascii;
  char before = '_';
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    auto is_digit_char = [](char d) { return d >= '0' && d <= '9'; };
    if (c == '_') {
      if (!is_digit_char(before) || i + 1 >= text.size() || !is_digit_char(text[i + 1]))
        return std::nullopt;
    } else {
      ascii += (c >= 'A' && c <= 'Z') ? static_cast<char>(c | 0x20) : c;
    }
    before = c;
  }
  std::string_view rest = ascii;
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const double sign = negative ? -1 : 1;
  if (rest == "inf" || rest == "infinity") return sign * std::numeric_limits<double>::infinity();
  if (rest == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (rest.empty() || !((rest[0] >= '0' && rest[0] <= '9') || rest[0] == '.')) return std::nullopt;
  double value = 0;
  auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (end != rest.data() + rest.size() || problem == std::errc::invalid_argument)
    return std::nullopt;
  if (problem == std::errc::result_out_of_range) {
    const size_t exponent = rest.find('e');
    const bool tiny =
        exponent != std::string_view::npos && rest.substr(exponent + 1).starts_with('-');
    value = tiny ? 0 : std::numeric_limits<double>::infinity();
  }
  return sign * value;
}

}  // namespace lantern::text::jinja
