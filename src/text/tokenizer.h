// Tokenizer: text to token ids and back, equal to Hugging Face `tokenizers`.
//
// Three kinds exist: SentencePiece-style BPE (llama 1 and 2, mistral, gemma), byte-level BPE (gpt-2
// and everything after it) and WordPiece (BERT). What a model file says is a plain TokenizerSpec,
// made from GGUF metadata by the engine or by parse_tokenizer_json() (text/tokenizer_json.h).
//
// Special tokens (invariant "text is part of it"). A special token is a control token, or a
// user-defined one that begins or ends a text or a turn (bos, eos, eot, eom; phi-3's </s>) or
// looks like a marker of turns, <|...|> or <｜...｜>. It is recognised only in
// text that the caller marks as its own: EncodeOptions::special, or a literal span. In all other
// text its characters stay characters, and no merge may build it either. Other user-defined
// tokens (gemma's runs of newlines, <tool_call>) are ordinary vocabulary and are recognised
// everywhere, as Hugging Face does.
//
// A Tokenizer is immutable for its callers; all const functions may run on many threads at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/span.h"
#include "text/string_table.h"

namespace lantern::text {

using TokenId = int32_t;

/// GGUF's `tokenizer.ggml.model`: "llama" is kSentencePieceBpe, "gpt2" is kByteLevelBpe, "bert" is
/// kWordPiece.
enum class TokenizerKind { kSentencePieceBpe, kByteLevelBpe, kWordPiece };

/// kUnsupported for any other name (t5, rwkv ...).
Result<TokenizerKind> tokenizer_kind_from_gguf(std::string_view model);

/// Values as in GGUF's `tokenizer.ggml.token_type`.
enum class TokenType : uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,
  kUserDefined = 4,
  kUnused = 5,
  kByte = 6,
};

/// How a token that is matched before the model runs takes part; tokenizer.json's `added_tokens`.
struct AddedToken {
  TokenId id = -1;
  bool special = false;     // recognised only where special tokens are
  bool normalized = false;  // matched in the normalized text, not in the raw one
  bool lstrip = false;      // takes the white space before it along
  bool rstrip = false;      // and after it
};

/// When the text, or a part of it between special tokens, gets a space in front.
enum class SpacePrefix {
  kNever,
  kEverySegment,      // each stretch of ordinary text, whatever it begins with (llama 1 and 2)
  kEveryUnlessThere,  // each stretch that does not begin with a space
  kFirstUnlessThere,  // only the stretch at the very start, unless it begins with a space
};

/// What BERT's normalizer does to a text (tokenizer.json's names).
struct BertNormalizer {
  bool clean_text = true;
  bool handle_chinese_chars = true;
  bool strip_accents = true;
  bool lowercase = true;
};

inline constexpr size_t kTokensMax = 4u << 20;

/// What a model file says of its tokenizer; bytes from outside, checked by Tokenizer::create().
struct TokenizerSpec {
  TokenizerKind kind = TokenizerKind::kByteLevelBpe;
  /// GGUF's `tokenizer.ggml.pre`; not read for kSentencePieceBpe.
  std::string pre;

  /// Token texts by id, spelled as in the file: byte-level tokens in GPT-2's printable alphabet,
  /// SentencePiece ones with U+2581 for a space.
  StringTable tokens;
  /// One per token or empty (all normal).
  std::vector<TokenType> types;
  /// One per token or empty. SentencePiece without merges needs them.
  std::vector<float> scores;
  /// "left right", lowest rank first. If empty, scores drive the merges (SentencePiece only).
  StringTable merges;
  /// Where empty, made from `types`: control tokens are special, user-defined ones are not.
  std::vector<AddedToken> added;

  std::optional<TokenId> bos, eos, eot, eom, unk, pad;
  /// Absent: the kind's own default (SentencePiece, llama-3 and tekken begin with BOS).
  std::optional<bool> add_bos;
  std::optional<bool> add_eos;
  /// Absent: kEverySegment for SentencePiece, kNever for byte-level.
  std::optional<SpacePrefix> space_prefix;
  /// GGUF's `tokenizer.ggml.remove_extra_whitespaces`; true is kUnsupported.
  bool remove_extra_whitespaces = false;
  /// The text is brought into Unicode normal form C first (qwen2). Absent: what the
  /// pre-tokenizer's name implies.
  std::optional<bool> nfc;
  /// Every space begins a word (Metaspace with `split`; SentencePiece only).
  bool split_at_each_space = false;
  /// A word that is a token is that token, whatever its merges say (llama-3, tekken).
  /// Absent: what the pre-tokenizer's name implies.
  std::optional<bool> ignore_merges;
  /// Characters that are no token become their bytes' tokens <0x00>..<0xFF> (SentencePiece).
  bool byte_fallback = true;
  /// A run of characters that no token has becomes one `unk`, not one each.
  bool fuse_unk = true;
  /// WordPiece only. Absent: everything is done, and capitals and accents stay where the vocabulary
  /// has capitals (GGUF files do not say whether a model is cased).
  std::optional<BertNormalizer> bert;
  /// WordPiece only: tokens are spelled "##ing", not "\u2581in" for those that begin a word.
  bool marked_continuation = false;
  int64_t word_characters_max = 100;
  /// Decoding drops one leading space. Absent: if SentencePiece and encoding adds one.
  std::optional<bool> strip_leading_space;
};

