#include "text/grammar/char_dfa.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

#include "text/unicode.h"

namespace lantern::text::grammar {
namespace {

constexpr char32_t kLastChar = 0x10FFFF;
constexpr size_t kCounterBitsMax = size_t{1} << 24;

}  // namespace

CharSet normalized(CharSet set) {
  std::ranges::sort(set, {}, &CharRange::first);
  CharSet out;
  for (const CharRange r : set) {
    if (r.first > r.last) continue;
    if (!out.empty() && r.first <= out.back().last + 1)
      out.back().last = std::max(out.back().last, r.last);
    else
      out.push_back(r);
  }
  return out;
}

const CharSet& all_chars() {
  static const CharSet kAll = {{0, 0xD7FF}, {0xE000, kLastChar}};
  return kAll;
}

CharSet complement(const CharSet& set) {
  CharSet out;
  for (CharRange rest : all_chars()) {
    for (const CharRange r : normalized(set)) {
      if (r.last < rest.first || r.first > rest.last) continue;
      if (r.first > rest.first) out.push_back({rest.first, r.first - 1});
      rest.first = r.last + 1;
      if (rest.first > rest.last) break;
    }
    if (rest.first <= rest.last) out.push_back(rest);
  }
  return out;
}

Status Budget::spend(size_t units) {
  left_ -= static_cast<int64_t>(units);
  if (left_ >= 0) return {};
  return make_error(ErrorCode::kTooLarge,
                    "it takes too much to compile; make its patterns and bounds smaller");
}

bool CharDfa::empty() const {
  return std::ranges::none_of(accepts, [](uint8_t a) { return a != 0; });
}

bool CharDfa::matches(std::string_view utf8) const {
  size_t state = 0;
  while (!utf8.empty()) {
    const Decoded c = decode_utf8(utf8);
    if (c.state != Decoded::State::kValid) return false;
    const auto& from = edges[state];
    const auto it = std::ranges::lower_bound(from, c.code_point, {}, &Edge::last);
    if (it == from.end() || it->first > c.code_point) return false;
    state = at(it->target);
    utf8.remove_prefix(c.length);
  }
  return accepts[state] != 0;
}

int32_t CharNfa::add_state() {
  states_.emplace_back();
  return static_cast<int32_t>(states_.size() - 1);
}

void CharNfa::on(int32_t from, const CharSet& set, int32_t to) {
  for (const CharRange r : set)
    for (const CharRange all : all_chars())  // surrogates are no characters
      if (r.first <= all.last && r.last >= all.first)
        states_[at(from)].edges.push_back(
            {std::max(r.first, all.first), std::min(r.last, all.last), to});
}

void CharNfa::empty(int32_t from, int32_t to, Assertion assertion) {
  states_[at(from)].jumps.push_back({to, assertion});
}

/// The subset construction.
class CharNfa::Subsets {
 public:
  Subsets(const CharNfa& nfa, int32_t end, Budget& budget)
      : nfa_(nfa), end_(end), budget_(budget), stamp_(nfa.size()) {}

  Result<CharDfa> run(int32_t begin) {
    out_.edges.clear();
    out_.accepts.clear();
    LANTERN_TRY(take({begin}, Place::kBegin).status);
    for (size_t i = 0; i < sets_.size(); ++i) LANTERN_TRY(expand(i));
    return trimmed(std::move(out_));
  }

 private:
  enum class Place { kBegin, kInside };
  using Set = std::vector<int32_t>;
  struct Taken {
    Status status;
    int32_t id = 0;
  };

  void close(Set& set, Place place, bool at_end) {
    ++now_;
    for (const int32_t s : set) stamp_[at(s)] = now_;
    for (size_t i = 0; i < set.size(); ++i) {
      for (const Jump jump : nfa_.states_[at(set[i])].jumps) {
        if (jump.assertion == Assertion::kBegin && place != Place::kBegin) continue;
        if (jump.assertion == Assertion::kEnd && !at_end) continue;
        if (stamp_[at(jump.to)] == now_) continue;
        stamp_[at(jump.to)] = now_;
        set.push_back(jump.to);
      }
    }
  }

