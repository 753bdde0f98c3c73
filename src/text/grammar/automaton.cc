#include "text/grammar/automaton.h"

#include <algorithm>

#include "text/grammar/vocabulary.h"

namespace lantern::text::grammar {
namespace {

constexpr int32_t kCallsMax = 1000;      // calls inside one another
constexpr size_t kItemsMax = 16'384;     // of a configuration
constexpr size_t kConfigsMax = 100'000;  // made for one mask, before it is given up
constexpr size_t kConfigsKept = 8'000;   // a kilobyte each
constexpr size_t kReturnsKept = 400'000;
constexpr size_t kReturnsMax = 4'000'000;
constexpr size_t kMasksKept = 256;  // 16 KB each at 128,000 tokens
constexpr size_t kLevelMax = 64;    // configurations that class_length() follows at once

uint64_t mix(uint64_t h, uint64_t value) {
  h = (h ^ value) * 0x9E3779B97F4A7C15;
  return h ^ (h >> 29);
}

uint64_t pair_of(int32_t high, int32_t low) {
  return static_cast<uint64_t>(static_cast<uint32_t>(high)) << 32 | static_cast<uint32_t>(low);
}

}  // namespace

Automaton::Automaton(std::shared_ptr<const Network> network)
    : network_(std::move(network)),
      entry_of_state_(network_->n_states(), kNone),
      stamp_of_state_(network_->n_states()) {
  intern_config({}, false);  // kDead
  const Return root{.to = kRoot, .count = kNone, .context = kNone};
  const Context end = intern({&root, 1});
  begin_closure();
  add(network_->rules[at(network_->start_rule)].start, 0, end);
  start_ = end_closure();
}

Automaton::Context Automaton::intern(std::span<const Return> returns) {
  uint64_t h = returns.size();
  int32_t depth = 0;
  for (const Return& r : returns) {
    h = mix(mix(h, pair_of(r.to, r.count)), static_cast<uint32_t>(r.context));
    if (r.context != kNone) depth = std::max(depth, contexts_[at(r.context)].depth);
  }
  const auto [begin, end] = context_index_.equal_range(h);
  for (auto it = begin; it != end; ++it) {
    const ContextNode& node = contexts_[at(it->second)];
    if (std::equal(returns.begin(), returns.end(), returns_.begin() + node.first,
                   returns_.begin() + node.first + node.size))
      return it->second;
  }
  const auto context = static_cast<Context>(contexts_.size());
  contexts_.push_back({.first = static_cast<uint32_t>(returns_.size()),
                       .size = static_cast<uint32_t>(returns.size()),
                       .depth = depth + 1});
  returns_.insert(returns_.end(), returns.begin(), returns.end());
  context_index_.emplace(h, context);
  return context;
}

Automaton::Context Automaton::push(int32_t to, int32_t count, Context context) {
  if (contexts_[at(context)].depth >= kCallsMax || returns_.size() > kReturnsMax) {
    overflow_ = true;
    return kNone;
  }
  const Return r{.to = to, .count = count, .context = context};
  return intern({&r, 1});
}

Automaton::Context Automaton::merge(Context a, Context b) {
  if (a == b) return a;
  const uint64_t key = pair_of(std::min(a, b), std::max(a, b));
  if (const auto known = merged_.find(key); known != merged_.end()) return known->second;
  const ContextNode node_a = contexts_[at(a)];
  const ContextNode node_b = contexts_[at(b)];
  const auto before = [](const Return& x, const Return& y) {
    return x.to != y.to ? x.to < y.to : x.count < y.count;
  };
  std::vector<Return> out;
  out.reserve(node_a.size + node_b.size);
  uint32_t i = 0;
  uint32_t j = 0;
  while (i < node_a.size || j < node_b.size) {
    const Return* x = i < node_a.size ? &returns_[node_a.first + i] : nullptr;
    const Return* y = j < node_b.size ? &returns_[node_b.first + j] : nullptr;
    if (y == nullptr || (x != nullptr && before(*x, *y))) {
      out.push_back(*x);
      ++i;
    } else if (x == nullptr || before(*y, *x)) {
      out.push_back(*y);
      ++j;
    } else {
      Return both = *x;
      const Context other = y->context;
      if (both.context != kNone) both.context = merge(both.context, other);
      out.push_back(both);
      ++i;
      ++j;
    }
  }
  const Context result = intern(out);
  merged_.emplace(key, result);
  return result;
}

void Automaton::begin_closure() {
  found_.clear();
  next_of_state_.clear();
  open_.clear();
  is_open_.clear();
  ++stamp_;
  closure_may_end_ = false;
}

void Automaton::add(int32_t state, int32_t taken, Context context) {
  if (context == kNone) return;
  if (stamp_of_state_[at(state)] != stamp_) {
    stamp_of_state_[at(state)] = stamp_;
    entry_of_state_[at(state)] = kNone;
  }
  for (int32_t i = entry_of_state_[at(state)]; i != kNone; i = next_of_state_[at(i)]) {
    Item& item = found_[at(i)];
    if (item.taken != taken) continue;
    const Context merged = merge(item.context, context);
    if (merged == item.context) return;
    item.context = merged;
    if (is_open_[at(i)] == 0) {
      is_open_[at(i)] = 1;
      open_.push_back(i);
    }
    return;
  }
  if (found_.size() >= kItemsMax) {
    overflow_ = true;
    return;
  }
  const auto i = static_cast<int32_t>(found_.size());
  found_.push_back({.state = state, .taken = taken, .context = context});
  next_of_state_.push_back(entry_of_state_[at(state)]);
  entry_of_state_[at(state)] = i;
  is_open_.push_back(1);
  open_.push_back(i);
}

void Automaton::visit(const Item& item) {
  const Network& net = *network_;
  for (int32_t e = net.first_edge[at(item.state)]; e < net.first_edge[at(item.state) + 1]; ++e) {
    const Edge& edge = net.edges[at(e)];
    switch (edge.kind) {
      case Edge::Kind::kBytes:
        break;
      case Edge::Kind::kEmpty:
        add(edge.target, item.taken, item.context);
        break;
      case Edge::Kind::kCall: {
        // A call that is the last thing a rule does returns to where the rule itself would, so a
        // list written by recursion on its right needs no depth.
        const Context context = net.only_accepts[at(edge.target)] != 0
                                    ? item.context
                                    : push(edge.target, kNone, item.context);
        add(net.rules[at(edge.rule)].start, 0, context);
        break;
      }
      case Edge::Kind::kRepeat:
        if (edge.least == 0) add(edge.target, 0, item.context);
        add(net.rules[at(edge.rule)].start, 0, push(e, 0, item.context));
        break;
    }
  }
  if (net.accepts[at(item.state)] == 0) return;
  const int32_t counter = net.counter_of[at(item.state)];
  if (counter == kNone || item.taken >= net.counters[at(counter)].least) leave(item);
}

void Automaton::leave(const Item& item) {
  const ContextNode node = contexts_[at(item.context)];
  for (uint32_t i = 0; i < node.size; ++i) {
    const Return r = returns_[node.first + i];
    if (r.to == kRoot) {
      closure_may_end_ = true;
    } else if (r.count == kNone) {
      add(r.to, 0, r.context);
    } else {
      const Edge& edge = network_->edges[at(r.to)];
      int64_t count = int64_t{r.count} + 1;
      if (edge.most == kUnbounded) count = std::min(count, edge.least);
      if (count >= edge.least) add(edge.target, 0, r.context);
      if (edge.most == kUnbounded || count < edge.most)
        add(network_->rules[at(edge.rule)].start, 0,
            push(r.to, static_cast<int32_t>(count), r.context));
    }
  }
}

Automaton::Configuration Automaton::end_closure() {
  while (!open_.empty()) {
    const int32_t i = open_.back();
    open_.pop_back();
    is_open_[at(i)] = 0;
    visit(Item(found_[at(i)]));
  }
  std::erase_if(found_, [&](const Item& i) { return network_->takes_bytes[at(i.state)] == 0; });
  std::sort(found_.begin(), found_.end(), [](const Item& a, const Item& b) {
    return a.state != b.state ? a.state < b.state : a.taken < b.taken;
  });
  return intern_config(found_, closure_may_end_);
}

Automaton::Configuration Automaton::intern_config(std::span<const Item> items, bool may_end) {
  uint64_t h = items.size() * 2 + (may_end ? 1 : 0);
  for (const Item& i : items)
    h = mix(mix(h, pair_of(i.state, i.taken)), static_cast<uint32_t>(i.context));
  const auto [begin, end] = config_index_.equal_range(h);
  for (auto it = begin; it != end; ++it) {
    const Config& c = config(it->second);
    if (c.may_end == may_end && std::equal(items.begin(), items.end(), items_.begin() + c.first,
                                           items_.begin() + c.first + c.size))
      return it->second;
  }
  if (configs_.size() >= kConfigsMax) {
    overflow_ = true;
    return kDead;
  }
  const auto c = static_cast<Configuration>(configs_.size());
  configs_.push_back({.first = static_cast<uint32_t>(items_.size()),
                      .size = static_cast<uint32_t>(items.size()),
                      .may_end = may_end});
  items_.insert(items_.end(), items.begin(), items.end());
  config_index_.emplace(h, c);
  return c;
}

Automaton::Configuration Automaton::start_after_space() {
  if (after_space_ != kDead) return after_space_;
  const auto c = static_cast<Configuration>(configs_.size());
  Config config = configs_[at(start_)];
  config.steps = config.mask = kNone;
  config.skips_space = true;
  configs_.push_back(config);
  after_space_ = c;
  return c;
}

/// Where `byte`, and every byte between the same two cuts, leads from `items`.
void Automaton::take_range(std::span<const Item> items, uint8_t byte) {
  const Network& net = *network_;
  begin_closure();
  for (const Item& item : items) {
    const int32_t counter = net.counter_of[at(item.state)];
    for (int32_t e = net.first_edge[at(item.state)]; e < net.first_edge[at(item.state) + 1]; ++e) {
      const Edge& edge = net.edges[at(e)];
      if (edge.kind != Edge::Kind::kBytes || byte < edge.first || byte > edge.last) continue;
      int64_t taken = item.taken;
      if (counter != kNone && edge.counts) {
        const Counter& bounds = net.counters[at(counter)];
        taken = bounds.reduced(taken + 1);
        if (!bounds.viable(edge.target, taken)) continue;
      }
      add(edge.target, static_cast<int32_t>(taken), item.context);
    }
  }
}

const Automaton::Steps& Automaton::steps(Configuration c) {
  if (const int32_t known = config(c).steps; known != kNone) return *steps_[at(known)];
  const std::vector<Item> items(items_.begin() + config(c).first,
                                items_.begin() + config(c).first + config(c).size);
  const Network& net = *network_;
  std::array<bool, 257> cut{};
  std::array<bool, 257> taken{};  // some edge begins or goes on at the cut
  for (const Item& item : items) {
    for (int32_t e = net.first_edge[at(item.state)]; e < net.first_edge[at(item.state) + 1]; ++e) {
      const Edge& edge = net.edges[at(e)];
      if (edge.kind != Edge::Kind::kBytes) continue;
      cut[edge.first] = cut[edge.last + 1u] = true;
      std::fill(taken.begin() + edge.first, taken.begin() + edge.last + 1, true);
    }
  }
  auto out = std::make_unique<Steps>();
  out->fill(kDead);
  for (size_t byte = 0; byte < 256;) {
    size_t end = byte + 1;
    while (end < 256 && !cut[end]) ++end;
    if (taken[byte]) {
      take_range(items, static_cast<uint8_t>(byte));
      const Configuration next = end_closure();
      // Only an end that nothing continues has no items, and it is not dead.
      std::fill(out->begin() + static_cast<ptrdiff_t>(byte),
                out->begin() + static_cast<ptrdiff_t>(end), next);
    }
    byte = end;
  }
  if (config(c).skips_space) (*out)[' '] = start_;
  configs_[at(c)].steps = static_cast<int32_t>(steps_.size());
  steps_.push_back(std::move(out));
  return *steps_.back();
}

Automaton::Configuration Automaton::step(Configuration from, uint8_t byte) {
  return steps(from)[byte];
}

Automaton::Configuration Automaton::step(Configuration from, std::string_view text) {
  for (const char c : text) {
    if (from == kDead) break;
    from = steps(from)[static_cast<uint8_t>(c)];
  }
  return from;
}

const TokenMask& Automaton::mask(Configuration c, const VocabularyTables& vocabulary) {
  if (const int32_t known = config(c).mask; known != kNone) return *masks_[at(known)];
  if (masks_.size() >= kMasksKept) {
    for (const Configuration owner : mask_of_) configs_[at(owner)].mask = kNone;
    masks_.clear();
    mask_of_.clear();
  }
  auto out = std::make_unique<TokenMask>(vocabulary.size);
  fill_mask(c, vocabulary, *out);
  if (config(c).may_end)
    for (const TokenId id : vocabulary.end_ids) out->allow(id);
  configs_[at(c)].mask = static_cast<int32_t>(masks_.size());
  masks_.push_back(std::move(out));
  mask_of_.push_back(c);
  return *masks_.back();
}

void Automaton::fill_mask(Configuration c, const VocabularyTables& vocabulary, TokenMask& mask) {
  std::array<int, kTokenClasses> length{};
  for (size_t k = kTokenClasses; k-- > 0;) {
    for (size_t wider = k + 1; wider < kTokenClasses; ++wider)
      if (class_within(k, wider)) length[k] = std::max(length[k], length[wider]);
    if (length[k] == kLengthMax) continue;
    const int own = class_length(c, k);
    if (own <= length[k]) continue;
    length[k] = own;
  }
  for (size_t k = 0; k < kTokenClasses; ++k) {
    const TokenMask* all = nullptr;
    for (size_t band = 0; band < kLengthBands.size(); ++band)
      if (kLengthBands[band] <= length[k]) all = &vocabulary.within[k][band];
    if (all == nullptr) continue;
    const std::span<uint64_t> to = mask.words();
    const std::span<const uint64_t> from = all->words();
    for (size_t i = 0; i < to.size(); ++i) to[i] |= from[i];
  }
  for (const Cell& cell : vocabulary.cells)
    if (cell.token_class == kTokenClasses || length[cell.token_class] < cell.length)
      walk(c, cell.trie, mask);
}

void Automaton::walk(Configuration c, const Trie& trie, TokenMask& mask) {
  std::vector<Configuration> path(trie.depth_max + 1u);
  path[0] = c;
  const size_t n = trie.byte.size();
  for (size_t i = 0; i < n;) {
    const size_t depth = trie.depth[i];
    const Configuration next = steps(path[depth - 1])[trie.byte[i]];
    if (next == kDead) {
      i = trie.skip[i];
      continue;
    }
    path[depth] = next;
    for (uint32_t t = trie.first_token[i]; t < trie.first_token[i + 1]; ++t)
      mask.allow(trie.tokens[t]);
    ++i;
  }
}

/// How long a text of the class's characters may be so that every such text can come at `c`; at
/// most kLengthMax.
int Automaton::class_length(Configuration c, size_t token_class) {
  std::vector<Configuration> level = {c};
  std::vector<Configuration> before;
  for (int length = 0; length < kLengthMax; ++length) {
    before = level;
    if (!step_level(token_class, level)) return length;
    if (level == before) return kLengthMax;
  }
  return kLengthMax;
}

bool Automaton::step_range(std::span<const Configuration> from, int first, int last,
                           std::vector<Configuration>& to) {
  for (const Configuration c : from) {
    const Steps& next = steps(c);
    Configuration previous = kDead;
    for (int byte = first; byte <= last; ++byte) {
      const Configuration n = next[at(byte)];
      if (n == kDead) return false;
      if (n != previous && std::find(to.begin(), to.end(), n) == to.end()) to.push_back(n);
      previous = n;
    }
  }
  return to.size() <= kLevelMax;
}

/// From the configurations after some characters to those after one more, ascending; false where
/// some character of the class cannot come.
bool Automaton::step_level(size_t token_class, std::vector<Configuration>& level) {
  std::vector<Configuration> next;
  for (const ByteRange range : class_ranges(token_class))
    if (!step_range(level, range.first, range.last, next)) return false;
  if (token_class == kText) {
    // The well-formed sequences of UTF-8 (Unicode, table 3-7).
    struct Lead {
      int first, last, second_first, second_last, more;
    };
    constexpr Lead kLeads[] = {{0xC2, 0xDF, 0x80, 0xBF, 0}, {0xE0, 0xE0, 0xA0, 0xBF, 1},
                               {0xE1, 0xEC, 0x80, 0xBF, 1}, {0xED, 0xED, 0x80, 0x9F, 1},
                               {0xEE, 0xEF, 0x80, 0xBF, 1}, {0xF0, 0xF0, 0x90, 0xBF, 2},
                               {0xF1, 0xF3, 0x80, 0xBF, 2}, {0xF4, 0xF4, 0x80, 0x8F, 2}};
    for (const Lead& lead : kLeads) {
      std::vector<Configuration> inner;
      if (!step_range(level, lead.first, lead.last, inner)) return false;
      int first = lead.second_first;
      int last = lead.second_last;
      for (int rest = lead.more; rest > 0; --rest) {
        std::vector<Configuration> deeper;
        if (!step_range(inner, first, last, deeper)) return false;
        inner = std::move(deeper);
        first = 0x80;
        last = 0xBF;
      }
      if (!step_range(inner, first, last, next)) return false;
    }
  }
  std::sort(next.begin(), next.end());
  level = std::move(next);
  return true;
}

Automaton::Context Automaton::copy_context(const Automaton& from, Context context,
                                           std::unordered_map<Context, Context>& copied) {
  if (const auto known = copied.find(context); known != copied.end()) return known->second;
  const ContextNode node = from.contexts_[at(context)];
  std::vector<Return> returns(from.returns_.begin() + node.first,
                              from.returns_.begin() + node.first + node.size);
  for (Return& r : returns)
    if (r.context != kNone) r.context = copy_context(from, r.context, copied);
  const Context copy = intern(returns);
  copied.emplace(context, copy);
  return copy;
}

void Automaton::trim(std::span<Configuration> keep) {
  if (configs_.size() <= kConfigsKept && returns_.size() <= kReturnsKept) return;
  Automaton fresh(network_);
  std::unordered_map<Context, Context> copied;
  for (Configuration& c : keep) {
    const Config& old = config(c);
    if (old.skips_space) {
      c = fresh.start_after_space();
      continue;
    }
    std::vector<Item> items(items_.begin() + old.first, items_.begin() + old.first + old.size);
    for (Item& i : items) i.context = fresh.copy_context(*this, i.context, copied);
    c = fresh.intern_config(items, old.may_end);
  }
  fresh.overflow_ = overflow_;
  *this = std::move(fresh);
}

}  // namespace lantern::text::grammar
