#include "text/grammar.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "text/grammar/automaton.h"
#include "text/grammar/char_dfa.h"
#include "text/grammar/gbnf.h"
#include "text/grammar/json_schema.h"
#include "text/grammar/network.h"
#include "text/grammar/regex.h"
#include "text/unicode.h"

namespace lantern::text {
namespace {

using grammar::Budget;
using grammar::kNone;
using grammar::Network;
using grammar::NetworkBuilder;
using grammar::Part;

constexpr size_t kSparesMax = 4;
constexpr size_t kPartsMax = 1024;
constexpr size_t kTriggerBytesMax = 256;

Status check_size(std::string_view what, size_t n_bytes) {
  if (n_bytes <= kGrammarTextBytesMax) return {};
  return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what, n_bytes,
                    kGrammarTextBytesMax);
}

Result<Network> one_rule(NetworkBuilder builder, Part part) {
  const int32_t rule = builder.add_rule("root");
  builder.define(rule, part);
  return std::move(builder).finish(rule);
}

/// Text in which no trigger occurs: Aho and Corasick's automaton, without the states in which one
/// is complete. It runs over characters, so what is let through is whole UTF-8.
Result<grammar::CharDfa> without(std::span<const std::string> triggers, Budget& budget) {
  grammar::CharNfa nfa;
  const int32_t begin = nfa.add_state();
  nfa.on(begin, grammar::all_chars(), begin);
  const int32_t found = nfa.add_state();
  nfa.on(found, grammar::all_chars(), found);
  for (const std::string& trigger : triggers) {
    int32_t state = begin;
    for (std::string_view rest = trigger; !rest.empty();) {
      const Decoded c = decode_utf8(rest);
      rest.remove_prefix(c.length);
      const int32_t next = rest.empty() ? found : nfa.add_state();
      nfa.on(state, {{c.code_point, c.code_point}}, next);
      state = next;
    }
  }
  LANTERN_ASSIGN(const grammar::CharDfa with, nfa.determinize(begin, found, budget));
  return grammar::difference(grammar::any_text(), with, budget);
}

}  // namespace

/// Behind a mutex: matchers of one grammar begin and end on any thread.
struct Grammar::Spares {
  std::mutex mutex;
  struct Spare {
    std::shared_ptr<const GrammarVocabulary> vocabulary;  // that its masks are of
    std::unique_ptr<grammar::Automaton> automaton;
  };
  std::vector<Spare> spares;
};

Grammar::Grammar(Network network)
    : network_(std::make_shared<const Network>(std::move(network))),
      spares_(std::make_unique<Spares>()) {}

Grammar::~Grammar() = default;

Result<GrammarPtr> Grammar::make(Result<Network> network) {
  if (!network.ok()) return std::move(network).error();
  return GrammarPtr(new Grammar(std::move(network).value()));
}

Result<GrammarPtr> Grammar::from_json_schema(const base::OrderedJson& schema) {
  return make(grammar::compile_json_schema(schema));
}

Result<GrammarPtr> Grammar::from_json_schema(std::string_view schema) {
  LANTERN_TRY(check_size("JSON schema", schema.size()));
  LANTERN_ASSIGN(const base::OrderedJson json,
                 base::parse_ordered_json(schema, "JSON schema",
                                          {.bytes_max = kGrammarTextBytesMax, .depth_max = 64}));
  return from_json_schema(json);
}

Result<GrammarPtr> Grammar::json_object() {
  return from_json_schema(base::OrderedJson{{"type", "object"}});
}

Result<GrammarPtr> Grammar::from_regex(std::string_view pattern) {
  LANTERN_TRY(check_size("regular expression", pattern.size()));
  Budget budget(grammar::kBudgetUnits);
  LANTERN_ASSIGN(const grammar::CharDfa dfa,
                 grammar::compile_regex(pattern, grammar::RegexMatch::kWhole, budget));
  NetworkBuilder builder;
  LANTERN_ASSIGN(const int32_t rule, grammar::add_char_rule(builder, "root", dfa,
                                                            grammar::Spelling::kPlain, {}, budget));
  return make(std::move(builder).finish(rule));
}

Result<GrammarPtr> Grammar::from_gbnf(std::string_view text) {
  LANTERN_TRY(check_size("grammar", text.size()));
  return make(grammar::compile_gbnf(text));
}

