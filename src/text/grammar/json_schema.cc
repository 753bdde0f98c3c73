#include "text/grammar/json_schema.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "text/grammar/char_dfa.h"
#include "text/grammar/regex.h"
#include "text/grammar/schema_facts.h"
#include "text/grammar/schema_numbers.h"
#include "text/grammar/schema_set.h"

namespace lantern::text::grammar {
namespace {

constexpr int kSchemaDepthMax = 64;
constexpr size_t kObjectStatesMax = 50'000;
/// Characters of a number that nothing else bounds: every double's shortest plain decimal fits, the
/// longest being a sign, "0." and the 324 places down to which doubles tell numbers apart (their
/// largest integers have 309 digits). A model that repeats a digit must come to an end.
constexpr int64_t kNumberCharsMax = 327;

/// Makes a rule for each conjunction of schemas that a value must satisfy. A rule is begun when it
/// is first asked for and written when its turn comes, so recursion in the schema is recursion in
/// the network and not in here.
class SchemaCompiler {
 public:
  explicit SchemaCompiler(const Json& root) : set_(root), facts_(set_, budget_) {}

  Result<Network> compile() {
    const int32_t root = rule_of({set_.root()});
    while (!open_.empty()) {
      auto [rule, conjunction] = std::move(open_.back());
      open_.pop_back();
      LANTERN_TRY(builder_.within_limits());
      LANTERN_TRY(write(rule, conjunction));
    }
    Result<Network> network = std::move(builder_).finish(root);
    if (!network.ok()) return std::move(network).error().within("JSON schema");
    return network;
  }

 private:
  int32_t rule_of(Conjunction conjunction) {
    conjunction = facts_.simplified(std::move(conjunction));
    const auto [entry, inserted] = rules_.emplace(conjunction, kNone);
    if (inserted) {
      entry->second =
          builder_.add_rule(conjunction.empty() ? "any value" : set_.path(conjunction.front()));
      open_.emplace_back(entry->second, std::move(conjunction));
    }
    return entry->second;
  }

  Status write(int32_t rule, const Conjunction& conjunction) {
    const Part part{builder_.add_state(), builder_.add_state()};
    builder_.define(rule, part);
    LANTERN_ASSIGN(const std::vector<Branch> branches,
                   facts_.branches(conjunction, SchemaFacts::Precision::kExact));
    std::set<int32_t> written;
    const auto add = [&](int32_t alternative) {
      if (written.insert(alternative).second) builder_.call(part.begin, alternative, part.end);
    };
    for (const Branch& branch : branches) {
      LANTERN_ASSIGN(const auto values, facts_.values(branch));
      if (values) {
        std::vector<std::string> listed;
        for (const Json& value : *values) {
          if (value.is_string()) {
            listed.push_back(value.get<std::string>());
            continue;
          }
          LANTERN_ASSIGN(const int32_t end, write_value(part.begin, value, 0));
          builder_.empty(end, part.end);
          LANTERN_TRY(budget_.spend(200));
        }
        if (!listed.empty()) {
          LANTERN_ASSIGN(const int32_t text, quoted("a listed text", texts(listed), {}));
          add(text);
        }
        continue;
      }
      if ((branch.types & kNull) != 0) add(word("null"));
      if ((branch.types & kBoolean) != 0) {
        const std::vector<Json> excluded = facts_.excluded(branch, kBoolean);
        for (const bool value : {true, false})
          if (std::ranges::find(excluded, Json(value)) == excluded.end())
            add(word(value ? "true" : "false"));
      }
      if ((branch.types & (kInteger | kFraction)) != 0) {
        // Integers are written in one way, so some can be left out; the others have many.
        const bool in_two = !facts_.excluded(branch, kInteger).empty();
        for (const uint8_t types : in_two ? std::vector<uint8_t>{kInteger, kFraction}
                                          : std::vector<uint8_t>{kInteger | kFraction}) {
          Branch of_types = branch;
          of_types.types &= types;
          if (of_types.types == 0) continue;
          LANTERN_ASSIGN(const int32_t number, number_rule(of_types));
          add(number);
        }
      }
      if ((branch.types & kString) != 0) {
        LANTERN_ASSIGN(const StringFacts facts, facts_.strings(branch));
        LANTERN_ASSIGN(const int32_t text, string_rule(facts));
        add(text);
      }
      if ((branch.types & kArray) != 0) {
        LANTERN_ASSIGN(const int32_t array, array_rule(branch));
        add(array);
      }
      if ((branch.types & kObject) != 0) {
        LANTERN_ASSIGN(const int32_t object, object_rule(branch));
        add(object);
      }
    }
    return {};
  }

