#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <random>

#include "text/piece_bytes.h"
#include "text/unicode.h"

namespace lantern::text {
namespace {

// Above this many symbols the heap's n log n beats the arrays' quadratic scan.
constexpr size_t kShortSymbolsMax = 48;

/// A symbol whose token takes part in no merge is kept as -2 - token.
constexpr TokenId unmergeable(TokenId token) { return -2 - token; }

/// Higher floats give lower numbers.
uint32_t descending(float score) {
  const auto bits = std::bit_cast<uint32_t>(score);
  return (bits & 0x80000000u) != 0 ? bits : 0x7FFFFFFFu - bits;
}

uint64_t random_seed() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

uint16_t count_characters(std::string_view piece) {
  size_t n = 0;
  for (char c : piece) n += (static_cast<uint8_t>(c) & 0xC0) != 0x80;
  return static_cast<uint16_t>(std::min<size_t>(n, UINT16_MAX));
}

}  // namespace

BpeModel::Workspace::Workspace(size_t text_bytes) {
  if (text_bytes >= kCacheFromTextBytes) cache_.resize(kEntries);
}

Result<BpeModel> BpeModel::create(const BpeSpec& from) {
  const TokenizerSpec& spec = *from.spec;
  BpeModel model;
  model.pieces_ = from.pieces;
  model.by_character_ = spec.kind == TokenizerKind::kSentencePieceBpe;
  model.ignore_merges_ = from.ignore_merges;
  model.fuse_unk_ = spec.fuse_unk;
  model.unk_ = from.unk;
  model.byte_tokens_ = from.byte_tokens;
  model.byte_fallback_ = model.by_character_ && spec.byte_fallback && from.byte_tokens[0] >= 0;

  const size_t n = from.pieces->size();
  model.index_ = StringIndex(n, random_seed());
  for (size_t id = 0; id < n; ++id)
    if ((*from.usable)[id] != 0 && !(*from.pieces)[id].empty())
      model.index_.insert(*from.pieces, static_cast<int32_t>(id));
  model.whole_ = std::make_unique<std::atomic<uint8_t>[]>(n);
  for (size_t c = 0; c < model.ascii_tokens_.size(); ++c) {
    const char character = static_cast<char>(c);
    model.ascii_tokens_[c] = model.find({&character, 1});
  }

  model.by_score_ = model.by_character_ && spec.merges.empty() && !spec.scores.empty();
  if (model.by_score_)
    model.add_scores(spec);
  else
    LANTERN_TRY(model.add_merges(spec));
  return model;
}

void BpeModel::add_scores(const TokenizerSpec& spec) {
  const size_t n = pieces_->size();
  score_order_.resize(n);
  n_characters_.resize(n);
  for (size_t id = 0; id < n; ++id) {
    // SentencePiece gives user-defined pieces the score 0, above every learned one; converters
    // to GGUF write another number for them.
    const bool user_defined = !spec.types.empty() && spec.types[id] == TokenType::kUserDefined;
    score_order_[id] = descending(user_defined ? 0.0f : spec.scores[id]);
    n_characters_[id] = count_characters((*pieces_)[id]);
  }
}

/// Looks up the three pieces of many merges at a time, so that their memory accesses overlap: one
/// after the other they are most of the time that making a tokenizer takes.
Status BpeModel::add_merges(const TokenizerSpec& spec) {
  constexpr size_t kBlock = 64;
  struct Line {
    std::array<std::string_view, 3> pieces;  // left, right, merged
    std::array<uint64_t, 3> hashes;
  };
  const size_t n = spec.merges.size();
  merges_ = PairIndex(n, random_seed());
  std::optional<StringIndex> every_piece;
  std::array<Line, kBlock> lines;
  std::array<std::array<size_t, 3>, kBlock> places{};  // in `bytes`: left, right, end
  std::string bytes;
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t n_lines = std::min(kBlock, n - first);
    bytes.clear();
    for (size_t i = 0; i < n_lines; ++i) {
      const std::string_view line = spec.merges[first + i];
      // A part may itself begin with a space, so the first character is never the separator.
      const size_t space = line.find(' ', 1);
      if (space == std::string_view::npos || space + 1 == line.size())
        return make_error(ErrorCode::kCorrupt, "merges[{}]: \"{}\" is not two tokens", first + i,
                          line);
      places[i][0] = bytes.size();
      append_piece_bytes(spec.kind, line.substr(0, space), bytes);
      places[i][1] = bytes.size();
      append_piece_bytes(spec.kind, line.substr(space + 1), bytes);
      places[i][2] = bytes.size();
    }
    for (size_t i = 0; i < n_lines; ++i) {
      const auto& [left, right, end] = places[i];
      const std::string_view all = bytes;
      lines[i].pieces = {all.substr(left, right - left), all.substr(right, end - right),
                         all.substr(left, end - left)};
      for (size_t part = 0; part < 3; ++part) {
        lines[i].hashes[part] = index_.hash(lines[i].pieces[part]);
        index_.prefetch_slot(lines[i].hashes[part]);
      }
    }
    for (size_t i = 0; i < n_lines; ++i)
      for (uint64_t hash : lines[i].hashes) index_.prefetch_string(*pieces_, hash);
    for (size_t i = 0; i < n_lines; ++i) {
      std::array<TokenId, 3> ids;
      for (size_t part = 0; part < 3; ++part)
        ids[part] = index_.find(*pieces_, lines[i].pieces[part], lines[i].hashes[part]);
      if (ids[0] >= 0 && ids[1] >= 0 && ids[2] >= 0)
        merges_.insert(ids[0], ids[1], {static_cast<uint32_t>(first + i), ids[2]});
      else
        LANTERN_TRY(check_unusable_merge(first + i, lines[i].pieces, every_piece));
    }
  }
  return {};
}

