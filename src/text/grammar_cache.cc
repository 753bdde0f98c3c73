#include "text/grammar_cache.h"

#include <algorithm>

#include "text/grammar/network.h"

namespace lantern::text {

GrammarPtr GrammarCache::find(const base::Digest& key) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(entries_.begin(), entries_.end(),
                                  [&](const Entry& entry) { return entry.key == key; });
  if (found == entries_.end()) return nullptr;
  ++stats_.found;
  entries_.splice(entries_.begin(), entries_, found);
  return entries_.front().grammar;
}

void GrammarCache::keep(const base::Digest& key, const GrammarPtr& grammar) {
  const size_t n_states = grammar->network().n_states();
  const std::lock_guard lock(mutex_);
  ++stats_.made;
  const bool is_there = std::any_of(entries_.begin(), entries_.end(),
                                    [&](const Entry& entry) { return entry.key == key; });
  if (is_there || n_states > limits_.states_max || limits_.entries_max == 0) return;
  entries_.push_front({key, grammar});
  stats_.states += n_states;
  while (entries_.size() > limits_.entries_max || stats_.states > limits_.states_max) {
    stats_.states -= entries_.back().grammar->network().n_states();
    entries_.pop_back();
  }
}

Result<GrammarPtr> GrammarCache::find_or_make(std::string_view key,
                                              const std::function<Result<GrammarPtr>()>& make) {
  const base::Digest digest = base::sha256(key);
  if (GrammarPtr found = find(digest)) return found;
  LANTERN_ASSIGN(GrammarPtr made, make());
  keep(digest, made);
  return made;
}

GrammarCache::Stats GrammarCache::stats() const {
  const std::lock_guard lock(mutex_);
  Stats out = stats_;
  out.entries = entries_.size();
  return out;
}

}  // namespace lantern::text