  /// The rule of something that is fully said by `key`, made once.
  template <typename Make>
  Result<int32_t> once(const std::string& key, const Make& make) {
    if (const auto known = named_.find(key); known != named_.end()) return known->second;
    Result<int32_t> made = make();
    if (made.ok()) named_.emplace(key, *made);
    return made;
  }

  int32_t word(std::string_view text) {
    const auto [entry, inserted] = named_.emplace("word " + std::string(text), kNone);
    if (inserted) {
      entry->second = builder_.add_rule(std::string(text));
      builder_.define(entry->second, builder_.literal(text));
    }
    return entry->second;
  }

  /// `text`, then maybe one space; returns where that leads.
  int32_t separator(int32_t from, char text) {
    const int32_t after = builder_.add_state();
    const int32_t spaced = builder_.add_state();
    builder_.bytes(from, static_cast<uint8_t>(text), static_cast<uint8_t>(text), after);
    builder_.bytes(after, ' ', ' ', spaced);
    builder_.empty(after, spaced);
    return spaced;
  }

  int32_t write_text(int32_t from, std::string_view text) {
    const Part part = builder_.literal(text);
    builder_.empty(from, part.begin);
    return part.end;
  }

  Result<int32_t> write_value(int32_t from, const Json& value, int depth) {
    if (depth > kSchemaDepthMax)
      return make_error(ErrorCode::kTooLarge, "JSON schema: a value nested deeper than {}",
                        kSchemaDepthMax);
    LANTERN_TRY(builder_.within_limits());
    if (value.is_string())
      return write_text(from, "\"" + json_escaped(value.get_ref<const std::string&>()) + "\"");
    if (value.is_number()) {
      const std::optional<Decimal> decimal = to_decimal(value);
      const bool is_short = decimal && decimal->whole.size() + decimal->fraction.size() <= 400;
      return write_text(from, is_short ? to_text(*decimal) : value.dump());
    }
    if (!value.is_structured()) return write_text(from, value.dump());
    const bool is_array = value.is_array();
    int32_t last = write_text(from, is_array ? "[" : "{");
    bool first = true;
    for (const auto& [key, member] : value.items()) {
      if (!first) last = separator(last, ',');
      first = false;
      if (!is_array) last = separator(write_text(last, "\"" + json_escaped(key) + "\""), ':');
      LANTERN_ASSIGN(last, write_value(last, member, depth + 1));
    }
    return write_text(last, is_array ? "]" : "}");
  }

  Result<int32_t> number_rule(const Branch& branch) {
    LANTERN_TRY(facts_.check_excluded(branch, branch.types & kFraction));
    std::vector<std::string> excluded;
    for (const Json& value : facts_.excluded(branch, branch.types & kInteger))
      if (const auto decimal = to_decimal(value)) excluded.push_back(to_text(*decimal));
    LANTERN_ASSIGN(const NumberBounds bounds, facts_.numbers(branch));
    std::string key = bounds.integer ? "integer" : bounds.fraction ? "fraction" : "number";
    if (bounds.least)
      key += (bounds.least->exclusive ? " >" : " >=") + to_text(bounds.least->value);
    if (bounds.most) key += (bounds.most->exclusive ? " <" : " <=") + to_text(bounds.most->value);
    for (const Decimal& m : bounds.multiples) key += " /" + to_text(m);
    for (const std::string& text : excluded) key += " !" + text;
    return once(key, [&]() -> Result<int32_t> {
      LANTERN_ASSIGN(CharDfa dfa, number_language(bounds, budget_));
      if (!excluded.empty()) {
        LANTERN_ASSIGN(dfa, difference(dfa, texts(excluded), budget_));
      }
      // Between bounds that are longer there are only longer ones.
      int64_t most = kNumberCharsMax;
      for (const auto& bound : {bounds.least, bounds.most})
        if (bound) most = std::max(most, std::ssize(to_text(bound->value)) + 1);
      return add_char_rule(builder_, key, dfa, Spelling::kPlain, {.most = most}, budget_);
    });
  }