/// A merge that touches a token which ordinary text never yields is left out; one that names what
/// is no token at all is a fault. `every_piece` is made at first need.
Status BpeModel::check_unusable_merge(size_t rank, std::span<const std::string_view> pieces,
                                      std::optional<StringIndex>& every_piece) const {
  if (!every_piece) {
    every_piece.emplace(pieces_->size(), random_seed());
    for (size_t id = 0; id < pieces_->size(); ++id)
      every_piece->insert(*pieces_, static_cast<int32_t>(id));
  }
  for (std::string_view piece : pieces)
    if (every_piece->find(*pieces_, piece) < 0)
      return make_error(ErrorCode::kCorrupt, "merges[{}]: \"{}\" is no token", rank, piece);
  return {};
}

void BpeModel::split_unknown(std::string_view character, size_t at, bool& unknown_run,
                             std::vector<Symbol>& symbols) const {
  const size_t end = at + character.size();
  if (byte_fallback_) {
    for (size_t i = 0; i < character.size(); ++i)
      symbols.push_back(
          {at + i, at + i + 1, unmergeable(byte_tokens_[static_cast<uint8_t>(character[i])])});
    unknown_run = false;
  } else if (unk_ >= 0 && unknown_run && fuse_unk_) {
    symbols.back().end = end;
  } else if (unk_ >= 0) {
    symbols.push_back({at, end, unmergeable(unk_)});
    unknown_run = true;
  }
  // With neither, the character is lost, as in Hugging Face tokenizers.
}

void BpeModel::split(std::string_view word, std::vector<Symbol>& symbols) const {
  symbols.clear();
  bool unknown_run = false;
  for (size_t i = 0; i < word.size();) {
    const auto byte = static_cast<uint8_t>(word[i]);
    size_t length = 1;
    TokenId id = -1;
    if (!by_character_) {
      id = byte_tokens_[byte];
    } else if (byte < 0x80) {
      id = ascii_tokens_[byte];
    } else {
      const Decoded d = decode_utf8(word.substr(i));
      length = d.length;
      if (d.state == Decoded::State::kValid) id = find(word.substr(i, length));
    }
    if (id >= 0) {
      symbols.push_back({i, i + length, id});
      unknown_run = false;
    } else {
      split_unknown(word.substr(i, length), i, unknown_run, symbols);
    }
    i += length;
  }
}

BpeModel::Candidate BpeModel::candidate(std::string_view word, const Symbol& left,
                                        const Symbol& right) const {
  if (!by_score_) {
    const PairIndex::Merge merge = merges_.find(left.id, right.id);
    return merge.id < 0 ? Candidate{} : Candidate{merge.rank, merge.id};
  }
  if (left.id < 0 || right.id < 0) return {};
  const TokenId id = find(word.substr(left.begin, right.end - left.begin));
  if (id < 0) return {};
  const auto characters = [&](const Symbol& symbol) {
    return static_cast<uint64_t>(n_characters_[static_cast<size_t>(symbol.id)]);
  };
  return {static_cast<uint64_t>(score_order_[static_cast<size_t>(id)]) << 32 |
              (UINT16_MAX - characters(left)) << 16 | (UINT16_MAX - characters(right)),
          id};
}