  Taken take(Set set, Place place) {
    close(set, place, false);
    Set at_end = set;
    close(at_end, place, true);
    const bool accepts = std::ranges::find(at_end, end_) != at_end.end();
    // Only states with characters, and whether it accepts, matter from here on.
    std::erase_if(set, [&](int32_t s) { return nfa_.states_[at(s)].edges.empty(); });
    // Jumps over an end assertion lead to acceptance alone, which is known.
    std::ranges::sort(set);
    Taken out{budget_.spend(at_end.size() + 8)};
    set.push_back(accepts ? 1 : 0);
    const auto [entry, inserted] = ids_.emplace(set, static_cast<int32_t>(sets_.size()));
    out.id = entry->second;
    if (!inserted) return out;
    set.pop_back();
    sets_.push_back(std::move(set));
    out_.edges.emplace_back();
    out_.accepts.push_back(accepts ? 1 : 0);
    if (sets_.size() > kDfaStatesMax)
      out.status =
          make_error(ErrorCode::kTooLarge, "a pattern needs more than {} states; make it simpler",
                     kDfaStatesMax);
    return out;
  }

  Status expand(size_t i) {
    std::vector<char32_t> cuts;
    size_t n_edges = 0;
    for (const int32_t s : sets_[i]) {
      for (const CharDfa::Edge& e : nfa_.states_[at(s)].edges) {
        cuts.push_back(e.first);
        cuts.push_back(e.last + 1);
        ++n_edges;
      }
    }
    std::ranges::sort(cuts);
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<Set> targets(cuts.size());
    for (const int32_t s : sets_[i]) {
      for (const CharDfa::Edge& e : nfa_.states_[at(s)].edges) {
        auto k = static_cast<size_t>(std::ranges::lower_bound(cuts, e.first) - cuts.begin());
        for (; cuts[k] <= e.last; ++k) {
          targets[k].push_back(e.target);
          ++n_edges;
        }
      }
    }
    LANTERN_TRY(budget_.spend(n_edges * 2));
    std::map<Set, int32_t> known;
    std::vector<CharDfa::Edge> edges;
    for (size_t k = 0; k + 1 < cuts.size(); ++k) {
      if (targets[k].empty()) continue;
      std::ranges::sort(targets[k]);
      targets[k].erase(std::unique(targets[k].begin(), targets[k].end()), targets[k].end());
      const auto [entry, inserted] = known.emplace(targets[k], 0);
      if (inserted) {
        Taken taken = take(targets[k], Place::kInside);
        LANTERN_TRY(std::move(taken.status));
        entry->second = taken.id;
      }
      if (!edges.empty() && edges.back().target == entry->second &&
          edges.back().last + 1 == cuts[k])
        edges.back().last = cuts[k + 1] - 1;
      else
        edges.push_back({cuts[k], cuts[k + 1] - 1, entry->second});
    }
    out_.edges[i] = std::move(edges);
    return {};
  }

