#include "text/added_tokens.h"

#include <algorithm>

#include "text/unicode.h"

namespace lantern::text {
namespace {

bool is_space(const Decoded& d) {
  return d.state == Decoded::State::kValid && char_class(d.code_point) == CharClass::kSpace;
}

}  // namespace

Result<AddedTokenMatcher> AddedTokenMatcher::create(std::vector<Entry> entries) {
  AddedTokenMatcher matcher;
  for (const Entry& entry : entries) {
    if (entry.text.size() > kTextBytesMax)
      return make_error(ErrorCode::kUnsupported,
                        "tokens[{}]: an added token of {} bytes, at most {}", entry.token.id,
                        entry.text.size(), kTextBytesMax);
  }
  std::erase_if(entries, [](const Entry& entry) { return entry.text.empty(); });
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.text < b.text; });
  entries.erase(std::unique(entries.begin(), entries.end(),
                            [](const Entry& a, const Entry& b) { return a.text == b.text; }),
                entries.end());
  for (const Entry& entry : entries)
    matcher.first_bytes_[static_cast<uint8_t>(entry.text[0])] = true;
  matcher.entries_ = std::move(entries);
  return matcher;
}

void AddedTokenMatcher::narrow(size_t depth, uint8_t byte, size_t& low, size_t& high) const {
  const auto byte_of = [&](const Entry& entry) { return static_cast<uint8_t>(entry.text[depth]); };
  const auto begin = entries_.begin() + static_cast<ptrdiff_t>(low);
  const auto end = entries_.begin() + static_cast<ptrdiff_t>(high);
  const auto first = std::lower_bound(
      begin, end, byte, [&](const Entry& entry, uint8_t b) { return byte_of(entry) < b; });
  const auto last = std::upper_bound(
      first, end, byte, [&](uint8_t b, const Entry& entry) { return b < byte_of(entry); });
  high = static_cast<size_t>(last - entries_.begin());
  low = static_cast<size_t>(first - entries_.begin());
}

AddedTokenMatcher::Match AddedTokenMatcher::with_white_space(std::string_view text, size_t from,
                                                             size_t at, const Entry& entry) {
  Match match{at, at + entry.text.size(), entry.token.id};
  while (entry.token.lstrip && match.begin > from) {
    // One character back: continuation bytes are 10xxxxxx.
    size_t before = match.begin - 1;
    while (before > from && (static_cast<uint8_t>(text[before]) & 0xC0) == 0x80) --before;
    const Decoded d = decode_utf8(text.substr(before, match.begin - before));
    if (!is_space(d) || before + d.length != match.begin) break;
    match.begin = before;
  }
  while (entry.token.rstrip && match.end < text.size()) {
    const Decoded d = decode_utf8(text.substr(match.end));
    if (!is_space(d)) break;
    match.end += d.length;
  }
  return match;
}

}  // namespace lantern::text
