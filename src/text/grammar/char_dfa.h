// Regular languages of characters (Unicode scalar values): what strings, numbers, keys and patterns
// of a schema are put together from before they become bytes of a network.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "text/grammar/network.h"

namespace lantern::text::grammar {

struct CharRange {
  char32_t first = 0, last = 0;
  friend bool operator==(const CharRange&, const CharRange&) = default;
};

/// Ascending, apart.
using CharSet = std::vector<CharRange>;
CharSet normalized(CharSet set);
/// Every scalar value that is not in `set`.
CharSet complement(const CharSet& set);
const CharSet& all_chars();

/// What compiling one grammar may cost, counted so that the same grammar is accepted on every
/// machine. A unit is about 10 ns.
class Budget {
 public:
  explicit Budget(int64_t units) : left_(units) {}
  /// kTooLarge once it is spent.
  Status spend(size_t units);

 private:
  int64_t left_;
};
inline constexpr int64_t kBudgetUnits = 50'000'000;
inline constexpr size_t kDfaStatesMax = 20'000;

/// Deterministic; state 0 begins. Every state reaches an accepting one, if any does.
struct CharDfa {
  struct Edge {
    char32_t first, last;
    int32_t target;
  };
  std::vector<std::vector<Edge>> edges = {{}};  // by state; ascending, apart
  std::vector<uint8_t> accepts = {0};

  [[nodiscard]] size_t size() const { return accepts.size(); }
  [[nodiscard]] bool empty() const;  // accepts nothing
  [[nodiscard]] bool matches(std::string_view utf8) const;
};

/// Not deterministic; for building. Assertions hold at the text's begin or end.
class CharNfa {
 public:
  enum class Assertion : uint8_t { kAlways, kBegin, kEnd };
  int32_t add_state();
  void on(int32_t from, const CharSet& set, int32_t to);
  void empty(int32_t from, int32_t to, Assertion assertion = Assertion::kAlways);
  [[nodiscard]] size_t size() const { return states_.size(); }
  /// The language from `begin` to `end`.
  Result<CharDfa> determinize(int32_t begin, int32_t end, Budget& budget) const;

 private:
  struct Jump {
    int32_t to;
    Assertion assertion;
  };
  struct State {
    std::vector<CharDfa::Edge> edges;
    std::vector<Jump> jumps;
  };
  class Subsets;
  std::vector<State> states_;
};

CharDfa any_text();
/// Exactly these texts (UTF-8).
CharDfa texts(const std::vector<std::string>& list);
Result<CharDfa> intersection(const CharDfa& a, const CharDfa& b, Budget& budget);
/// What is in `a` and not in `b`.
Result<CharDfa> difference(const CharDfa& a, const CharDfa& b, Budget& budget);
/// The same without states from which nothing is accepted, or that nothing reaches.
CharDfa trimmed(CharDfa dfa);

enum class Spelling {
  kPlain,       // UTF-8
  kJsonString,  // the inside of a JSON string, in canonical form
};
struct LengthBounds {
  int64_t least = 0;
  int64_t most = kUnbounded;  // characters
};
/// A rule for the texts of `dfa` within the bounds. kTooLarge.
Result<int32_t> add_char_rule(NetworkBuilder& builder, std::string name, const CharDfa& dfa,
                              Spelling spelling, LengthBounds bounds, Budget& budget);

/// `text` as it stands between quotes in canonical JSON.
std::string json_escaped(std::string_view text);

}  // namespace lantern::text::grammar
