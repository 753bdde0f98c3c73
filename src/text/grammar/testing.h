// Whether a grammar generates a JSON value in canonical form, whatever the order of its members:
// for tests and benchmarks, whose values do not know the schema's order.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/grammar.h"
#include "text/grammar/automaton.h"
#include "text/grammar/char_dfa.h"
#include "text/grammar/schema_numbers.h"

namespace lantern::text::grammar {

/// Whether a grammar generates a value, whatever the order of its members.
class JsonGenerator {
 public:
  explicit JsonGenerator(const GrammarPtr& grammar)
      : automaton_(std::shared_ptr<const Network>(grammar, &grammar->network())) {}

  /// Compact; nullopt where the grammar does not.
  std::optional<std::string> generate(const base::OrderedJson& value) {
    written_.clear();
    n_tried_ = 0;
    const Written all = write(automaton_.start(), value);
    if (all.at == Automaton::kDead || !automaton_.may_end(all.at)) return std::nullopt;
    return all.text;
  }

 private:
  using At = Automaton::Configuration;
  /// Where a text leads to.
  struct Written {
    At at;
    std::string text;
  };
  using Members = std::vector<std::pair<std::string, const base::OrderedJson*>>;

  static std::string number_text(const base::OrderedJson& value) {
    const auto decimal = to_decimal(value);
    return decimal ? to_text(*decimal) : value.dump();
  }
  void put(Written& to, std::string_view text) {
    if (to.at == Automaton::kDead) return;
    to.text += text;
    to.at = automaton_.step(to.at, text);
  }
  void put_value(Written& to, const base::OrderedJson& value) {
    if (to.at == Automaton::kDead) return;
    const auto [known, is_new] = written_.try_emplace({to.at, &value});
    if (is_new) known->second = write(to.at, value);
    to.at = known->second.at;
    to.text += known->second.text;
  }
  Written write(At at, const base::OrderedJson& value) {
    Written out{at, {}};
    if (value.is_object()) {
      put(out, "{");
      Members members;
      for (const auto& [key, member] : value.items()) members.emplace_back(key, &member);
      return write_members(std::move(out), members);
    }
    if (value.is_array()) {
      put(out, "[");
      for (size_t i = 0; i < value.size(); ++i) {
        if (i > 0) put(out, ",");
        put_value(out, value[i]);
      }
      put(out, "]");
    } else {
      put(out, value.is_string()   ? "\"" + json_escaped(value.get<std::string>()) + "\""
               : value.is_number() ? number_text(value)
                                   : value.dump());
    }
    return out;
  }
  /// `begun`, and one of the members after it.
  Written with(const Written& begun, const Members& members, size_t i) {
    Written out = begun;
    put(out, begun.text.back() == '{' ? "\"" : ",\"");
    put(out, json_escaped(members[i].first) + "\":");
    put_value(out, *members[i].second);
    return out;
  }
  Written write_members(Written begun, const Members& left) {
    if (left.empty()) {
      put(begun, "}");
      return begun;
    }
    // Those first after which the most of the others that may come now may still come: the schema's
    // own members in their order, then the rest.
    struct Next {
      size_t i;
      Written written;
      size_t n_lost;
    };
    std::vector<Next> order;
    for (size_t i = 0; i < left.size(); ++i) {
      Written written = with(begun, left, i);
      if (written.at != Automaton::kDead) order.push_back({i, std::move(written), 0});
    }
    for (Next& one : order)
      for (const Next& other : order) {
        Written name{one.written.at, {}};
        put(name, ",\"");
        put(name, json_escaped(left[other.i].first) + "\":");
        one.n_lost += other.i != one.i && name.at == Automaton::kDead ? 1 : 0;
      }
    std::ranges::stable_sort(order, {}, &Next::n_lost);
    for (Next& next : order) {
      if (++n_tried_ > 20'000) break;
      Members rest = left;
      rest.erase(rest.begin() + static_cast<ptrdiff_t>(next.i));
      Written all = write_members(std::move(next.written), rest);
      if (all.at != Automaton::kDead) return all;
    }
    return {Automaton::kDead, {}};
  }

  Automaton automaton_;
  std::map<std::pair<At, const base::OrderedJson*>, Written> written_;
  int n_tried_ = 0;
};

}  // namespace lantern::text::grammar
