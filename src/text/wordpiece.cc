#include "text/wordpiece.h"

#include <algorithm>
#include <random>
#include <span>
#include <utility>

#include "text/bert_tables.h"
#include "text/piece_bytes.h"
#include "text/unicode.h"

namespace lantern::text {
namespace {

constexpr std::string_view kContinuationMark = "##";
constexpr char32_t kCapitalIWithDot = 0x130;  // the one letter that becomes two characters

bool is_in(std::span<const tables::Range> ranges, char32_t c) {
  auto after = std::upper_bound(ranges.begin(), ranges.end(), c,
                                [](char32_t x, const tables::Range& r) { return x < r.first; });
  return after != ranges.begin() && c <= std::prev(after)->last;
}

bool is_removed(char32_t c) { return is_in({tables::kBertRemoved, tables::kBertRemovedCount}, c); }
bool is_space(char32_t c) { return is_in({tables::kBertSpaces, tables::kBertSpacesCount}, c); }
bool is_mark(char32_t c) { return is_in({tables::kBertMarks, tables::kBertMarksCount}, c); }
bool is_punctuation(char32_t c) {
  return is_in({tables::kBertPunctuation, tables::kBertPunctuationCount}, c);
}
bool is_ideograph(char32_t c) {
  return is_in({tables::kBertIdeographs, tables::kBertIdeographsCount}, c);
}

char32_t to_lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  const std::span runs(tables::kBertLower, tables::kBertLowerCount);
  auto after = std::upper_bound(runs.begin(), runs.end(), c,
                                [](char32_t x, const auto& run) { return x < run.first; });
  // Two runs of every second letter may lie in one another.
  for (int tries = 0; tries < 2 && after != runs.begin(); ++tries) {
    const tables::LowerRun& run = *--after;
    if (c <= run.last && (c - run.first) % run.step == 0)
      return static_cast<char32_t>(static_cast<int32_t>(c) + run.delta);
  }
  return c;
}

void append_lower(char32_t c, std::string& out) {
  append_utf8(c == kCapitalIWithDot ? U'i' : to_lower(c), out);
  if (c == kCapitalIWithDot) append_utf8(0x307, out);
}

/// Calls `take` with each whole character; broken bytes are left out, as U+FFFD would be.
template <typename Take>
void for_each_character(std::string_view text, Take take) {
  for (size_t i = 0; i < text.size();) {
    const Decoded d = decode_utf8(text.substr(i));
    if (d.state == Decoded::State::kValid) take(d.code_point);
    i += d.length;
  }
}

std::string cleaned(std::string_view text, const BertNormalizer& normalizer) {
  std::string out;
  out.reserve(text.size());
  for_each_character(text, [&](char32_t c) {
    if (normalizer.clean_text) {
      if (is_removed(c)) return;
      if (is_space(c)) c = ' ';
    }
    const bool apart = normalizer.handle_chinese_chars && is_ideograph(c);
    if (apart) out += ' ';
    append_utf8(c, out);
    if (apart) out += ' ';
  });
  return out;
}

}  // namespace

BertNormalizer usual_bert_normalizer(const StringTable& tokens) {
  BertNormalizer out;
  for (size_t id = 0; id < tokens.size() && out.lowercase; ++id)
    if (!tokens[id].starts_with('['))
      out.lowercase = std::ranges::none_of(tokens[id], [](char c) { return c >= 'A' && c <= 'Z'; });
  out.strip_accents = out.lowercase;
  return out;
}

std::string normalize_for_bert(std::string_view text, const BertNormalizer& normalizer) {
  std::string out = cleaned(text, normalizer);
  if (normalizer.strip_accents) {
    std::string kept;
    kept.reserve(out.size());
    for_each_character(to_nfd(out), [&](char32_t c) {
      if (!is_mark(c)) append_utf8(c, kept);
    });
    out = std::move(kept);
  }
  if (!normalizer.lowercase) return out;
  std::string lower;
  lower.reserve(out.size());
  for_each_character(out, [&](char32_t c) { append_lower(c, lower); });
  return lower;
}