  Result<int32_t> quoted(const std::string& name, const CharDfa& dfa, LengthBounds bounds) {
    LANTERN_ASSIGN(const int32_t inside,
                   add_char_rule(builder_, name, dfa, Spelling::kJsonString, bounds, budget_));
    const int32_t rule = builder_.add_rule(name);
    const int32_t begin = builder_.add_state();
    const int32_t open = builder_.add_state();
    const int32_t close = builder_.add_state();
    const int32_t end = builder_.add_state();
    builder_.bytes(begin, '"', '"', open);
    builder_.call(open, inside, close);
    builder_.bytes(close, '"', '"', end);
    builder_.define(rule, {begin, end});
    return rule;
  }

  Result<int32_t> string_rule(const StringFacts& facts) {
    std::string key = "string";
    if (facts.length.least > 0) key += " >=" + std::to_string(facts.length.least);
    if (facts.length.most != kUnbounded) key += " <=" + std::to_string(facts.length.most);
    const auto list = [&](char mark, const std::vector<std::string>& texts_of) {
      for (const std::string& text : texts_of)
        key += std::string(1, mark) + std::to_string(text.size()) + ":" + text;
    };
    list('/', facts.patterns);
    list('f', facts.formats);
    list('!', facts.not_patterns);
    list('-', facts.excluded);
    return once(key, [&]() -> Result<int32_t> {
      LANTERN_ASSIGN(const CharDfa dfa, facts_.language(facts));
      return quoted(key.substr(0, 64), dfa, facts.length);
    });
  }

  static std::string key_of(std::string_view kind, const Conjunction& schemas) {
    std::string out(kind);
    for (const SchemaId id : schemas) out += " " + std::to_string(id);
    return out;
  }

  /// The branch without the schemas that have none of the keywords.
  Branch only_with(const Branch& branch, std::initializer_list<std::string_view> keywords) {
    Branch out{.schemas = {}, .types = branch.types};
    for (const SchemaId id : branch.schemas) {
      const Json& schema = set_.at(id);
      if (!schema.is_object()) continue;
      if (set_.ref_stands_alone() && schema.contains("$ref")) continue;
      if (std::ranges::any_of(keywords, [&](std::string_view k) { return schema.contains(k); }))
        out.schemas.push_back(id);
    }
    return out;
  }

  Result<int32_t> array_rule(const Branch& whole) {
    LANTERN_TRY(facts_.check_excluded(whole, kArray));
    const Branch branch = only_with(
        whole, {"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"});
    return once(key_of("array", branch.schemas), [&]() -> Result<int32_t> {
      LANTERN_ASSIGN(const ArrayFacts facts, facts_.arrays(branch));
      const int32_t rule = builder_.add_rule("array");
      const Part part{builder_.add_state(), builder_.add_state()};
      builder_.define(rule, part);
      const auto may_hold = [&](int64_t n) { return facts.most == kUnbounded || n <= facts.most; };
      const int32_t close = builder_.add_state();
      builder_.bytes(close, ']', ']', part.end);
      int32_t here = builder_.add_state();
      builder_.bytes(part.begin, '[', '[', here);
      const auto n_prefix = static_cast<int64_t>(facts.prefix.size());
      int64_t n = 0;
      for (; n < n_prefix && may_hold(n); ++n) {
        if (n >= facts.least) builder_.empty(here, close);
        if (!may_hold(n + 1)) return rule;
        const int32_t before = n == 0 ? here : separator(here, ',');
        here = builder_.add_state();
        builder_.call(before, rule_of(facts.prefix[at(static_cast<int32_t>(n))]), here);
      }
      if (n >= facts.least) builder_.empty(here, close);
      if (!may_hold(n + 1)) return rule;
      if (n == 0) {
        const int32_t first = builder_.add_state();
        builder_.call(here, rule_of(facts.rest), first);
        here = first;
        n = 1;
      }
      const int32_t more = builder_.add_rule("array's next item");
      const int32_t begin = builder_.add_state();
      const int32_t end = builder_.add_state();
      builder_.call(separator(begin, ','), rule_of(facts.rest), end);
      builder_.define(more, {begin, end});
      builder_.repeat(here, more, std::max<int64_t>(0, facts.least - n),
                      facts.most == kUnbounded ? kUnbounded : facts.most - n, close);
      return rule;
    });
  }

