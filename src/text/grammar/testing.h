// Whether a grammar generates a JSON value in canonical form, whatever the order of its members:
// for tests and benchmarks, whose values do not know the schema's order.
#pragma once

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
    text_.clear();
    n_tried_ = 0;
    const auto end = write(automaton_.start(), value);
    if (end == Automaton::kDead || !automaton_.may_end(end)) return std::nullopt;
    return text_;
  }

 private:
  static std::string number_text(const base::OrderedJson& value) {
    const auto decimal = to_decimal(value);
    return decimal ? to_text(*decimal) : value.dump();
  }
  using At = Automaton::Configuration;

  At put(At at, std::string_view text) {
    text_ += text;
    return automaton_.step(at, text);
  }
  At write(At at, const base::OrderedJson& value) {
    if (at == Automaton::kDead) return at;
    if (value.is_string()) return put(at, "\"" + json_escaped(value.get<std::string>()) + "\"");
    if (value.is_number()) return put(at, number_text(value));
    if (value.is_object()) {
      at = put(at, "{");
      std::vector<std::pair<std::string, const base::OrderedJson*>> members;
      for (const auto& [key, member] : value.items()) members.emplace_back(key, &member);
      return write_members(at, std::move(members), true);
    }
    if (!value.is_array()) return put(at, value.dump());
    at = put(at, "[");
    for (size_t i = 0; i < value.size() && at != Automaton::kDead; ++i)
      at = write(i == 0 ? at : put(at, ","), value[i]);
    return at == Automaton::kDead ? at : put(at, "]");
  }
  At write_members(At at, std::vector<std::pair<std::string, const base::OrderedJson*>> left,
                   bool first) {
    if (left.empty()) return put(at, "}");
    const size_t length = text_.size();
    for (size_t i = 0; i < left.size() && n_tried_ < 20'000; ++i) {
      ++n_tried_;
      At next = put(at, first ? "\"" : ",\"");
      if (next != Automaton::kDead) next = put(next, json_escaped(left[i].first) + "\":");
      if (next != Automaton::kDead) next = write(next, *left[i].second);
      if (next != Automaton::kDead) {
        auto rest = left;
        rest.erase(rest.begin() + static_cast<ptrdiff_t>(i));
        next = write_members(next, std::move(rest), false);
      }
      if (next != Automaton::kDead) return next;
      text_.resize(length);
    }
    return Automaton::kDead;
  }

  Automaton automaton_;
  std::string text_;
  int n_tried_ = 0;
};

}  // namespace lantern::text::grammar