std::string WordPieceModel::piece_of(std::string_view token, bool is_special,
                                     WordPieceSpelling spelling) {
  if (is_special) return std::string(token);
  if (spelling == WordPieceSpelling::kMarkedContinuation) {
    if (token.starts_with(kContinuationMark))
      return std::string(token.substr(kContinuationMark.size()));
    return ' ' + std::string(token);
  }
  if (!token.starts_with(kVisibleSpace)) return std::string(token);
  return ' ' + std::string(token.substr(kVisibleSpace.size()));
}

Result<WordPieceModel> WordPieceModel::create(const Spec& spec) {
  if (spec.unk < 0) return make_error(ErrorCode::kCorrupt, "tokens: there is no unknown token");
  WordPieceModel model;
  model.normalizer_ = spec.normalizer;
  model.unk_ = spec.unk;
  model.word_characters_max_ = spec.word_characters_max;
  const StringTable& tokens = *spec.tokens;
  for (size_t id = 0; id < tokens.size(); ++id) {
    if ((*spec.special)[id] != 0) continue;
    const std::string piece = piece_of(tokens[id], false, spec.spelling);
    const bool starts = piece.starts_with(' ');
    const std::string_view text = std::string_view(piece).substr(starts ? 1 : 0);
    if (text.empty()) continue;
    (starts ? model.starts_ : model.continuations_).push_back(text);
    (starts ? model.start_ids_ : model.continuation_ids_).push_back(static_cast<TokenId>(id));
    model.piece_bytes_max_ = std::max(model.piece_bytes_max_, text.size());
  }
  std::random_device device;
  for (auto [table, index] : {std::pair(&model.starts_, &model.start_index_),
                              std::pair(&model.continuations_, &model.continuation_index_)}) {
    *index = StringIndex(table->size(), device());
    // Of equal texts the last one counts, as in a table that is filled in order.
    for (size_t i = 0; i < table->size(); ++i) index->insert(*table, static_cast<int32_t>(i));
  }
  return model;
}

/// The longest token first; a word that cannot be made up whole is unknown as a whole.
void WordPieceModel::encode_word(std::string_view word, std::vector<TokenId>& out) const {
  const auto is_boundary = [&](size_t at) {
    return at == word.size() || (static_cast<uint8_t>(word[at]) & 0xC0) != 0x80;
  };
  int64_t n_characters = 0;
  for (size_t i = 0; i < word.size(); ++i) n_characters += is_boundary(i) ? 1 : 0;
  if (n_characters > word_characters_max_) {
    out.push_back(unk_);
    return;
  }
  const size_t before = out.size();
  for (size_t begin = 0; begin < word.size();) {
    const bool first = begin == 0;
    const StringTable& table = first ? starts_ : continuations_;
    size_t end = std::min(word.size(), begin + piece_bytes_max_);
    int32_t found = -1;
    for (; end > begin && found < 0; --end)
      if (is_boundary(end))
        found = (first ? start_index_ : continuation_index_)
                    .find(table, word.substr(begin, end - begin));
    if (found < 0) {
      out.resize(before);
      out.push_back(unk_);
      return;
    }
    out.push_back((first ? start_ids_ : continuation_ids_)[static_cast<size_t>(found)]);
    begin += table[static_cast<size_t>(found)].size();
  }
}

void WordPieceModel::encode(std::string_view text, std::vector<TokenId>& out) const {
  const std::string normalized = normalize_for_bert(text, normalizer_);
  std::string_view rest = normalized;
  size_t word = 0;  // bytes of the word that is being read, in front of `rest`
  const auto end_word = [&] {
    if (word > 0) encode_word({rest.data() - word, word}, out);
    word = 0;
  };
  while (!rest.empty()) {
    const Decoded d = decode_utf8(rest);
    const bool space = is_space(d.code_point);
    if (space || is_punctuation(d.code_point)) {
      end_word();
      if (!space) encode_word(rest.substr(0, d.length), out);
    } else {
      word += d.length;
    }
    rest.remove_prefix(d.length);
  }
  end_word();
}

}  // namespace lantern::text
