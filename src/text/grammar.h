// Grammars that an answer must follow, and the masks that make it: which tokens of a model's
// vocabulary may come next.
//
//   Grammar            what may be written, as bytes; knows no vocabulary. Immutable, shared.
//   GrammarVocabulary  a tokenizer's tokens, laid out for masks; one a model. Immutable, shared.
//   GrammarMatcher     where one answer stands. One thread at a time.
//
// A grammar is a network of automata over bytes that call one another (grammar/network.h); a
// matcher runs all of its ways at once (grammar/automaton.h). A token is allowed exactly where its
// bytes, one after the other, lead somewhere from which the grammar can be completed, so a mask
// never leads into a dead end that the vocabulary's single bytes could leave.
//
// LIMITS. Schemas, patterns and grammars come from requests. Compiling is bounded by
// kGrammarCompileSecondsMax and by the sizes in grammar/network.h; what is too large, too deep, or
// not supported is an error that names it (kUnsupported, kTooLarge, kInvalidArgument), never an
// approximation.
//
// SPECIAL TOKENS are not text: no grammar over text admits them. A grammar that wants one says so
// with special_token(), by its spelling.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace lantern::text {

namespace grammar {
struct Network;
struct VocabularyTables;
class Automaton;
}  // namespace grammar

inline constexpr double kGrammarCompileSecondsMax = 1.0;
inline constexpr size_t kGrammarTextBytesMax = size_t{1} << 20;  // of a schema, pattern or GBNF

class Grammar;
class GrammarVocabulary;
using GrammarPtr = std::shared_ptr<const Grammar>;

class Grammar {
 public:
  /// JSON that is valid against `schema`, in canonical form (docs/structured-output.md). An
  /// unsupported keyword is kUnsupported, with its JSON pointer; a schema that no value satisfies
  /// is kInvalidArgument.
  static Result<GrammarPtr> from_json_schema(const base::OrderedJson& schema);
  static Result<GrammarPtr> from_json_schema(std::string_view schema);
  /// Any JSON object ("JSON mode").
  static Result<GrammarPtr> json_object();
  /// The whole text matches `pattern` (grammar/regex.h has the syntax).
  static Result<GrammarPtr> from_regex(std::string_view pattern);
  /// llama.cpp's notation; the rule `root` begins. Left recursion is kUnsupported.
  static Result<GrammarPtr> from_gbnf(std::string_view text);

  // Parts, for grammars around those above.
  /// Exactly `text`.
  static Result<GrammarPtr> literal(std::string_view text);
  /// The special token that the tokenizer spells so ("<|python_tag|>").
  static Result<GrammarPtr> special_token(std::string_view spelling);
  /// One after the other.
  static Result<GrammarPtr> sequence(std::span<const GrammarPtr> parts);
  /// One of them, at least one.
  static Result<GrammarPtr> choice(std::span<const GrammarPtr> parts);
  /// `part` again and again; `most` -1: without end.
  static Result<GrammarPtr> repeat(const GrammarPtr& part, int64_t least, int64_t most);
  /// Any text in which none of `triggers` occurs (UTF-8, each 1 to 256 bytes). With none: any
  /// text. `sequence({text_without({"<call>"}), literal("<call>"), arguments})` is a grammar that
  /// begins after a trigger; a trigger that is a special token needs no mention, as no text has it.
  static Result<GrammarPtr> text_without(std::span<const std::string> triggers);

  ~Grammar();
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  [[nodiscard]] const grammar::Network& network() const { return *network_; }

 private:
  friend class GrammarMatcher;
  struct Spares;
  explicit Grammar(grammar::Network network);
  static Result<GrammarPtr> make(Result<grammar::Network> network);
  [[nodiscard]] std::unique_ptr<grammar::Automaton> take_automaton(
      const std::shared_ptr<const GrammarVocabulary>& vocabulary) const;
  void give_back(std::shared_ptr<const GrammarVocabulary> vocabulary,
                 std::unique_ptr<grammar::Automaton> automaton) const;

