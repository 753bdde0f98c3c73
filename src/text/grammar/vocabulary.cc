#include "text/grammar/vocabulary.h"

#include <algorithm>
#include <numeric>

#include "text/unicode.h"

namespace lantern::text::grammar {
namespace {

constexpr ByteRange kDigitRanges[] = {{'0', '9'}};
constexpr ByteRange kLowerRanges[] = {{'a', 'z'}};
constexpr ByteRange kLetterRanges[] = {{'A', 'Z'}, {'a', 'z'}};
constexpr ByteRange kWordRanges[] = {{'-', '-'}, {'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
constexpr ByteRange kAsciiRanges[] = {{' ', '!'}, {'#', '['}, {']', 0x7F}};

/// The smallest class whose characters alone make up `bytes`, and how many they are.
std::pair<size_t, int> class_of(std::string_view bytes) {
  size_t found = 0;
  int length = 0;
  for (size_t i = 0; i < bytes.size(); ++length) {
    const Decoded c = decode_utf8(bytes.substr(i));
    if (c.state != Decoded::State::kValid) return {kTokenClasses, 0};
    size_t k = kText;
    if (c.code_point < 0x80) {
      const auto in = [&](size_t token_class) {
        return std::ranges::any_of(class_ranges(token_class), [&](ByteRange r) {
          return c.code_point >= r.first && c.code_point <= r.last;
        });
      };
      k = 0;
      while (k < kText && !in(k)) ++k;
      if (k == kText) return {kTokenClasses, 0};  // needs an escape
    }
    if (i == 0) found = k;
    size_t both = found;
    while (!class_within(k, both) || !class_within(found, both)) ++both;
    found = both;
    i += c.length;
  }
  return {found, length};
}

Trie make_trie(const std::vector<std::string>& bytes, std::vector<TokenId> ids) {
  std::ranges::sort(ids, [&](TokenId a, TokenId b) {
    const int order = bytes[static_cast<size_t>(a)].compare(bytes[static_cast<size_t>(b)]);
    return order != 0 ? order < 0 : a < b;
  });
  Trie trie;
  std::vector<uint32_t> open;  // the nodes of the last token's path
  std::string_view path;
  const auto close_to = [&](size_t depth) {
    while (open.size() > depth) {
      trie.skip[open.back()] = static_cast<uint32_t>(trie.byte.size());
      open.pop_back();
    }
  };
  for (const TokenId id : ids) {
    const std::string_view text = bytes[static_cast<size_t>(id)];
    const size_t common = static_cast<size_t>(
        std::mismatch(path.begin(), path.end(), text.begin(), text.end()).first - path.begin());
    close_to(common);
    for (size_t i = common; i < text.size(); ++i) {
      open.push_back(static_cast<uint32_t>(trie.byte.size()));
      trie.byte.push_back(static_cast<uint8_t>(text[i]));
      trie.depth.push_back(static_cast<uint16_t>(i + 1));
      trie.skip.push_back(0);
      trie.first_token.push_back(static_cast<uint32_t>(trie.tokens.size()));
    }
    trie.depth_max = std::max(trie.depth_max, static_cast<uint16_t>(text.size()));
    trie.tokens.push_back(id);
    path = text;
  }
  close_to(0);
  trie.first_token.push_back(static_cast<uint32_t>(trie.tokens.size()));
  return trie;
}

}  // namespace

std::span<const ByteRange> class_ranges(size_t token_class) {
  switch (token_class) {
    case kDigits:
      return kDigitRanges;
    case kLower:
      return kLowerRanges;
    case kLetters:
      return kLetterRanges;
    case kWord:
      return kWordRanges;
    default:
      return kAsciiRanges;
  }
}

bool class_within(size_t inner, size_t outer) {
  return inner == outer || (inner < outer && !(inner == kDigits && outer < kWord));
}

VocabularyTables make_tables(std::vector<std::string> bytes, std::span<const TokenId> end_ids) {
  VocabularyTables out;
  out.size = bytes.size();
  out.bytes = std::move(bytes);
  for (const TokenId id : end_ids)
    if (id >= 0 && static_cast<size_t>(id) < out.size) out.end_ids.push_back(id);

  // By class and band, what is in none last.
  std::vector<std::vector<TokenId>> ids(kTokenClasses * kLengthBands.size() + 1);
  for (size_t i = 0; i < out.size; ++i) {
    const std::string& text = out.bytes[i];
    const auto id = static_cast<TokenId>(i);
    if (text.empty() || std::ranges::find(out.end_ids, id) != out.end_ids.end()) continue;
    const auto [token_class, length] = class_of(text);
    size_t cell = ids.size() - 1;
    if (token_class < kTokenClasses && length <= kLengthMax) {
      const auto band = std::ranges::lower_bound(kLengthBands, length) - kLengthBands.begin();
      cell = token_class * kLengthBands.size() + static_cast<size_t>(band);
    }
    ids[cell].push_back(id);
  }
  for (auto& of_class : out.within)
    for (TokenMask& mask : of_class) mask = TokenMask(out.size);
  for (size_t i = 0; i < ids.size(); ++i) {
    const bool classless = i + 1 == ids.size();
    const size_t token_class = i / kLengthBands.size();
    const size_t band = i % kLengthBands.size();
    if (ids[i].empty()) continue;
    for (size_t wider = 0; !classless && wider < kTokenClasses; ++wider)
      for (size_t longer = band; longer < kLengthBands.size(); ++longer)
        if (class_within(token_class, wider))
          for (const TokenId id : ids[i]) out.within[wider][longer].allow(id);
    out.cells.push_back({.token_class = classless ? kTokenClasses : token_class,
                         .length = classless ? 0 : kLengthBands[band],
                         .trie = make_trie(out.bytes, std::move(ids[i]))});
  }
  return out;
}

}  // namespace lantern::text::grammar
