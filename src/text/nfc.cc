// Normal forms C and D (UAX #15): decompose, order the marks, compose. Only stretches around a
// character that may change are worked on; all other text is copied.
#include <algorithm>
#include <iterator>
#include <span>
#include <vector>

#include "text/unicode.h"
#include "text/unicode_tables.h"

namespace lantern::text {
namespace {

// The Unicode Standard, 3.12: Hangul syllables are composed by arithmetic.
constexpr char32_t kSBase = 0xAC00, kLBase = 0x1100, kVBase = 0x1161, kTBase = 0x11A7;
constexpr char32_t kLCount = 19, kVCount = 21, kTCount = 28;
constexpr char32_t kSCount = kLCount * kVCount * kTCount;

struct Mark {
  char32_t code_point;
  uint8_t combining_class;
};

bool needs_attention(char32_t c) {
  const size_t block = tables::kBlockIndex[c / tables::kBlock];
  return (tables::kClassAndFlags[block * tables::kBlock + c % tables::kBlock] &
          tables::kNfcAttention) != 0;
}

uint8_t combining_class(char32_t c) {
  const std::span all(tables::kCombiningClasses, tables::kCombiningClassCount);
  auto after = std::upper_bound(all.begin(), all.end(), c,
                                [](char32_t x, const auto& entry) { return x < entry.first; });
  if (after == all.begin()) return 0;
  const auto& entry = *std::prev(after);
  return c <= entry.last ? entry.value : 0;
}

void decompose(char32_t c, std::vector<Mark>& out) {
  if (c - kSBase < kSCount) {
    const char32_t s = c - kSBase;
    out.push_back({kLBase + s / (kVCount * kTCount), 0});
    out.push_back({kVBase + s % (kVCount * kTCount) / kTCount, 0});
    if (s % kTCount != 0) out.push_back({kTBase + s % kTCount, 0});
    return;
  }
  const std::span all(tables::kDecompositions, tables::kDecompositionCount);
  auto found = std::lower_bound(all.begin(), all.end(), c,
                                [](const auto& entry, char32_t x) { return entry.composed < x; });
  if (found == all.end() || found->composed != c) {
    out.push_back({c, combining_class(c)});
    return;
  }
  for (char32_t part : std::span(tables::kDecomposed + found->offset, found->length))
    out.push_back({part, combining_class(part)});
}

/// 0 where the two do not compose.
char32_t compose(char32_t first, char32_t second) {
  if (first - kLBase < kLCount && second - kVBase < kVCount)
    return kSBase + ((first - kLBase) * kVCount + (second - kVBase)) * kTCount;
  if (first - kSBase < kSCount && (first - kSBase) % kTCount == 0 && second > kTBase &&
      second < kTBase + kTCount)
    return first + (second - kTBase);
  const std::span all(tables::kCompositions, tables::kCompositionCount);
  auto found = std::lower_bound(all.begin(), all.end(), std::pair(first, second),
                                [](const auto& entry, const auto& key) {
                                  return std::pair(entry.first, entry.second) < key;
                                });
  return found != all.end() && found->first == first && found->second == second ? found->composed
                                                                                : 0;
}

/// Marks behind one another in the order of their classes.
void order(std::vector<Mark>& marks) {
  for (size_t i = 0; i < marks.size();) {
    size_t end = i + 1;
    if (marks[i].combining_class != 0) {
      while (end < marks.size() && marks[end].combining_class != 0) ++end;
      std::stable_sort(
          marks.begin() + static_cast<ptrdiff_t>(i), marks.begin() + static_cast<ptrdiff_t>(end),
          [](const Mark& a, const Mark& b) { return a.combining_class < b.combining_class; });
    }
    i = end;
  }
}

void append_nfc(std::vector<Mark>& marks, std::string& out) {
  order(marks);
  size_t n = 0;  // marks[0, n) is the result so far
  size_t starter = marks.size();
  for (const Mark mark : std::vector<Mark>(marks)) {
    // A mark of the same or a higher class between the two blocks the composition.
    const bool adjacent = starter < n && n - starter == 1;
    const bool reachable =
        starter < n && (adjacent || (marks[n - 1].combining_class != 0 &&
                                     marks[n - 1].combining_class < mark.combining_class));
    if (reachable) {
      if (char32_t composed = compose(marks[starter].code_point, mark.code_point)) {
        marks[starter].code_point = composed;
        continue;
      }
    }
    if (mark.combining_class == 0) starter = n;
    marks[n++] = mark;
  }
  for (const Mark mark : std::span(marks).first(n)) append_utf8(mark.code_point, out);
}

}  // namespace

bool is_surely_nfc(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<uint8_t>(text[i]) < 0xCC) {  // below U+0300 nothing changes
      ++i;
      continue;
    }
    const Decoded d = decode_utf8(text.substr(i));
    if (d.state == Decoded::State::kValid && needs_attention(d.code_point)) return false;
    i += d.length;
  }
  return true;
}

std::string to_nfd(std::string_view text) {
  std::vector<Mark> marks;
  marks.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    const Decoded d = decode_utf8(text.substr(i));
    if (d.state == Decoded::State::kValid) decompose(d.code_point, marks);
    i += d.length;
  }
  order(marks);
  std::string out;
  out.reserve(text.size());
  for (const Mark mark : marks) append_utf8(mark.code_point, out);
  return out;
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<Mark> marks;
  // [begin, i) is the stretch being collected: a character that nothing before it can change,
  // and whatever needs attention after it.
  size_t begin = 0;
  bool changes = false;
  const auto finish = [&](size_t end) {
    const std::string_view stretch = text.substr(begin, end - begin);
    if (changes) {
      marks.clear();
      for (size_t i = 0; i < stretch.size();) {
        const Decoded d = decode_utf8(stretch.substr(i));
        decompose(d.code_point, marks);
        i += d.length;
      }
      append_nfc(marks, out);
    } else {
      out += stretch;
    }
    begin = end;
    changes = false;
  };
  for (size_t i = 0; i < text.size();) {
    const Decoded d = decode_utf8(text.substr(i));
    const bool valid = d.state == Decoded::State::kValid;
    const bool attention = valid && needs_attention(d.code_point);
    if (!attention) finish(i);
    if (attention) changes = true;
    i += d.length;
    if (!valid) finish(i);
  }
  finish(text.size());
  return out;
}

}  // namespace lantern::text
