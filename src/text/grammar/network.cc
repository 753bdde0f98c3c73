#include "text/grammar/network.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace lantern::text::grammar {
namespace {

/// Repeats of something that may be empty are written out, up to so many times.
constexpr int64_t kEmptyRepeatMax = 64;

/// By state, whether nothing but its rule's end can follow.
std::vector<uint8_t> only_accepting(const Network& net) {
  enum : uint8_t { kNo, kYes, kUnknown };
  std::vector<uint8_t> out(net.n_states(), kUnknown);
  std::vector<size_t> chain;
  for (size_t s = 0; s < out.size(); ++s) {
    chain.clear();
    size_t here = s;
    while (out[here] == kUnknown) {
      out[here] = kNo;  // also where a chain of empty edges closes
      chain.push_back(here);
      const int32_t first = net.first_edge[here];
      const int32_t n_edges = net.first_edge[here + 1] - first;
      if (net.counter_of[here] != kNone) break;
      if (n_edges == 0) out[here] = net.accepts[here];
      if (n_edges != 1 || net.accepts[here] != 0) break;
      const Edge& only = net.edges[at(first)];
      if (only.kind != Edge::Kind::kEmpty) break;
      here = at(only.target);
    }
    if (out[here] == kYes)
      for (const size_t passed : chain) out[passed] = kYes;
  }
  return out;
}

}  // namespace

bool Counter::viable(int32_t state, int64_t n) const {
  const size_t h = at(home[at(state - first_state)]);
  if (most == kUnbounded) return longest.empty() || longest[h] < 0 || n + longest[h] >= least;
  if (n > most) return false;
  if (can_end.empty()) return true;
  const uint64_t* words = can_end.data() + h * n_words;
  const auto from = static_cast<size_t>(std::max<int64_t>(0, least - n));
  const auto to = static_cast<size_t>(most - n);
  for (size_t i = from; i <= to; ++i) {
    const uint64_t rest = words[i / 64] >> (i % 64);
    if (rest == 0) {
      i |= 63;
      continue;
    }
    i += static_cast<size_t>(__builtin_ctzll(rest));
    return i <= to;
  }
  return false;
}

int32_t NetworkBuilder::add_rule(std::string name) {
  rules_.push_back({.name = std::move(name)});
  return static_cast<int32_t>(rules_.size() - 1);
}

int32_t NetworkBuilder::add_state() {
  edges_.emplace_back();
  accepts_.push_back(0);
  counter_of_.push_back(kNone);
  return static_cast<int32_t>(accepts_.size() - 1);
}

void NetworkBuilder::define(int32_t rule, Part part) {
  rules_[at(rule)].start = part.begin;
  accepts_[at(part.end)] = 1;
}

void NetworkBuilder::bytes(int32_t from, uint8_t first, uint8_t last, int32_t to, bool counts) {
  edges_[at(from)].push_back(
      {.kind = Edge::Kind::kBytes, .first = first, .last = last, .counts = counts, .target = to});
  ++n_edges_;
}

void NetworkBuilder::empty(int32_t from, int32_t to) {
  edges_[at(from)].push_back({.kind = Edge::Kind::kEmpty, .target = to});
  ++n_edges_;
}

void NetworkBuilder::call(int32_t from, int32_t rule, int32_t to) {
  edges_[at(from)].push_back({.kind = Edge::Kind::kCall, .target = to, .rule = rule});
  ++n_edges_;
}

void NetworkBuilder::repeat(int32_t from, int32_t rule, int64_t least, int64_t most, int32_t to) {
  if (most == 0) return empty(from, to);
  if (least == 1 && most == 1) return call(from, rule, to);
  edges_[at(from)].push_back(
      {.kind = Edge::Kind::kRepeat, .target = to, .rule = rule, .least = least, .most = most});
  ++n_edges_;
}

Part NetworkBuilder::literal(std::string_view text) {
  Part part{add_state(), kNone};
  part.end = part.begin;
  for (const char c : text) {
    const int32_t next = add_state();
    bytes(part.end, static_cast<uint8_t>(c), static_cast<uint8_t>(c), next);
    part.end = next;
  }
  return part;
}

void NetworkBuilder::add_counter(int32_t rule, Counter counter) {
  const auto index = static_cast<int32_t>(counters_.size());
  for (size_t i = 0; i < counter.home.size(); ++i) counter_of_[at(counter.first_state) + i] = index;
  rules_[at(rule)].counter = index;
  counters_.push_back(std::move(counter));
}