  std::shared_ptr<const grammar::Network> network_;
  /// Automata that matchers left behind: what one has worked out, the next need not.
  std::unique_ptr<Spares> spares_;
};

/// Which tokens may come next: bit `id` of word id / 64.
class TokenMask {
 public:
  TokenMask() = default;
  explicit TokenMask(size_t n_tokens) : words_((n_tokens + 63) / 64) {}
  [[nodiscard]] bool allows(TokenId id) const {
    const auto i = static_cast<size_t>(id);
    return id >= 0 && i / 64 < words_.size() && (words_[i / 64] >> (i % 64) & 1) != 0;
  }
  void allow(TokenId id) {
    words_[static_cast<size_t>(id) / 64] |= uint64_t{1} << (static_cast<size_t>(id) % 64);
  }
  [[nodiscard]] std::span<const uint64_t> words() const { return words_; }
  [[nodiscard]] std::span<uint64_t> words() { return words_; }
  [[nodiscard]] size_t count() const;

 private:
  std::vector<uint64_t> words_;
};

class GrammarVocabulary {
 public:
  /// `tokenizer` must outlive it. `end_ids`: allowed exactly where the grammar may end.
  static std::shared_ptr<const GrammarVocabulary> create(const Tokenizer& tokenizer,
                                                         std::span<const TokenId> end_ids);
  /// Of plain tokens, by id (tests, benchmarks); an empty one is never allowed.
  static std::shared_ptr<const GrammarVocabulary> create(std::span<const std::string> tokens,
                                                         std::span<const TokenId> end_ids);
  ~GrammarVocabulary();
  GrammarVocabulary(const GrammarVocabulary&) = delete;
  GrammarVocabulary& operator=(const GrammarVocabulary&) = delete;

  [[nodiscard]] size_t size() const;
  [[nodiscard]] const grammar::VocabularyTables& tables() const { return *tables_; }

 private:
  explicit GrammarVocabulary(std::unique_ptr<const grammar::VocabularyTables> tables);
  std::unique_ptr<const grammar::VocabularyTables> tables_;
};

class GrammarMatcher {
 public:
  /// Tokens that rollback() can take back.
  static constexpr size_t kRollbackMax = 256;

  /// `start`: where the tokenizer drops a space before the first word (StreamStart), the first
  /// token may carry one that is not part of the text.
  GrammarMatcher(GrammarPtr grammar, std::shared_ptr<const GrammarVocabulary> vocabulary,
                 StreamStart start = StreamStart::kContinuation);
  ~GrammarMatcher();
  GrammarMatcher(GrammarMatcher&&) noexcept;
  GrammarMatcher& operator=(GrammarMatcher&&) = delete;

  /// The tokens that may come next; holds until the next call. Where there is none
  /// (kUnsupported: the vocabulary cannot spell what must follow; kTooLarge: past a limit) the
  /// answer cannot go on. After ended(): none, and no error.
  Result<const TokenMask*> mask();
  /// kInvalidArgument for a token that the mask does not allow; nothing is changed then.
  Status accept(TokenId id);
  /// Text that is there without having been drawn (a forced prefix); counts as one token for
  /// rollback(). kInvalidArgument where the grammar does not go so.
  Status accept_text(std::string_view text);
  /// What must follow, whatever the model: empty where there is a choice. At most 256 bytes.
  [[nodiscard]] std::string forced_text();
  /// Takes back the last `n` accepted tokens. kInvalidArgument for more than kRollbackMax or than
  /// there are.
  Status rollback(size_t n);

  /// The text so far is complete.
  [[nodiscard]] bool may_end() const;
  /// An end id was accepted.
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  void trim_history();

  GrammarPtr grammar_;
  std::shared_ptr<const GrammarVocabulary> vocabulary_;
  std::unique_ptr<grammar::Automaton> automaton_;
  /// The automaton's configuration now, last, and those before each token that can be taken back.
  std::vector<int32_t> history_;
  TokenMask none_;
  bool ended_ = false;
};

}  // namespace lantern::text
