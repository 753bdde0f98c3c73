// WordPiece, BERT's tokenizer: the text is cleaned (controls out, accents and capitals gone where
// the model is uncased), cut at white space, punctuation and ideographs, and each word is the
// longest tokens that make it up from left to right. Devlin et al., BERT, 2019; equal to Hugging
// Face tokenizers' BertNormalizer, BertPreTokenizer and WordPiece.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/flat_hash.h"
#include "text/string_table.h"
#include "text/tokenizer.h"

namespace lantern::text {

/// How a file spells a token that does not begin a word: "##ing" (vocab.txt, tokenizer.json), or as
/// it is, with U+2581 in front of those that do (GGUF).
enum class WordPieceSpelling { kMarkedContinuation, kMarkedStart };

class WordPieceModel {
 public:
  struct Spec {
    const StringTable* tokens = nullptr;            // by id, as the file spells them
    const std::vector<uint8_t>* special = nullptr;  // by id: no ordinary text makes them
    WordPieceSpelling spelling = WordPieceSpelling::kMarkedContinuation;
    BertNormalizer normalizer = {};
    TokenId unk = -1;
    int64_t word_characters_max = 100;  // a longer word is unknown
  };
  /// kCorrupt without an unknown token.
  static Result<WordPieceModel> create(const Spec& spec);

  /// Appends the tokens of `text`; bytes that are not UTF-8 are left out.
  void encode(std::string_view text, std::vector<TokenId>& out) const;

  /// A token's text: with a space in front where it begins a word.
  static std::string piece_of(std::string_view token, bool is_special, WordPieceSpelling spelling);

 private:
  WordPieceModel() = default;
  void encode_word(std::string_view word, std::vector<TokenId>& out) const;

  BertNormalizer normalizer_;
  // Texts without their marks, those that begin a word and those that go on with one; `*_ids_` of
  // each.
  StringTable starts_, continuations_;
  std::vector<TokenId> start_ids_, continuation_ids_;
  StringIndex start_index_, continuation_index_;
  size_t piece_bytes_max_ = 0;
  TokenId unk_ = -1;
  int64_t word_characters_max_ = 100;
};

/// What a vocabulary was made with where the file does not say: all of it, and capitals and accents
/// kept where a token has a capital, which an uncased text never has. Tokens in brackets are
/// special or unused, and say nothing.
BertNormalizer usual_bert_normalizer(const StringTable& tokens);

/// `text` as BertNormalizer leaves it.
std::string normalize_for_bert(std::string_view text, const BertNormalizer& normalizer);

}  // namespace lantern::text