  Result<int32_t> object_rule(const Branch& whole) {
    LANTERN_TRY(facts_.check_excluded(whole, kObject));
    const Branch branch =
        only_with(whole, {"properties", "required", "patternProperties", "additionalProperties",
                          "propertyNames", "minProperties", "maxProperties", kSomeFurther});
    return once(key_of("object", branch.schemas), [&]() -> Result<int32_t> {
      LANTERN_ASSIGN(const ObjectFacts facts, facts_.objects(branch));
      LANTERN_ASSIGN(const int32_t extra, extra_rule(branch, facts));
      return write_object(branch, facts, extra);
    });
  }

  /// "name": value for names that no member has; kNone where there can be none.
  Result<int32_t> extra_rule(const Branch& branch, const ObjectFacts& facts) {
    if (facts.extras.empty()) return kNone;
    std::vector<std::string> names;
    for (const ObjectFacts::Member& m : facts.members) names.push_back(m.name);
    LANTERN_ASSIGN(CharDfa free, difference(any_text(), texts(names), budget_));
    LengthBounds length;
    if (facts.names) {
      LANTERN_ASSIGN(const CharDfa allowed, names_language(branch, *facts.names, length));
      LANTERN_ASSIGN(free, intersection(free, allowed, budget_));
    }
    const int32_t rule = builder_.add_rule("a further member");
    const Part part{builder_.add_state(), builder_.add_state()};
    builder_.define(rule, part);
    bool any = false;
    for (const ObjectFacts::Extra& extra : facts.extras) {
      CharDfa key = free;
      for (const std::string& text : extra.with) {
        LANTERN_ASSIGN(key, intersection(key, *facts_.pattern(text, false), budget_));
      }
      for (const std::string& text : extra.without) {
        LANTERN_ASSIGN(key, difference(key, *facts_.pattern(text, false), budget_));
      }
      if (key.empty()) continue;
      any = true;
      LANTERN_ASSIGN(const int32_t name, quoted("a further member's name", key, length));
      const int32_t named = builder_.add_state();
      builder_.call(part.begin, name, named);
      builder_.call(separator(named, ':'), rule_of(extra.value), part.end);
    }
    return any ? rule : kNone;
  }

  /// What `propertyNames` lets through.
  Result<CharDfa> names_language(const Branch& branch, const Conjunction& names,
                                 LengthBounds& length) {
    LANTERN_ASSIGN(const std::vector<Branch> branches,
                   facts_.branches(names, SchemaFacts::Precision::kExact));
    std::vector<std::string> listed;
    std::optional<CharDfa> single;
    for (const Branch& b : branches) {
      LANTERN_ASSIGN(const auto values, facts_.values(b));
      if (values) {
        for (const Json& value : *values)
          if (value.is_string()) listed.push_back(value.get<std::string>());
      } else if ((b.types & kString) != 0) {
        LANTERN_ASSIGN(const StringFacts facts, facts_.strings(b));
        if (single)
          return set_.unsupported(branch.schemas.front(), "propertyNames",
                                  "with more than one alternative");
        LANTERN_ASSIGN(single, facts_.language(facts));
        length = facts.length;
      }
    }
    if (single && !listed.empty())
      return set_.unsupported(branch.schemas.front(), "propertyNames",
                              "with more than one alternative");
    return single ? *std::move(single) : texts(listed);
  }