  const CharNfa& nfa_;
  int32_t end_;
  Budget& budget_;
  std::vector<uint32_t> stamp_;
  uint32_t now_ = 0;
  std::map<Set, int32_t> ids_;
  std::vector<Set> sets_;
  CharDfa out_;
};

Result<CharDfa> CharNfa::determinize(int32_t begin, int32_t end, Budget& budget) const {
  return Subsets(*this, end, budget).run(begin);
}

CharDfa trimmed(CharDfa dfa) {
  const size_t n = dfa.size();
  std::vector<std::vector<int32_t>> from(n);
  for (size_t s = 0; s < n; ++s)
    for (const CharDfa::Edge& e : dfa.edges[s])
      from[at(e.target)].push_back(static_cast<int32_t>(s));
  std::vector<uint8_t> live(n);
  std::vector<int32_t> open;
  for (size_t s = 0; s < n; ++s)
    if (dfa.accepts[s] != 0) live[s] = 1, open.push_back(static_cast<int32_t>(s));
  while (!open.empty()) {
    const int32_t s = open.back();
    open.pop_back();
    for (const int32_t p : from[at(s)])
      if (live[at(p)] == 0) live[at(p)] = 1, open.push_back(p);
  }
  CharDfa out;
  if (n == 0 || live[0] == 0) return out;
  std::vector<int32_t> renamed(n, kNone);
  std::vector<int32_t> order = {0};
  renamed[0] = 0;
  out.edges.clear();
  out.accepts.clear();
  for (size_t i = 0; i < order.size(); ++i) {
    std::vector<CharDfa::Edge> edges;
    for (CharDfa::Edge e : dfa.edges[at(order[i])]) {
      if (live[at(e.target)] == 0) continue;
      if (renamed[at(e.target)] == kNone) {
        renamed[at(e.target)] = static_cast<int32_t>(order.size());
        order.push_back(e.target);
      }
      e.target = renamed[at(e.target)];
      edges.push_back(e);
    }
    out.edges.push_back(std::move(edges));
    out.accepts.push_back(dfa.accepts[at(order[i])]);
  }
  return out;
}

CharDfa any_text() {
  CharDfa out;
  out.accepts[0] = 1;
  for (const CharRange r : all_chars()) out.edges[0].push_back({r.first, r.last, 0});
  return out;
}

CharDfa texts(const std::vector<std::string>& list) {
  // A trie; sorted by code point, as UTF-8 sorts, so edges come in order.
  std::vector<std::string> sorted = list;
  std::ranges::sort(sorted);
  CharDfa out;
  for (std::string_view text : sorted) {
    size_t state = 0;
    while (!text.empty()) {
      const Decoded c = decode_utf8(text);
      text.remove_prefix(c.length);
      auto& edges = out.edges[state];
      if (edges.empty() || edges.back().first != c.code_point) {
        edges.push_back({c.code_point, c.code_point, static_cast<int32_t>(out.size())});
        state = out.size();
        out.edges.emplace_back();
        out.accepts.push_back(0);
      } else {
        state = at(edges.back().target);
      }
    }
    out.accepts[state] = 1;
  }
  return out;
}

namespace {

enum class Both { kAnd, kAndNot };

Result<CharDfa> product(const CharDfa& a, const CharDfa& b, Both both, Budget& budget) {
  CharDfa out;
  out.edges.clear();
  out.accepts.clear();
  std::unordered_map<uint64_t, int32_t> ids;
  std::vector<std::pair<int32_t, int32_t>> pairs;
  const auto take = [&](int32_t x, int32_t y) {
    const uint64_t key =
        static_cast<uint64_t>(static_cast<uint32_t>(x)) << 32 | static_cast<uint32_t>(y);
    const auto [entry, inserted] = ids.emplace(key, static_cast<int32_t>(pairs.size()));
    if (inserted) {
      const bool in_b = y != kNone && b.accepts[at(y)] != 0;
      pairs.emplace_back(x, y);
      out.edges.emplace_back();
      out.accepts.push_back(a.accepts[at(x)] != 0 && in_b == (both == Both::kAnd) ? 1 : 0);
    }
    return entry->second;
  };
  take(0, 0);
  static const std::vector<CharDfa::Edge> kNoEdges;
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (pairs.size() > kDfaStatesMax)
      return make_error(ErrorCode::kTooLarge,
                        "patterns together need more than {} states; make them simpler",
                        kDfaStatesMax);
    const auto [x, y] = pairs[i];
    const auto& right = y == kNone ? kNoEdges : b.edges[at(y)];
    std::vector<CharDfa::Edge> edges;
    LANTERN_TRY(budget.spend(8 + a.edges[at(x)].size() + right.size()));
    auto r = right.begin();
    for (const CharDfa::Edge& left : a.edges[at(x)]) {
      char32_t from = left.first;
      while (r != right.end() && r->last < from) ++r;
      for (auto k = r; from <= left.last;) {
        while (k != right.end() && k->last < from) ++k;
        const bool inside = k != right.end() && k->first <= from;
        char32_t to = left.last;
        if (inside)
          to = std::min(to, k->last);
        else if (k != right.end() && k->first <= to)
          to = k->first - 1;
        if (inside)
          edges.push_back({from, to, take(left.target, k->target)});
        else if (both == Both::kAndNot)
          edges.push_back({from, to, take(left.target, kNone)});
        from = to + 1;
      }
    }
    out.edges[i] = std::move(edges);
  }
  return trimmed(std::move(out));
}

}  // namespace

Result<CharDfa> intersection(const CharDfa& a, const CharDfa& b, Budget& budget) {
  return product(a, b, Both::kAnd, budget);
}

Result<CharDfa> difference(const CharDfa& a, const CharDfa& b, Budget& budget) {
  return product(a, b, Both::kAndNot, budget);
}

std::string json_escaped(std::string_view text) {
  std::string out;
  constexpr std::string_view kHex = "0123456789abcdef";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (byte >= 0x20) {
          out += c;
        } else {
          out += "\\u00";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        }
    }
  }
  return out;
}