int32_t NetworkBuilder::include(const Network& other) {
  const auto state_base = static_cast<int32_t>(n_states());
  const auto rule_base = static_cast<int32_t>(rules_.size());
  const auto counter_base = static_cast<int32_t>(counters_.size());
  for (Rule rule : other.rules) {
    rule.start += rule.start == kNone ? 0 : state_base;
    rule.counter += rule.counter == kNone ? 0 : counter_base;
    rules_.push_back(std::move(rule));
  }
  for (Counter counter : other.counters) {
    counter.first_state += state_base;
    counters_.push_back(std::move(counter));
  }
  for (size_t state = 0; state < other.n_states(); ++state) {
    const int32_t mine = add_state();
    accepts_[at(mine)] = other.accepts[state];
    counter_of_[at(mine)] =
        other.counter_of[state] == kNone ? kNone : other.counter_of[state] + counter_base;
    for (int32_t e = other.first_edge[state]; e < other.first_edge[state + 1]; ++e) {
      Edge edge = other.edges[at(e)];
      edge.target += state_base;
      edge.rule += edge.rule == kNone ? 0 : rule_base;
      edges_[at(mine)].push_back(edge);
      ++n_edges_;
    }
  }
  return rule_base + other.start_rule;
}

Status NetworkBuilder::within_limits() const {
  if (n_states() <= kStatesMax && n_edges_ <= kEdgesMax) return {};
  return make_error(ErrorCode::kTooLarge,
                    "the grammar needs more than {} states or {} edges; make it smaller",
                    kStatesMax, kEdgesMax);
}

NetworkBuilder::Productive NetworkBuilder::reach_end(Ways ways) const {
  struct Waiting {
    int32_t state;
    size_t edge;
  };
  std::vector<std::vector<Waiting>> on_state(n_states());
  std::vector<std::vector<Waiting>> on_rule(rules_.size());
  Productive live{std::vector<uint8_t>(n_states()), std::vector<uint8_t>(rules_.size())};
  std::vector<std::vector<int32_t>> begins(n_states());  // rules that begin there
  for (size_t r = 0; r < rules_.size(); ++r)
    if (rules_[r].start != kNone) begins[at(rules_[r].start)].push_back(static_cast<int32_t>(r));

  std::vector<int32_t> fresh;
  const auto mark = [&](int32_t state) {
    if (live.states[at(state)] != 0) return;
    live.states[at(state)] = 1;
    fresh.push_back(state);
  };
  const auto try_edge = [&](Waiting w) {
    const Edge& e = edges_[at(w.state)][w.edge];
    const bool needs_rule =
        e.kind == Edge::Kind::kCall || (e.kind == Edge::Kind::kRepeat && e.least > 0);
    if (live.states[at(e.target)] != 0 && (!needs_rule || live.rules[at(e.rule)] != 0))
      mark(w.state);
  };
  for (size_t s = 0; s < n_states(); ++s) {
    if (accepts_[s] != 0) mark(static_cast<int32_t>(s));
    for (size_t i = 0; i < edges_[s].size(); ++i) {
      const Edge& e = edges_[s][i];
      if (e.kind == Edge::Kind::kBytes && ways == Ways::kEmpty) continue;
      on_state[at(e.target)].push_back({static_cast<int32_t>(s), i});
      if (e.rule != kNone) on_rule[at(e.rule)].push_back({static_cast<int32_t>(s), i});
    }
  }
  while (!fresh.empty()) {
    const int32_t state = fresh.back();
    fresh.pop_back();
    for (const Waiting w : on_state[at(state)]) try_edge(w);
    for (const int32_t r : begins[at(state)]) {
      const int32_t counter = rules_[at(r)].counter;
      if (counter != kNone && !(ways == Ways::kEmpty ? counters_[at(counter)].least == 0
                                                     : counters_[at(counter)].viable(state, 0)))
        continue;
      live.rules[at(r)] = 1;
      for (const Waiting w : on_rule[at(r)]) try_edge(w);
    }
  }
  return live;
}

std::vector<uint8_t> NetworkBuilder::completable_rules() const {
  return reach_end(Ways::kAny).rules;
}

void NetworkBuilder::drop_dead_edges(const Productive& live) {
  for (std::vector<Edge>& edges : edges_) {
    for (Edge& e : edges)
      if (e.kind == Edge::Kind::kRepeat && live.rules[at(e.rule)] == 0 && e.least == 0)
        e = {.kind = Edge::Kind::kEmpty, .target = e.target};
    std::erase_if(edges, [&](const Edge& e) {
      return live.states[at(e.target)] == 0 || (e.rule != kNone && live.rules[at(e.rule)] == 0);
    });
  }
}

