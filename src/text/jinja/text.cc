#include "text/jinja/text.h"

#include <algorithm>
#include <cstring>

#include "text/jinja/unicode_tables.h"

namespace lantern::text::jinja {
namespace {

bool in_ranges(const CodePointRange* ranges, size_t count, uint32_t c) {
  const CodePointRange* end = ranges + count;
  const CodePointRange* found = std::upper_bound(
      ranges, end, c, [](uint32_t v, const CodePointRange& r) { return v < r.first; });
  return found != ranges && c <= (found - 1)->last;
}

struct CaseTable {
  const CaseRun* runs;
  size_t n_runs;
  const CaseSpecial* specials;
  size_t n_specials;
};

CaseTable case_table(CaseMapping mapping) {
  switch (mapping) {
    case CaseMapping::kUpper:
      return {kUpper, kUpperCount, kUpperSpecial, kUpperSpecialCount};
    case CaseMapping::kLower:
      return {kLower, kLowerCount, kLowerSpecial, kLowerSpecialCount};
    case CaseMapping::kTitle:
      break;
  }
  return {kTitle, kTitleCount, kTitleSpecial, kTitleSpecialCount};
}

/// A sigma is written final after a cased letter and not before one, characters such as
/// apostrophes aside (the Unicode Standard, table 3-17).
bool is_final_sigma(std::string_view utf8, size_t at) {
  bool cased_before = false;
  for (size_t i = at; i > 0;) {
    do --i;
    while (i > 0 && (static_cast<unsigned char>(utf8[i]) & 0xC0) == 0x80);
    size_t size = 0;
    uint32_t c = decode_code_point(utf8, i, size);
    if (in_ranges(kSigmaIgnored, kSigmaIgnoredCount, c)) continue;
    cased_before = is_cased(c);
    break;
  }
  if (!cased_before) return false;
  size_t size = 0;
  decode_code_point(utf8, at, size);
  for (size_t i = at + size; i < utf8.size(); i += size) {
    uint32_t c = decode_code_point(utf8, i, size);
    if (in_ranges(kSigmaIgnored, kSigmaIgnoredCount, c)) continue;
    return !is_cased(c);
  }
  return true;
}

}  // namespace

Text::Text(std::string_view bytes, SpanKind kind) { append(bytes, kind); }

bool Text::has_content() const {
  return std::any_of(runs_.begin(), runs_.end(),
                     [](const Run& r) { return r.kind == SpanKind::kContent; });
}

size_t Text::byte_at(size_t index) const {
  if (index >= length_) return bytes_.size();
  if (ascii()) return index;
  size_t at = 0;
  for (; at < bytes_.size(); ++at) {
    if ((static_cast<unsigned char>(bytes_[at]) & 0xC0) == 0x80) continue;
    if (index-- == 0) break;
  }
  return at;
}

void Text::extend_run(size_t end, SpanKind kind) {
  if (!runs_.empty() && runs_.back().kind == kind)
    runs_.back().end = end;
  else
    runs_.push_back({end, kind});
}

void Text::append(std::string_view bytes, SpanKind kind) {
  if (bytes.empty()) return;
  bytes_.append(bytes);
  length_ += count_code_points(bytes);
  extend_run(bytes_.size(), kind);
}

size_t Text::run_at(size_t byte) const {
  auto found = std::upper_bound(runs_.begin(), runs_.end(), byte,
                                [](size_t v, const Run& r) { return v < r.end; });
  return static_cast<size_t>(found - runs_.begin());
}

void Text::append(const Text& other, size_t begin, size_t end) {
  if (begin >= end) return;
  std::string_view part = std::string_view(other.bytes_).substr(begin, end - begin);
  const size_t base = bytes_.size();
  bytes_.append(part);
  length_ += other.ascii() ? part.size() : count_code_points(part);
  for (size_t run = other.run_at(begin); run < other.runs_.size(); ++run) {
    const size_t run_end = std::min(other.runs_[run].end, end);
    extend_run(base + (run_end - begin), other.runs_[run].kind);
    if (run_end == end) break;
  }
}

void Text::append_like(std::string_view bytes, const Text& source, size_t at) {
  append(bytes, source.runs_[source.run_at(at)].kind);
}

std::vector<Span> Text::spans() const {
  std::vector<Span> out;
  out.reserve(runs_.size());
  size_t begin = 0;
  for (const Run& run : runs_) {
    out.push_back({bytes_.substr(begin, run.end - begin), run.kind});
    begin = run.end;
  }
  return out;
}

size_t count_code_points(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(utf8.begin(), utf8.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

bool is_utf8(std::string_view bytes) {
  for (size_t i = 0; i < bytes.size();) {
    const auto lead = static_cast<unsigned char>(bytes[i]);
    if (lead < 0x80) {
      ++i;
      continue;
    }
    const size_t size = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
    if (lead < 0xC2 || lead > 0xF4 || i + size > bytes.size()) return false;
    for (size_t k = 1; k < size; ++k)
      if ((static_cast<unsigned char>(bytes[i + k]) & 0xC0) != 0x80) return false;
    size_t decoded = 0;
    const uint32_t c = decode_code_point(bytes, i, decoded);
    const bool overlong = (size == 3 && c < 0x800) || (size == 4 && c < 0x10000);
    if (overlong || (c >= 0xD800 && c <= 0xDFFF) || c > 0x10FFFF) return false;
    i += size;
  }
  return true;
}

uint32_t decode_code_point(std::string_view utf8, size_t at, size_t& size) {
  auto byte = [&](size_t i) {
    return i < utf8.size() ? static_cast<uint32_t>(static_cast<unsigned char>(utf8[i])) : 0x80u;
  };
  const uint32_t lead = byte(at);
  if (lead < 0x80) {
    size = 1;
    return lead;
  }
  if (lead < 0xE0) {
    size = 2;
    return ((lead & 0x1F) << 6) | (byte(at + 1) & 0x3F);
  }
  if (lead < 0xF0) {
    size = 3;
    return ((lead & 0x0F) << 12) | ((byte(at + 1) & 0x3F) << 6) | (byte(at + 2) & 0x3F);
  }
  size = 4;
  return ((lead & 0x07) << 18) | ((byte(at + 1) & 0x3F) << 12) | ((byte(at + 2) & 0x3F) << 6) |
         (byte(at + 3) & 0x3F);
}

void append_code_point(std::string& out, uint32_t c) {
  auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (c < 0x80) {
    push(c);
  } else if (c < 0x800) {
    push(0xC0 | (c >> 6));
    push(0x80 | (c & 0x3F));
  } else if (c < 0x10000) {
    push(0xE0 | (c >> 12));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  } else {
    push(0xF0 | (c >> 18));
    push(0x80 | ((c >> 12) & 0x3F));
    push(0x80 | ((c >> 6) & 0x3F));
    push(0x80 | (c & 0x3F));
  }
}

size_t find_bytes(std::string_view text, std::string_view needle, size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  // glibc's memmem is the two-way algorithm; std::string_view::find would be quadratic.
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

size_t rfind_bytes(std::string_view text, std::string_view needle) {
  const std::string backwards(text.rbegin(), text.rend());
  const std::string needle_backwards(needle.rbegin(), needle.rend());
  const size_t found = find_bytes(backwards, needle_backwards);
  if (found == std::string_view::npos) return found;
  return text.size() - found - needle.size();
}

size_t leading_space_bytes(std::string_view utf8) {
  size_t at = 0;
  for (size_t size = 0; at < utf8.size(); at += size)
    if (!is_space(decode_code_point(utf8, at, size))) break;
  return at;
}

size_t trailing_space_bytes(std::string_view utf8) {
  size_t end = utf8.size();
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(utf8[begin]) & 0xC0) == 0x80) --begin;
    size_t size = 0;
    if (!is_space(decode_code_point(utf8, begin, size))) break;
    end = begin;
  }
  return utf8.size() - end;
}

bool is_space(uint32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_line_end(uint32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_alpha(uint32_t c) { return in_ranges(kAlpha, kAlphaCount, c); }
bool is_decimal(uint32_t c) { return in_ranges(kDecimal, kDecimalCount, c); }
bool is_digit(uint32_t c) { return in_ranges(kDigit, kDigitCount, c); }
bool is_numeric(uint32_t c) { return in_ranges(kNumeric, kNumericCount, c); }
bool is_upper(uint32_t c) { return in_ranges(kIsUpper, kIsUpperCount, c); }
bool is_lower(uint32_t c) { return in_ranges(kIsLower, kIsLowerCount, c); }
bool is_cased(uint32_t c) {
  return is_upper(c) || is_lower(c) || in_ranges(kTitlecase, kTitlecaseCount, c);
}
bool is_printable(uint32_t c) { return !in_ranges(kNotPrintable, kNotPrintableCount, c); }

int decimal_value(uint32_t c) {
  for (size_t i = 0; i < kDecimalCount; ++i)
    if (c >= kDecimal[i].first && c <= kDecimal[i].last)
      return static_cast<int>((c - kDecimal[i].first) % 10);
  return -1;
}

void append_mapped(std::string& out, uint32_t c, CaseMapping mapping) {
  const CaseTable table = case_table(mapping);
  const CaseSpecial* specials_end = table.specials + table.n_specials;
  const CaseSpecial* special =
      std::lower_bound(table.specials, specials_end, c,
                       [](const CaseSpecial& s, uint32_t v) { return s.code_point < v; });
  if (special != specials_end && special->code_point == c) {
    for (uint32_t to : special->to)
      if (to != 0) append_code_point(out, to);
    return;
  }
  const CaseRun* runs_end = table.runs + table.n_runs;
  const CaseRun* run = std::upper_bound(table.runs, runs_end, c,
                                        [](uint32_t v, const CaseRun& r) { return v < r.first; });
  // Runs of stride 2 interleave (upper and lower letters in turn), so look at two.
  for (int back = 1; back <= 2 && run - back >= table.runs; ++back) {
    const CaseRun& r = *(run - back);
    if (c <= r.last && (c - r.first) % r.stride == 0) {
      append_code_point(out, static_cast<uint32_t>(static_cast<int32_t>(c) + r.delta));
      return;
    }
  }
  append_code_point(out, c);
}

Text change_case(const Text& text, CaseChange change) {
  constexpr uint32_t kSigma = 0x3A3;
  constexpr uint32_t kFinalSigma = 0x3C2;
  Text out;
  const std::string_view utf8 = text.view();
  std::string mapped;
  bool after_cased = false;  // for title()
  size_t size = 0;
  for (size_t at = 0; at < utf8.size(); at += size) {
    const uint32_t c = decode_code_point(utf8, at, size);
    CaseMapping mapping = CaseMapping::kLower;
    if (change == CaseChange::kUpper || (change == CaseChange::kSwap && is_lower(c)))
      mapping = CaseMapping::kUpper;
    if ((change == CaseChange::kTitle && !after_cased) ||
        (change == CaseChange::kCapitalize && at == 0))
      mapping = CaseMapping::kTitle;
    if (change == CaseChange::kTitle) after_cased = is_cased(c);
    mapped.clear();
    if (change == CaseChange::kSwap && !is_lower(c) && !is_upper(c))
      append_code_point(mapped, c);
    else if (mapping == CaseMapping::kLower && c == kSigma && is_final_sigma(utf8, at))
      append_code_point(mapped, kFinalSigma);
    else
      append_mapped(mapped, c, mapping);
    out.append_like(mapped, text, at);
  }
  return out;
}

}  // namespace lantern::text::jinja
