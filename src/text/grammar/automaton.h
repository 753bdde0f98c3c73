// A network made deterministic as far as it is used: the configurations that a text leads to, and
// where each byte leads from there.
//
// A configuration is the set of all states that the network may be in, each with its context: the
// places to return to, which are themselves states with contexts. Equal contexts are one object,
// and a state has one context at most (two ways into the same state are merged, as what may come
// next is the same for both until it returns), so an ambiguous grammar takes no more room than the
// square of its size allows: the idea of graph-structured stacks (Tomita 1986), kept immutable.
// Left recursion would make a context contain itself; NetworkBuilder::finish() refuses it.
//
// Configurations, contexts, steps and masks are worked out once and kept. trim() drops what has
// grown too large. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/grammar.h"
#include "text/grammar/network.h"

namespace lantern::text::grammar {

struct Trie;
struct VocabularyTables;

class Automaton {
 public:
  using Configuration = int32_t;
  static constexpr Configuration kDead = 0;

  explicit Automaton(std::shared_ptr<const Network> network);

  [[nodiscard]] Configuration start() const { return start_; }
  /// As start(), but one space that comes first is passed over.
  Configuration start_after_space();
  /// kDead where the byte cannot come; also past a limit, and then overflowed().
  Configuration step(Configuration from, uint8_t byte);
  Configuration step(Configuration from, std::string_view text);
  [[nodiscard]] bool may_end(Configuration c) const { return config(c).may_end; }
  /// Tokens allowed at `c`; kept. The end ids are set where the text may end.
  const TokenMask& mask(Configuration c, const VocabularyTables& vocabulary);

  /// A limit was met since the last call: some way was given up.
  bool take_overflow() { return std::exchange(overflow_, false); }
  /// Forgets all but `keep`, which it renumbers, where too much is kept.
  void trim(std::span<Configuration> keep);

 private:
  using Context = int32_t;
  struct Return {   // where a call goes on
    int32_t to;     // state; or edge, of a repetition; kRoot
    int32_t count;  // of a repetition: how often it was through; else kNone
    Context context;
    friend bool operator==(const Return&, const Return&) = default;
  };
  struct Item {
    int32_t state;
    int32_t taken;  // characters, in a counted rule
    Context context;
    friend bool operator==(const Item&, const Item&) = default;
  };
  struct ContextNode {
    uint32_t first, size;  // in returns_
    int32_t depth;
  };
  struct Config {
    uint32_t first = 0, size = 0;  // in items_
    int32_t steps = kNone;         // index into steps_, once worked out
    int32_t mask = kNone;
    bool may_end = false;
    bool skips_space = false;
  };
  using Steps = std::array<Configuration, 256>;

  static constexpr int32_t kRoot = -2;

  [[nodiscard]] const Config& config(Configuration c) const {
    return configs_[static_cast<size_t>(c)];
  }
  Context intern(std::span<const Return> returns);
  Context push(int32_t to, int32_t count, Context context);
  Context merge(Context a, Context b);

  void begin_closure();
  void add(int32_t state, int32_t taken, Context context);
  void visit(const Item& item);
  void leave(const Item& item);
  Configuration end_closure();
  const Steps& steps(Configuration c);
  void take_range(std::span<const Item> items, uint8_t byte);

  void fill_mask(Configuration c, const VocabularyTables& vocabulary, TokenMask& mask);
  void walk(Configuration c, const Trie& trie, TokenMask& mask);
  int class_length(Configuration c, size_t token_class);
  bool step_level(size_t token_class, std::vector<Configuration>& level);
  bool step_range(std::span<const Configuration> from, int first, int last,
                  std::vector<Configuration>& to);
  Configuration intern_config(std::span<const Item> items, bool may_end);
  Context copy_context(const Automaton& from, Context context,
                       std::unordered_map<Context, Context>& copied);

  std::shared_ptr<const Network> network_;
  Configuration start_ = kDead;
  Configuration after_space_ = kDead;

  std::vector<Return> returns_;
  std::vector<ContextNode> contexts_;
  std::unordered_multimap<uint64_t, Context> context_index_;
  std::unordered_map<uint64_t, Context> merged_;

  std::vector<Item> items_;
  std::vector<Config> configs_;
  std::unordered_multimap<uint64_t, Configuration> config_index_;
  std::vector<std::unique_ptr<Steps>> steps_;
  std::vector<std::unique_ptr<TokenMask>> masks_;
  std::vector<Configuration> mask_of_;

  // The closure under way.
  std::vector<Item> found_;
  std::vector<int32_t> next_of_state_;  // entries of found_ with the same state, linked
  std::vector<int32_t> entry_of_state_;
  std::vector<uint32_t> stamp_of_state_;
  std::vector<int32_t> open_;     // entries of found_ whose edges are to be followed
  std::vector<uint8_t> is_open_;  // by entry
  uint32_t stamp_ = 0;
  bool closure_may_end_ = false;
  bool overflow_ = false;
};

}  // namespace lantern::text::grammar