std::vector<int32_t> NetworkBuilder::first_calls(int32_t rule,
                                                 const std::vector<uint8_t>& nullable) const {
  std::vector<int32_t> calls;
  std::vector<int32_t> open = {rules_[at(rule)].start};
  std::unordered_set<int32_t> seen = {open[0]};
  while (!open.empty()) {
    const int32_t state = open.back();
    open.pop_back();
    for (const Edge& e : edges_[at(state)]) {
      if (e.kind == Edge::Kind::kBytes) continue;
      if (e.rule != kNone) calls.push_back(e.rule);
      const bool passes = e.kind == Edge::Kind::kEmpty ||
                          (e.kind == Edge::Kind::kRepeat && e.least == 0) ||
                          nullable[at(e.rule)] != 0;
      if (passes && seen.insert(e.target).second) open.push_back(e.target);
    }
  }
  return calls;
}

Status NetworkBuilder::check_left_recursion(const std::vector<uint8_t>& nullable) const {
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> mark(rules_.size(), kNew);
  struct Frame {
    int32_t rule;
    std::vector<int32_t> calls;
    size_t next = 0;
  };
  std::vector<Frame> path;
  for (size_t r = 0; r < rules_.size(); ++r) {
    if (mark[r] != kNew || rules_[r].start == kNone) continue;
    mark[r] = kOpen;
    path.push_back({static_cast<int32_t>(r), first_calls(static_cast<int32_t>(r), nullable)});
    while (!path.empty()) {
      Frame& frame = path.back();
      if (frame.next == frame.calls.size()) {
        mark[at(frame.rule)] = kDone;
        path.pop_back();
        continue;
      }
      const int32_t called = frame.calls[frame.next++];
      if (mark[at(called)] == kOpen)
        return make_error(ErrorCode::kUnsupported,
                          "rule \"{}\" can begin with itself (left recursion); write it as a "
                          "repetition",
                          rules_[at(called)].name);
      if (mark[at(called)] != kNew || rules_[at(called)].start == kNone) continue;
      mark[at(called)] = kOpen;
      path.push_back({called, first_calls(called, nullable)});
    }
  }
  return {};
}

Status NetworkBuilder::settle_empty_repeats(const std::vector<uint8_t>& nullable) {
  const size_t n = n_states();
  for (size_t s = 0; s < n; ++s) {
    for (size_t i = 0; i < edges_[s].size(); ++i) {
      const Edge e = edges_[s][i];
      if (e.kind != Edge::Kind::kRepeat || nullable[at(e.rule)] == 0) continue;
      // What may be empty fills up to any least number, so only the most counts.
      if (e.most > kEmptyRepeatMax)
        return make_error(ErrorCode::kUnsupported,
                          "at most {} repetitions of something that may be empty (rule \"{}\"), "
                          "not {}",
                          kEmptyRepeatMax, rules_[at(e.rule)].name, e.most);
      int32_t state = add_state();
      edges_[s][i] = {.kind = Edge::Kind::kEmpty, .target = state};
      if (e.most == kUnbounded) {
        call(state, e.rule, state);
      } else {
        for (int64_t k = 0; k < e.most; ++k) {
          const int32_t next = add_state();
          call(state, e.rule, next);
          state = next;
        }
      }
      empty(state, e.target);
    }
  }
  return {};
}

Network NetworkBuilder::flatten(int32_t start_rule) && {
  Network out;
  out.start_rule = start_rule;
  out.rules = std::move(rules_);
  out.counters = std::move(counters_);
  out.counter_of = std::move(counter_of_);
  out.accepts = std::move(accepts_);
  out.first_edge.reserve(edges_.size() + 1);
  for (const std::vector<Edge>& edges : edges_) {
    out.first_edge.push_back(static_cast<int32_t>(out.edges.size()));
    out.edges.insert(out.edges.end(), edges.begin(), edges.end());
    out.takes_bytes.push_back(
        std::ranges::any_of(edges, [](const Edge& e) { return e.kind == Edge::Kind::kBytes; }));
  }
  out.first_edge.push_back(static_cast<int32_t>(out.edges.size()));
  out.only_accepts = only_accepting(out);
  return out;
}

Result<Network> NetworkBuilder::finish(int32_t start_rule) && {
  LANTERN_TRY(within_limits());
  for (const Rule& rule : rules_)
    if (rule.start == kNone)
      return make_error(ErrorCode::kInvalidArgument, "rule \"{}\" is not defined", rule.name);
  const Productive live = reach_end(Ways::kAny);
  if (live.rules[at(start_rule)] == 0)
    return make_error(ErrorCode::kInvalidArgument, "nothing can satisfy it");
  drop_dead_edges(live);
  const std::vector<uint8_t> nullable = reach_end(Ways::kEmpty).rules;
  LANTERN_TRY(settle_empty_repeats(nullable));
  LANTERN_TRY(check_left_recursion(nullable));
  return std::move(*this).flatten(start_rule);
}

}  // namespace lantern::text::grammar
