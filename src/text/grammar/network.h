// A grammar as a network of automata over bytes ("recursive transition network").
//
// A rule is an automaton: states with edges that take a byte, take nothing, call another rule, or
// call one again and again between two bounds. The bounds are counted while matching, so
// {"maxItems": 100000} costs no states. A counted rule (a string with minLength or maxLength)
// counts the characters it has taken the same way.
//
// finish() makes what a builder holds fit for matching: everything from which no text can be
// completed is cut away (so a way that is open can always be finished), left recursion is refused.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::text::grammar {

inline constexpr int32_t kNone = -1;
inline constexpr int64_t kUnbounded = -1;
inline constexpr size_t kStatesMax = 400'000;
inline constexpr size_t kEdgesMax = 1'500'000;
inline constexpr int64_t kRepeatMax = int64_t{1} << 30;
/// Before a special token's spelling; no UTF-8 text has this byte.
inline constexpr uint8_t kSpecialMark = 0xFF;

/// A state's or rule's number as an index.
constexpr size_t at(int32_t number) { return static_cast<size_t>(number); }

struct Edge {
  enum class Kind : uint8_t { kBytes, kEmpty, kCall, kRepeat };
  Kind kind = Kind::kEmpty;
  uint8_t first = 0, last = 0;  // kBytes
  bool counts = false;          // kBytes in a counted rule: begins a character
  int32_t target = kNone;
  int32_t rule = kNone;  // kCall, kRepeat
  int64_t least = 0;     // kRepeat
  int64_t most = 0;      // kRepeat; kUnbounded
  friend bool operator==(const Edge&, const Edge&) = default;
};

/// Bounds on the characters of a counted rule, and from which of its states how many can still
/// come: a way is open only where the bounds can still be met.
struct Counter {
  int64_t least = 0;
  int64_t most = kUnbounded;
  /// By state of the rule, from its first: the state of the automaton over characters that it is,
  /// or, inside a character, that it leads to.
  int32_t first_state = 0;
  std::vector<int32_t> home;
  /// By home; empty where any number of characters can come. With bounded `most`, bit n of the
  /// home's words: n more characters can complete it. Else the longest completion, or kUnbounded.
  size_t n_words = 0;
  std::vector<uint64_t> can_end;
  std::vector<int64_t> longest;

  /// Whether after `n` characters and in `state` the bounds can still be met.
  [[nodiscard]] bool viable(int32_t state, int64_t n) const;
  /// `n` as far as it still matters.
  [[nodiscard]] int64_t reduced(int64_t n) const {
    return most == kUnbounded && n > least ? least : n;
  }
};

struct Rule {
  std::string name;  // for messages
  int32_t start = kNone;
  int32_t counter = kNone;
};

struct Network {
  std::vector<Rule> rules;
  std::vector<Edge> edges;
  std::vector<int32_t> first_edge;  // by state, and one more
  std::vector<uint8_t> accepts;     // by state
  std::vector<int32_t> counter_of;  // by state; kNone
  /// By state: it accepts and nothing leaves it, so a call that returns there need not return.
  std::vector<uint8_t> only_accepts;
  std::vector<uint8_t> takes_bytes;  // by state
  std::vector<Counter> counters;
  int32_t start_rule = kNone;

  [[nodiscard]] size_t n_states() const { return accepts.size(); }
};

/// A part under construction: enter at `begin`, be through at `end`.
struct Part {
  int32_t begin = kNone, end = kNone;
};

class NetworkBuilder {
 public:
  int32_t add_rule(std::string name);
  int32_t add_state();
  void set_start(int32_t rule, int32_t state) { rules_[static_cast<size_t>(rule)].start = state; }
  /// `part` is all of `rule`.
  void define(int32_t rule, Part part);
  void accept(int32_t state) { accepts_[static_cast<size_t>(state)] = 1; }

  void bytes(int32_t from, uint8_t first, uint8_t last, int32_t to, bool counts = false);
  void empty(int32_t from, int32_t to);
  void call(int32_t from, int32_t rule, int32_t to);
  void repeat(int32_t from, int32_t rule, int64_t least, int64_t most, int32_t to);

  Part literal(std::string_view text);
  /// All rules of `other`; returns the index of its start rule.
  int32_t include(const Network& other);
  /// `rule`'s states are those from counter.first_state on, one for each home.
  void add_counter(int32_t rule, Counter counter);

  [[nodiscard]] size_t n_states() const { return accepts_.size(); }
  [[nodiscard]] size_t n_rules() const { return rules_.size(); }
  /// kTooLarge where the builder has grown past a limit; to be asked while building.
  [[nodiscard]] Status within_limits() const;

  /// kInvalidArgument where no text can be completed; kUnsupported left recursion.
  Result<Network> finish(int32_t start_rule) &&;
  /// By rule, whether some text completes it.
  [[nodiscard]] std::vector<uint8_t> completable_rules() const;

 private:
  struct Productive {
    std::vector<uint8_t> states, rules;
  };
  enum class Ways { kAny, kEmpty };
  /// Which states and rules reach an end, at all or without a byte.
  [[nodiscard]] Productive reach_end(Ways ways) const;
  [[nodiscard]] std::vector<int32_t> first_calls(int32_t rule,
                                                 const std::vector<uint8_t>& nullable) const;
  Status check_left_recursion(const std::vector<uint8_t>& nullable) const;
  Status settle_empty_repeats(const std::vector<uint8_t>& nullable);
  void drop_dead_edges(const Productive& live);
  Network flatten(int32_t start_rule) &&;

  std::vector<Rule> rules_;
  std::vector<std::vector<Edge>> edges_;  // by state
  std::vector<uint8_t> accepts_;
  std::vector<int32_t> counter_of_;
  std::vector<Counter> counters_;
  size_t n_edges_ = 0;
};

}  // namespace lantern::text::grammar