void BpeModel::merge_short(std::string_view word, std::vector<Symbol>& symbols) const {
  std::array<Candidate, kShortSymbolsMax> candidates;  // [i]: of symbols i and i + 1
  size_t n = symbols.size();
  for (size_t i = 0; i + 1 < n; ++i) candidates[i] = candidate(word, symbols[i], symbols[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (candidates[i].before(candidates[best])) best = i;
    if (candidates[best].id < 0) break;
    symbols[best].id = candidates[best].id;
    symbols[best].end = symbols[best + 1].end;
    for (size_t i = best + 1; i + 1 < n; ++i) symbols[i] = symbols[i + 1];
    for (size_t i = best + 1; i + 2 < n; ++i) candidates[i] = candidates[i + 1];
    --n;
    if (best > 0) candidates[best - 1] = candidate(word, symbols[best - 1], symbols[best]);
    if (best + 1 < n) candidates[best] = candidate(word, symbols[best], symbols[best + 1]);
  }
  symbols.resize(n);
}

void BpeModel::merge_long(std::string_view word, std::vector<Symbol>& symbols) const {
  constexpr size_t kNone = SIZE_MAX;
  struct Entry {
    Candidate candidate;
    size_t left = 0;  // the left symbol's place
    size_t end = 0;   // of the right symbol's bytes; symbols only grow, so it tells stale entries
  };
  const auto later = [](const Entry& a, const Entry& b) {
    if (b.candidate.before(a.candidate)) return true;
    return !a.candidate.before(b.candidate) && b.left < a.left;
  };
  const size_t n = symbols.size();
  std::vector<size_t> previous(n), next(n);
  for (size_t i = 0; i < n; ++i) {
    previous[i] = i == 0 ? kNone : i - 1;
    next[i] = i + 1 == n ? kNone : i + 1;
  }
  std::vector<Entry> heap;
  const auto consider = [&](size_t left) {
    if (left == kNone || next[left] == kNone) return false;
    const Symbol& right = symbols[next[left]];
    const Candidate c = candidate(word, symbols[left], right);
    if (c.id < 0) return false;
    heap.push_back({c, left, right.end});
    return true;
  };
  for (size_t i = 0; i < n; ++i) consider(i);
  std::make_heap(heap.begin(), heap.end(), later);
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), later);
    const Entry top = heap.back();
    heap.pop_back();
    const size_t left = top.left;
    const size_t right = next[left];
    // A symbol that was merged into its left neighbour has an empty range.
    if (symbols[left].begin == symbols[left].end || right == kNone || symbols[right].end != top.end)
      continue;
    symbols[left].id = top.candidate.id;
    symbols[left].end = top.end;
    symbols[right].begin = symbols[right].end;
    next[left] = next[right];
    if (next[right] != kNone) previous[next[right]] = left;
    for (size_t place : {previous[left], left})
      if (consider(place)) std::push_heap(heap.begin(), heap.end(), later);
  }
  std::erase_if(symbols, [](const Symbol& s) { return s.begin == s.end; });
}

void BpeModel::merge(std::string_view word, Workspace& workspace, std::vector<TokenId>& out) const {
  std::vector<Symbol>& symbols = workspace.symbols_;
  split(word, symbols);
  if (symbols.size() <= kShortSymbolsMax)
    merge_short(word, symbols);
  else
    merge_long(word, symbols);
  for (const Symbol& s : symbols) out.push_back(s.id >= 0 ? s.id : unmergeable(s.id));
}

void BpeModel::encode_word(std::string_view word, Workspace& workspace,
                           std::vector<TokenId>& out) const {
  const uint64_t hash = index_.hash(word);
  const TokenId id = index_.find(*pieces_, word, hash);
  const size_t begin = out.size();
  if (id >= 0) {
    std::atomic<uint8_t>& whole = whole_[static_cast<size_t>(id)];
    const uint8_t known = ignore_merges_ ? uint8_t{kWhole} : whole.load(std::memory_order_relaxed);
    if (known == kWhole) {
      out.push_back(id);
      return;
    }
    if (known == kNotKnown) {
      merge(word, workspace, out);
      const bool is_whole = out.size() == begin + 1 && out[begin] == id;
      whole.store(is_whole ? kWhole : kNotWhole, std::memory_order_relaxed);
      return;
    }
  }
  if (workspace.cache_.empty() || word.size() > Workspace::kWordBytesMax) {
    merge(word, workspace, out);
    return;
  }
  Workspace::Entry& entry = workspace.cache_[hash >> 32 & (Workspace::kEntries - 1)];
  if (entry.word_bytes == word.size() &&
      std::memcmp(entry.word.data(), word.data(), word.size()) == 0) {
    out.insert(out.end(), entry.tokens.begin(), entry.tokens.begin() + entry.n_tokens);
    return;
  }
  merge(word, workspace, out);
  const size_t n_tokens = out.size() - begin;
  if (n_tokens > Workspace::kTokensMax) return;
  entry.word_bytes = static_cast<uint8_t>(word.size());
  entry.n_tokens = static_cast<uint8_t>(n_tokens);
  std::memcpy(entry.word.data(), word.data(), word.size());
  std::copy(out.begin() + static_cast<ptrdiff_t>(begin), out.end(), entry.tokens.begin());
}

}  // namespace lantern::text
