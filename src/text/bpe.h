// Byte-pair encoding of one word: start with its bytes or characters, and merge the adjacent
// pair of the lowest rank, leftmost first, until none merges.
//
// A merge's rank is its place in the merges list, or comes from the scores of SentencePiece
// files, which have no list. Hugging Face makes the list from the scores when it converts such a
// file (higher score first, then the longer left part, then the longer right part, then the
// lower id), so the same order is used here and both spellings of a model give equal tokens.
//
// Short words are merged in arrays, long ones with a heap and a linked list: n log n.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/flat_hash.h"
#include "text/tokenizer.h"

namespace lantern::text {

/// What a BPE model needs of a spec, with token texts as plain bytes.
struct BpeSpec {
  const TokenizerSpec* spec = nullptr;
  const StringTable* pieces = nullptr;           // by id; outlives the model, at a fixed address
  const std::vector<uint8_t>* usable = nullptr;  // by id: may come out of ordinary text
  std::array<TokenId, 256> byte_tokens;          // -1 where there is none
  TokenId unk = -1;                              // for what no token has; -1: that is left out
  bool ignore_merges = false;
};

class BpeModel {
 public:
  static Result<BpeModel> create(const BpeSpec& spec);

  class Workspace;

  /// Appends the tokens of `word`, which is not empty.
  void encode_word(std::string_view word, Workspace& workspace, std::vector<TokenId>& out) const;

  /// Whether characters that are no token become their bytes' tokens.
  [[nodiscard]] bool has_byte_tokens() const { return byte_fallback_; }
  /// Whether a word keeps this byte, as itself or as the unknown token.
  [[nodiscard]] bool keeps(uint8_t byte) const {
    return by_character_ || unk_ >= 0 || byte_tokens_[byte] >= 0;
  }
  /// The usable token of exactly these bytes, or -1.
  [[nodiscard]] TokenId find(std::string_view piece) const { return index_.find(*pieces_, piece); }

 private:
  struct Symbol {
    size_t begin = 0, end = 0;  // bytes of the word
    TokenId id = -1;            // negative: not a token that merges (see unmergeable())
  };
  /// What merging two symbols would give; `order` compares first, then `id`.
  struct Candidate {
    uint64_t order = UINT64_MAX;
    TokenId id = -1;
    [[nodiscard]] bool before(const Candidate& other) const {
      return order != other.order ? order < other.order : id < other.id;
    }
  };

  BpeModel() = default;
  Status add_merges(const TokenizerSpec& spec);
  Status check_unusable_merge(size_t rank, std::span<const std::string_view> pieces,
                              std::optional<StringIndex>& every_piece) const;
  void add_scores(const TokenizerSpec& spec);
  void split(std::string_view word, std::vector<Symbol>& symbols) const;
  void split_unknown(std::string_view character, size_t at, bool& unknown_run,
                     std::vector<Symbol>& symbols) const;
  [[nodiscard]] Candidate candidate(std::string_view word, const Symbol& left,
                                    const Symbol& right) const;
  void merge_short(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge_long(std::string_view word, std::vector<Symbol>& symbols) const;
  void merge(std::string_view word, Workspace& workspace, std::vector<TokenId>& out) const;

  const StringTable* pieces_ = nullptr;
  StringIndex index_;
  PairIndex merges_;
  bool by_score_ = false;
  // By id, for scores: the order's upper 32 bits, and the piece's characters.
  std::vector<uint32_t> score_order_;
  std::vector<uint16_t> n_characters_;

  bool by_character_ = false;  // words start as characters, not as bytes
  bool ignore_merges_ = false;
  bool byte_fallback_ = false;
  bool fuse_unk_ = false;
  TokenId unk_ = -1;
  std::array<TokenId, 256> byte_tokens_{};
  std::array<TokenId, 128> ascii_tokens_{};

  // By id, whether the piece as a word of its own is that one token. Learned at first use, and
  // always the same answer, so relaxed atomics do.
  enum Whole : uint8_t { kNotKnown, kWhole, kNotWhole };
  mutable std::unique_ptr<std::atomic<uint8_t>[]> whole_;
};

/// What one call to the tokenizer works in: buffers, and for texts that are long enough a cache of
/// the words that are no single token. The cache is direct-mapped, and bounded so. It belongs to
/// the call, because a shared one would need locks and texts repeat their own words.
class BpeModel::Workspace {
 public:
  explicit Workspace(size_t text_bytes);

 private:
  friend class BpeModel;
  static constexpr size_t kCacheFromTextBytes = 4096;
  static constexpr size_t kWordBytesMax = 24, kTokensMax = 8, kEntries = 2048;
  struct Entry {
    std::array<char, kWordBytesMax> word;
    uint8_t word_bytes = 0;
    uint8_t n_tokens = 0;
    std::array<TokenId, kTokensMax> tokens;
  };
  std::vector<Entry> cache_;
  std::vector<Symbol> symbols_;
};

}  // namespace lantern::text
