// Grammars that were compiled, for requests that ask for the same again. What matchers of one have
// worked out (Grammar's spare automata) comes along.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "text/grammar.h"

namespace lantern::text {

/// Of one model: spare automata hold its vocabulary. Safe from any number of threads.
class GrammarCache {
 public:
  struct Limits {
    size_t entries_max = 64;
    size_t states_max = 400'000;  // of all together; a larger one is not kept
  };
  GrammarCache() = default;
  explicit GrammarCache(Limits limits) : limits_(limits) {}

  /// The grammar that was made for equal `key`, or that `make` makes now; errors are not kept.
  /// `make` runs outside the lock, so two who come at once may both run theirs.
  Result<GrammarPtr> find_or_make(std::string_view key,
                                  const std::function<Result<GrammarPtr>()>& make);

  struct Stats {
    uint64_t found = 0, made = 0;
    size_t entries = 0, states = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct Entry {
    base::Digest key{};
    GrammarPtr grammar = {};
  };
  GrammarPtr find(const base::Digest& key);
  void keep(const base::Digest& key, const GrammarPtr& grammar);

  Limits limits_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // the one used last first
  Stats stats_;
};

}  // namespace lantern::text