  /// Members in their order, then further ones. A state is a place in that order and how many
  /// members there are already, as far as it matters.
  Result<int32_t> write_object(const Branch& branch, const ObjectFacts& facts, int32_t extra) {
    const int32_t rule = builder_.add_rule("object");
    const Part part{builder_.add_state(), builder_.add_state()};
    builder_.define(rule, part);
    const int32_t begin = builder_.add_state();
    const int32_t close = builder_.add_state();
    builder_.bytes(part.begin, '{', '{', begin);
    builder_.bytes(close, '}', '}', part.end);

    const auto n_required = std::ranges::count_if(facts.members, &ObjectFacts::Member::required);
    const auto n_members = static_cast<int64_t>(facts.members.size());
    const bool most_matters =
        facts.most != kUnbounded && (extra != kNone || facts.most < n_members);
    const bool least_matters = facts.least > std::max<int64_t>(n_required, 1);
    if (least_matters && extra != kNone)
      return set_.unsupported(branch.schemas.front(), "minProperties",
                              "members of any name might be repeated to reach it");
    const int64_t cap = std::max<int64_t>({1, most_matters ? std::min(facts.most, n_members) : 1,
                                           least_matters ? std::min(facts.least, n_members) : 1});
    const int64_t n_states = (n_members + 1) * (cap + 1);
    if (n_states > static_cast<int64_t>(kObjectStatesMax))
      return make_error(ErrorCode::kTooLarge,
                        "JSON schema: {} members with bounds on their number are too many",
                        n_members);
    LANTERN_TRY(budget_.spend(static_cast<size_t>(n_states) * 10));

    // In `states`, by count, the members so far are written; nothing after them is.
    std::vector<int32_t> states(static_cast<size_t>(cap) + 1, kNone);
    states[0] = begin;
    for (const ObjectFacts::Member& m : facts.members) {
      std::vector<int32_t> next(states.size(), kNone);
      const auto state_at = [&](int64_t count) {
        int32_t& state = next[static_cast<size_t>(std::min(count, cap))];
        if (state == kNone) state = builder_.add_state();
        return state;
      };
      for (int64_t count = 0; count <= cap; ++count) {
        const int32_t here = states[static_cast<size_t>(count)];
        if (here == kNone) continue;
        if (!m.required) builder_.empty(here, state_at(count));
        if (m.forbidden || (most_matters && count >= facts.most)) continue;
        write_member(here, count > 0, m, state_at(count + 1));
      }
      states = std::move(next);
      LANTERN_TRY(builder_.within_limits());
    }
    int32_t more = kNone;
    if (extra != kNone) {
      more = builder_.add_rule("object's next member");
      const int32_t from = builder_.add_state();
      const int32_t to = builder_.add_state();
      builder_.call(separator(from, ','), extra, to);
      builder_.define(more, {from, to});
    }
    for (int64_t count = 0; count <= cap; ++count) {
      const int32_t here = states[static_cast<size_t>(count)];
      if (here == kNone) continue;
      if (!facts.some_extra &&
          count >= (least_matters ? facts.least : std::min<int64_t>(facts.least, 1)))
        builder_.empty(here, close);
      if (extra == kNone) continue;
      const int64_t room = most_matters ? facts.most - count : kUnbounded;
      if (room == 0) continue;
      if (count > 0) {
        builder_.repeat(here, more, 1, room, close);  // at least one, as some_extra has it
        continue;
      }
      const int32_t first = builder_.add_state();
      builder_.call(here, extra, first);
      builder_.repeat(first, more, 0, room == kUnbounded ? kUnbounded : room - 1, close);
    }
    return rule;
  }

  void write_member(int32_t from, bool after_another, const ObjectFacts::Member& m, int32_t to) {
    if (after_another) from = separator(from, ',');
    const int32_t named = write_text(from, "\"" + json_escaped(m.name) + "\"");
    builder_.call(separator(named, ':'), rule_of(m.value), to);
  }

  Budget budget_{kBudgetUnits};
  SchemaSet set_;
  SchemaFacts facts_;
  NetworkBuilder builder_;
  std::map<Conjunction, int32_t> rules_;
  std::map<std::string, int32_t, std::less<>> named_;
  std::vector<std::pair<int32_t, Conjunction>> open_;
};

}  // namespace

Result<Network> compile_json_schema(const Json& schema) { return SchemaCompiler(schema).compile(); }

}  // namespace lantern::text::grammar
