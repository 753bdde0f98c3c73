#include <algorithm>
#include <utility>

#include "base/printable.h"
#include "text/grammar.h"
#include "text/grammar/automaton.h"
#include "text/grammar/vocabulary.h"

namespace lantern::text {
namespace {

/// A longer token is never allowed: the tables' depths are 16 bits.
constexpr size_t kTokenBytesMax = 4096;
constexpr size_t kForcedBytesMax = 256;

}  // namespace

size_t TokenMask::count() const {
  size_t n = 0;
  for (const uint64_t word : words_) n += static_cast<size_t>(__builtin_popcountll(word));
  return n;
}

GrammarVocabulary::GrammarVocabulary(std::unique_ptr<const grammar::VocabularyTables> tables)
    : tables_(std::move(tables)) {}
GrammarVocabulary::~GrammarVocabulary() = default;

size_t GrammarVocabulary::size() const { return tables_->size; }

std::shared_ptr<const GrammarVocabulary> GrammarVocabulary::create(
    const Tokenizer& tokenizer, std::span<const TokenId> end_ids) {
  std::vector<std::string> bytes(static_cast<size_t>(tokenizer.size()));
  for (TokenId id = 0; id < tokenizer.size(); ++id) {
    const TokenType type = tokenizer.type(id);
    if (type == TokenType::kUnused || type == TokenType::kUnknown) continue;
    constexpr char kMark = static_cast<char>(grammar::kSpecialMark);
    const bool is_special = tokenizer.is_special(id);
    const std::string_view piece = tokenizer.piece(id);
    // A byte-level vocabulary has the mark's byte as a token, with which a special one could be
    // spelled; no text has it.
    if (!is_special && piece.find(kMark) != std::string_view::npos) continue;
    std::string& text = bytes[static_cast<size_t>(id)];
    if (is_special) text = kMark;
    text += piece;
  }
  return create(bytes, end_ids);
}

std::shared_ptr<const GrammarVocabulary> GrammarVocabulary::create(
    std::span<const std::string> tokens, std::span<const TokenId> end_ids) {
  std::vector<std::string> bytes(tokens.begin(), tokens.end());
  for (std::string& text : bytes)
    if (text.size() > kTokenBytesMax) text.clear();
  return std::shared_ptr<const GrammarVocabulary>(
      new GrammarVocabulary(std::make_unique<const grammar::VocabularyTables>(
          grammar::make_tables(std::move(bytes), end_ids))));
}

GrammarMatcher::GrammarMatcher(GrammarPtr grammar,
                               std::shared_ptr<const GrammarVocabulary> vocabulary,
                               StreamStart start)
    : grammar_(std::move(grammar)),
      vocabulary_(std::move(vocabulary)),
      automaton_(grammar_->take_automaton(vocabulary_)) {
  history_.push_back(start == StreamStart::kText ? automaton_->start_after_space()
                                                 : automaton_->start());
}

GrammarMatcher::~GrammarMatcher() {
  if (automaton_) grammar_->give_back(vocabulary_, std::move(automaton_));
}

GrammarMatcher::GrammarMatcher(GrammarMatcher&&) noexcept = default;

Result<const TokenMask*> GrammarMatcher::mask() {
  trim_history();
  if (ended_) {
    none_ = TokenMask(vocabulary_->size());
    return &none_;
  }
  const TokenMask& mask = automaton_->mask(history_.back(), vocabulary_->tables());
  if (automaton_->take_overflow())
    return make_error(ErrorCode::kTooLarge,
                      "the grammar has too many ways to go on, or is nested too deep, here");
  if (std::ranges::all_of(mask.words(), [](uint64_t word) { return word == 0; }))
    return make_error(ErrorCode::kUnsupported,
                      "no token of the model's vocabulary goes on as the grammar must");
  return &mask;
}

Status GrammarMatcher::accept(TokenId id) {
  const grammar::VocabularyTables& tables = vocabulary_->tables();
  const auto refused = [&] {
    return make_error(ErrorCode::kInvalidArgument, "token {} is not what the grammar allows here",
                      id);
  };
  if (ended_ || id < 0 || static_cast<size_t>(id) >= tables.size) return refused();
  if (std::ranges::find(tables.end_ids, id) != tables.end_ids.end()) {
    if (!may_end()) return refused();
    history_.push_back(history_.back());
    ended_ = true;
    return {};
  }
  const std::string& bytes = tables.bytes[static_cast<size_t>(id)];
  if (bytes.empty()) return refused();
  const auto next = automaton_->step(history_.back(), bytes);
  if (automaton_->take_overflow())
    return make_error(ErrorCode::kTooLarge,
                      "the grammar has too many ways to go on, or is nested too deep, here");
  if (next == grammar::Automaton::kDead) return refused();
  history_.push_back(next);
  return {};
}

Status GrammarMatcher::accept_text(std::string_view text) {
  const auto next = ended_ ? grammar::Automaton::kDead : automaton_->step(history_.back(), text);
  if (next == grammar::Automaton::kDead)
    return make_error(ErrorCode::kInvalidArgument, "the grammar does not go on with \"{}\"",
                      base::printable(text.substr(0, 64)));
  history_.push_back(next);
  trim_history();
  return {};
}

std::string GrammarMatcher::forced_text() {
  std::string out;
  auto now = history_.back();
  while (!ended_ && out.size() < kForcedBytesMax && !automaton_->may_end(now)) {
    int only = -1;
    auto next = grammar::Automaton::kDead;
    for (int byte = 0; byte < 256; ++byte) {
      const auto to = automaton_->step(now, static_cast<uint8_t>(byte));
      if (to == grammar::Automaton::kDead) continue;
      if (only >= 0) return out;
      only = byte;
      next = to;
    }
    if (only < 0) break;
    out += static_cast<char>(only);
    now = next;
  }
  return out;
}

Status GrammarMatcher::rollback(size_t n) {
  if (n >= history_.size() || n > kRollbackMax)
    return make_error(ErrorCode::kInvalidArgument, "{} tokens cannot be taken back", n);
  history_.resize(history_.size() - n);
  if (n > 0) ended_ = false;
  return {};
}

bool GrammarMatcher::may_end() const { return automaton_->may_end(history_.back()); }

void GrammarMatcher::trim_history() {
  if (history_.size() > 2 * kRollbackMax)
    history_.erase(history_.begin(), history_.end() - static_cast<ptrdiff_t>(kRollbackMax + 1));
  automaton_->trim(history_);
}

}  // namespace lantern::text