namespace {

/// Writes the edges of an automaton over characters as bytes.
class CharRule {
 public:
  CharRule(NetworkBuilder& builder, Spelling spelling, bool counts)
      : builder_(builder), spelling_(spelling), counts_(counts) {
    first_ = static_cast<int32_t>(builder.n_states());
  }

  Status build(const CharDfa& dfa, Budget& budget) {
    for (size_t s = 0; s < dfa.size(); ++s) {
      const int32_t state = builder_.add_state();
      home_.push_back(static_cast<int32_t>(s));
      if (dfa.accepts[s] != 0) builder_.accept(state);
    }
    for (size_t s = 0; s < dfa.size(); ++s) {
      LANTERN_TRY(budget.spend(16 * dfa.edges[s].size()));
      for (const CharDfa::Edge& e : dfa.edges[s]) add_chars(first_ + static_cast<int32_t>(s), e);
      if (s % 64 == 0) LANTERN_TRY(builder_.within_limits());
    }
    return {};
  }

  [[nodiscard]] int32_t first() const { return first_; }
  std::vector<int32_t> take_home() { return std::move(home_); }

 private:
  struct Bytes {
    uint8_t first, last;
  };

  void add_chars(int32_t from, const CharDfa::Edge& e) {
    if (spelling_ == Spelling::kPlain) return add_range(from, e.first, e.last, e.target);
    char32_t first = e.first;
    for (; first <= e.last && first < 0x20; ++first) add_escaped(from, first, e.target);
    for (const char32_t special : {U'"', U'\\'}) {
      if (first > special || e.last < special) continue;
      if (first < special) add_range(from, first, special - 1, e.target);
      add_escaped(from, special, e.target);
      first = special + 1;
    }
    if (first <= e.last) add_range(from, first, e.last, e.target);
  }

  void add_escaped(int32_t from, char32_t c, int32_t target) {
    const std::string text = json_escaped(std::string(1, static_cast<char>(c)));
    std::vector<Bytes> sequence;
    for (const char b : text)
      sequence.push_back({static_cast<uint8_t>(b), static_cast<uint8_t>(b)});
    add_sequence(from, sequence, target);
  }

  /// A range of code points as sequences of ranges of bytes, each of which stands for all its
  /// combinations: cut at lengths, then where the bytes after the first are not all of 80 to BF.
  void add_range(int32_t from, char32_t first, char32_t last, int32_t target) {
    for (const char32_t length_end : {0x7Fu, 0x7FFu, 0xFFFFu}) {
      if (first > length_end || last <= length_end) continue;
      add_range(from, first, length_end, target);
      first = length_end + 1;
    }
    if (first > last) return;
    const int n_bytes = first < 0x80 ? 1 : first < 0x800 ? 2 : first < 0x10000 ? 3 : 4;
    for (int k = 1; k < n_bytes; ++k) {
      const char32_t mask = (char32_t{1} << (6 * k)) - 1;
      if ((first & ~mask) == (last & ~mask)) continue;
      if ((first & mask) != 0) {
        add_range(from, first, first | mask, target);
        return add_range(from, (first | mask) + 1, last, target);
      }
      if ((last & mask) != mask) {
        add_range(from, first, (last & ~mask) - 1, target);
        return add_range(from, last & ~mask, last, target);
      }
    }
    std::string low;
    std::string high;
    append_utf8(first, low);
    append_utf8(last, high);
    std::vector<Bytes> sequence;
    for (size_t i = 0; i < low.size(); ++i)
      sequence.push_back({static_cast<uint8_t>(low[i]), static_cast<uint8_t>(high[i])});
    add_sequence(from, sequence, target);
  }

  void add_sequence(int32_t from, const std::vector<Bytes>& sequence, int32_t target) {
    // From the back, so that equal rests are one state.
    int32_t to = first_ + target;
    for (size_t i = sequence.size(); i-- > 1;) {
      const std::array<int32_t, 4> key = {to, sequence[i].first, sequence[i].last, target};
      const auto [entry, inserted] = rests_.emplace(key, kNone);
      if (inserted) {
        entry->second = builder_.add_state();
        home_.push_back(target);
        builder_.bytes(entry->second, sequence[i].first, sequence[i].last, to);
      }
      to = entry->second;
    }
    builder_.bytes(from, sequence[0].first, sequence[0].last, to, counts_);
  }