struct EncodeOptions {
  bool special = false;  // recognise special tokens in the text
  bool add_bos = false;  // begin with BOS, unless the text itself already does
  bool add_eos = false;  // end with EOS, unless the text itself already does
};

struct DecodeOptions {
  bool special = false;  // print special tokens' texts instead of leaving them out
};

class Tokenizer {
 public:
  /// kCorrupt where the spec contradicts itself (ids out of range, merges of unknown tokens),
  /// kUnsupported for a pre-tokenizer or a feature that is not implemented, naming it.
  static Result<Tokenizer> create(TokenizerSpec spec);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// `text` is UTF-8; bytes that are not keep their value (as byte tokens) and belong to no
  /// letter, number or space class.
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text,
                                            EncodeOptions options = {}) const;

  /// A rendered template. Special tokens are recognised where all their characters lie in
  /// literal spans that follow one another; `options.special` is not read. The rest is tokenised
  /// as one text, as Hugging Face does with the concatenation, so a word may join a literal's
  /// end with a content's beginning.
  [[nodiscard]] std::vector<TokenId> encode(std::span<const Span> spans,
                                            EncodeOptions options = {}) const;

  /// Whether encode() keeps this byte. A byte-level vocabulary may lack some (UTF-8 never uses
  /// 0xff, say) and have no unknown token: they are left out then, as Hugging Face does.
  [[nodiscard]] bool keeps(uint8_t byte) const;

  /// The text of `ids`, valid UTF-8: broken bytes become U+FFFD. Ids outside the vocabulary are
  /// left out.
  [[nodiscard]] std::string decode(std::span<const TokenId> ids, DecodeOptions options = {}) const;

  /// A token's bytes as they appear in text, special ones too; empty for an id outside the
  /// vocabulary. Not always valid UTF-8. Lives as long as the tokenizer.
  [[nodiscard]] std::string_view piece(TokenId id) const;
  /// The token that is spelled so in the file, such as "<|im_end|>" or "Ġthe".
  [[nodiscard]] std::optional<TokenId> find(std::string_view spelling) const;

  [[nodiscard]] TokenId size() const;
  [[nodiscard]] TokenType type(TokenId id) const;  // kUnused for an id outside the vocabulary
  /// Recognised only in the caller's own text, and left out by decode() without `special`.
  [[nodiscard]] bool is_special(TokenId id) const;

  [[nodiscard]] std::optional<TokenId> bos() const;
  [[nodiscard]] std::optional<TokenId> eos() const;
  [[nodiscard]] std::optional<TokenId> eot() const;
  [[nodiscard]] std::optional<TokenId> eom() const;
  [[nodiscard]] std::optional<TokenId> unk() const;
  [[nodiscard]] std::optional<TokenId> pad() const;
  [[nodiscard]] bool add_bos() const;  // whether a plain prompt of this model begins with BOS
  [[nodiscard]] bool add_eos() const;
  /// decode(), and a StreamDecoder from StreamStart::kText, drop a space that comes first.
  [[nodiscard]] bool drops_first_space() const;

 private:
  friend class StreamDecoder;
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Where a stream of tokens begins. SentencePiece's first word carries a space that was not in
/// the text; it is dropped at the start of a text, kept where the tokens continue one.
enum class StreamStart { kText, kContinuation };

/// Turns tokens into text as they come. The pieces it returns are valid UTF-8, never split a
/// character, and together equal Tokenizer::decode() of all the ids.
/// The tokenizer must outlive it. One thread at a time.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options = {},
                         StreamStart start = StreamStart::kText);

  /// The text that `id` completes; may be empty.
  std::string push(TokenId id);
  /// What is still held back, broken characters as U+FFFD. The decoder may be used on, as
  /// kContinuation.
  std::string flush();

 private:
  void append_bytes(std::string_view bytes, std::string& out);
  void end_byte_run(std::string& out);
  void append_broken_tail(std::string& out);
  void emit(std::string_view text, std::string& out);

  const Tokenizer* tokenizer_;
  DecodeOptions options_;
  std::string held_;          // bytes that do not yet make a character
  bool strip_space_ = false;  // the next character is dropped if it is a space
};

}  // namespace lantern::text