Result<GrammarPtr> Grammar::literal(std::string_view text) {
  LANTERN_TRY(check_size("literal", text.size()));
  if (!is_valid_utf8(text))
    return make_error(ErrorCode::kInvalidArgument, "a literal of a grammar is no UTF-8");
  NetworkBuilder builder;
  const Part part = builder.literal(text);
  return make(one_rule(std::move(builder), part));
}

Result<GrammarPtr> Grammar::special_token(std::string_view spelling) {
  LANTERN_TRY(check_size("special token", spelling.size()));
  NetworkBuilder builder;
  const Part part =
      builder.literal(static_cast<char>(grammar::kSpecialMark) + std::string(spelling));
  return make(one_rule(std::move(builder), part));
}

Result<GrammarPtr> Grammar::sequence(std::span<const GrammarPtr> parts) {
  NetworkBuilder builder;
  const int32_t begin = builder.add_state();
  int32_t last = begin;
  for (const GrammarPtr& part : parts) {
    const int32_t rule = builder.include(part->network());
    const int32_t next = builder.add_state();
    builder.call(last, rule, next);
    last = next;
    LANTERN_TRY(builder.within_limits());
  }
  return make(one_rule(std::move(builder), {begin, last}));
}

Result<GrammarPtr> Grammar::choice(std::span<const GrammarPtr> parts) {
  if (parts.empty() || parts.size() > kPartsMax)
    return make_error(ErrorCode::kInvalidArgument, "a choice of {} grammars, 1 to {} can be had",
                      parts.size(), kPartsMax);
  NetworkBuilder builder;
  const Part all{builder.add_state(), builder.add_state()};
  for (const GrammarPtr& part : parts) {
    builder.call(all.begin, builder.include(part->network()), all.end);
    LANTERN_TRY(builder.within_limits());
  }
  return make(one_rule(std::move(builder), all));
}

Result<GrammarPtr> Grammar::repeat(const GrammarPtr& part, int64_t least, int64_t most) {
  if (least < 0 || least > grammar::kRepeatMax || most > grammar::kRepeatMax ||
      (most >= 0 && most < least))
    return make_error(ErrorCode::kInvalidArgument, "a repetition from {} to {} times", least, most);
  NetworkBuilder builder;
  const Part all{builder.add_state(), builder.add_state()};
  builder.repeat(all.begin, builder.include(part->network()), least,
                 most < 0 ? grammar::kUnbounded : most, all.end);
  return make(one_rule(std::move(builder), all));
}

Result<GrammarPtr> Grammar::text_without(std::span<const std::string> triggers) {
  Budget budget(grammar::kBudgetUnits);
  for (const std::string& trigger : triggers)
    if (trigger.empty() || trigger.size() > kTriggerBytesMax || !is_valid_utf8(trigger))
      return make_error(ErrorCode::kInvalidArgument, "a trigger has 1 to {} bytes of UTF-8, not {}",
                        kTriggerBytesMax, trigger.size());
  LANTERN_ASSIGN(const grammar::CharDfa dfa, without(triggers, budget));
  NetworkBuilder builder;
  LANTERN_ASSIGN(const int32_t rule, grammar::add_char_rule(builder, "text", dfa,
                                                            grammar::Spelling::kPlain, {}, budget));
  return make(std::move(builder).finish(rule));
}

std::unique_ptr<grammar::Automaton> Grammar::take_automaton(
    const std::shared_ptr<const GrammarVocabulary>& vocabulary) const {
  {
    const std::lock_guard lock(spares_->mutex);
    for (Spares::Spare& spare : spares_->spares) {
      if (spare.vocabulary != vocabulary) continue;
      auto out = std::move(spare.automaton);
      std::swap(spare, spares_->spares.back());
      spares_->spares.pop_back();
      return out;
    }
  }
  return std::make_unique<grammar::Automaton>(network_);
}

void Grammar::give_back(std::shared_ptr<const GrammarVocabulary> vocabulary,
                        std::unique_ptr<grammar::Automaton> automaton) const {
  automaton->trim({});
  const std::lock_guard lock(spares_->mutex);
  if (spares_->spares.size() < kSparesMax)
    spares_->spares.push_back({std::move(vocabulary), std::move(automaton)});
}

}  // namespace lantern::text