  NetworkBuilder& builder_;
  Spelling spelling_;
  bool counts_;
  int32_t first_;
  std::vector<int32_t> home_;
  std::map<std::array<int32_t, 4>, int32_t> rests_;
};

bool is_any_text(const CharDfa& dfa) {
  return dfa.size() == 1 && dfa.accepts[0] != 0 && dfa.edges[0].size() == 2 &&
         dfa.edges[0][0].last == 0xD7FF && dfa.edges[0][1].last == kLastChar;
}

/// The longest completion of each state; kUnbounded where one goes round.
std::vector<int64_t> longest_completions(const CharDfa& dfa) {
  // Peeled from the end: a state is final once all its successors are; what is left has a cycle
  // before it.
  std::vector<std::vector<int32_t>> from(dfa.size());
  std::vector<size_t> open_edges(dfa.size());
  std::vector<int64_t> longest(dfa.size(), kUnbounded);
  std::vector<int32_t> done;
  for (size_t s = 0; s < dfa.size(); ++s) {
    open_edges[s] = dfa.edges[s].size();
    if (open_edges[s] == 0) done.push_back(static_cast<int32_t>(s));
    for (const CharDfa::Edge& e : dfa.edges[s])
      from[at(e.target)].push_back(static_cast<int32_t>(s));
  }
  while (!done.empty()) {
    const int32_t s = done.back();
    done.pop_back();
    int64_t best = 0;
    for (const CharDfa::Edge& e : dfa.edges[at(s)])
      best = std::max(best, longest[at(e.target)] + 1);
    longest[at(s)] = best;
    for (const int32_t p : from[at(s)])
      if (--open_edges[at(p)] == 0) done.push_back(p);
  }
  return longest;
}

/// Whether a text of `dfa` may be longer than `most`.
bool exceeds(const CharDfa& dfa, int64_t most) {
  if (most == kUnbounded) return false;
  const int64_t longest = longest_completions(dfa)[0];
  return longest == kUnbounded || longest > most;
}

Status fill_completions(const CharDfa& dfa, Counter& counter, Budget& budget) {
  if (is_any_text(dfa)) return {};
  if (counter.most == kUnbounded) {
    counter.longest = longest_completions(dfa);
    return {};
  }
  size_t n_edges = 0;
  for (const auto& edges : dfa.edges) n_edges += edges.size();
  const auto n = static_cast<size_t>(counter.most) + 1;
  counter.n_words = (n + 63) / 64;
  if (counter.n_words * 64 * dfa.size() > kCounterBitsMax)
    return make_error(ErrorCode::kTooLarge,
                      "a length of {} together with a pattern is more than can be compiled; leave "
                      "one out or make it smaller",
                      counter.most);
  LANTERN_TRY(budget.spend(n * (n_edges + dfa.size()) / 2));
  counter.can_end.assign(counter.n_words * dfa.size(), 0);
  const auto bit = [&](size_t state, size_t length) {
    return (counter.can_end[state * counter.n_words + length / 64] >> (length % 64) & 1) != 0;
  };
  for (size_t length = 0; length < n; ++length) {
    for (size_t s = 0; s < dfa.size(); ++s) {
      const bool can =
          length == 0 ? dfa.accepts[s] != 0 : std::ranges::any_of(dfa.edges[s], [&](const auto& e) {
            return bit(at(e.target), length - 1);
          });
      if (can) counter.can_end[s * counter.n_words + length / 64] |= uint64_t{1} << (length % 64);
    }
  }
  return {};
}

}  // namespace

Result<int32_t> add_char_rule(NetworkBuilder& builder, std::string name, const CharDfa& dfa,
                              Spelling spelling, LengthBounds bounds, Budget& budget) {
  const bool counts = bounds.least > 0 || exceeds(dfa, bounds.most);
  const int32_t rule = builder.add_rule(std::move(name));
  CharRule chars(builder, spelling, counts);
  LANTERN_TRY(chars.build(dfa, budget));
  builder.set_start(rule, chars.first());
  if (!counts) return rule;
  Counter counter;
  counter.least = std::min(bounds.least, kRepeatMax);
  counter.most = std::min(bounds.most, kRepeatMax);
  counter.first_state = chars.first();
  counter.home = chars.take_home();
  LANTERN_TRY(fill_completions(dfa, counter, budget));
  builder.add_counter(rule, std::move(counter));
  return rule;
}

}  // namespace lantern::text::grammar
