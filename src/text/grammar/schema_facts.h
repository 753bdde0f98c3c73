// What a set of schemas, all of which must hold, says together: its branches (one for each way
// through anyOf and oneOf), and in a branch what is said of each type of value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "text/grammar/char_dfa.h"
#include "text/grammar/schema_numbers.h"
#include "text/grammar/schema_set.h"

namespace lantern::text::grammar {

/// Schemas that must all hold, ascending.
using Conjunction = std::vector<SchemaId>;

enum TypeBit : uint8_t {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kFraction = 8,  // a number that is no integer
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAllTypes = 127,
};
TypeBit type_of(const Json& value);
/// The same text for equal values.
std::string key_of(const Json& value);

/// Schemas whose own keywords all hold; references and combinations are resolved.
struct Branch {
  std::vector<SchemaId> schemas;
  uint8_t types = kAllTypes;
};

/// Keywords of our own, in schemas that negation makes: values that are excluded, a pattern that
/// must not occur, an item and a member that must be somewhere, and a member of a name that is not
/// listed. The type "fraction" is a number that is no integer.
inline constexpr std::string_view kNotIn = "not enum";
inline constexpr std::string_view kNotPattern = "not pattern";
inline constexpr std::string_view kSomeItem = "some item";
inline constexpr std::string_view kSomeMember = "some member";
inline constexpr std::string_view kSomeFurther = "some further member";
inline constexpr std::string_view kOwnKeywords[] = {kNotIn, kNotPattern, kSomeItem, kSomeMember,
                                                    kSomeFurther};

struct StringFacts {
  LengthBounds length;
  std::vector<std::string> excluded;
  std::vector<std::string> not_patterns;
  std::vector<std::string> patterns;  // each somewhere
  std::vector<std::string> formats;   // as patterns of the whole
};

struct ArrayFacts {
  std::vector<Conjunction> prefix;
  Conjunction rest;
  int64_t least = 0, most = kUnbounded;
};

struct ObjectFacts {
  struct Member {
    std::string name;
    Conjunction value;
    bool required = false;
    bool forbidden = false;  // no value may stand there
  };
  /// Of the members that `members` does not name.
  struct Extra {
    std::vector<std::string> with, without;  // patterns that the name has and has not
    Conjunction value;
  };
  std::vector<Member> members;
  std::vector<Extra> extras;
  std::optional<Conjunction> names;  // propertyNames
  bool some_extra = false;           // one at least
  int64_t least = 0, most = kUnbounded;
};

class SchemaFacts {
 public:
  explicit SchemaFacts(SchemaSet& set, Budget& budget) : set_(set), budget_(budget) {}

  /// kExact: exactly what the conjunction admits. kWider: at least that, without refusing anything.
  enum class Precision { kExact, kWider };
  Result<std::vector<Branch>> branches(const Conjunction& conjunction, Precision precision);

  /// The values of `types` that are left out by negation, each once.
  std::vector<Json> excluded(const Branch& branch, uint8_t types);
  /// kUnsupported where a value of `types` is (strings, booleans and integers can be).
  Status check_excluded(const Branch& branch, uint8_t types);
  /// The values that a branch lists (enum, const), if it does: those that all its schemas admit.
  Result<std::optional<std::vector<Json>>> values(const Branch& branch);
  Result<NumberBounds> numbers(const Branch& branch);
  Result<StringFacts> strings(const Branch& branch);
  Result<ArrayFacts> arrays(const Branch& branch);
  Result<ObjectFacts> objects(const Branch& branch);

  Result<CharDfa> language(const StringFacts& facts);
  const Result<CharDfa>& pattern(const std::string& text, bool whole);

  /// Whether schema `id` admits `value`.
  Result<bool> admits(SchemaId id, const Json& value, int depth = 0);

  /// `conjunction` without what says nothing.
  Conjunction simplified(Conjunction conjunction);
  [[nodiscard]] bool never(const Conjunction& conjunction) const;  // `false` is in it

 private:
  struct Open;
  using Choice = std::vector<std::vector<SchemaId>>;
  Status open_schema(SchemaId id, Precision precision, Open& open, bool& dead);
  Result<Choice> one_of(SchemaId id, Precision precision);
  Result<Choice> implication(SchemaId id);
  static Json some_item(int64_t from, const Json& every);
  static Json some_member(const Json& with, const Json& without, const Json& names,
                          const Json& every);
  Result<std::optional<Choice>> settle_next(const Branch& branch, std::set<SchemaId>& settled);
  Result<Choice> some_items(const Branch& branch, SchemaId id);
  Result<Choice> some_members(const Branch& branch, SchemaId id);
  Status check_ends(SchemaId id, std::vector<SchemaId>& open);
  Status add_dependencies(SchemaId id, std::string_view keyword, Open& open);
  Result<SchemaId> negation(SchemaId id, int depth);
  Result<Json> negated(SchemaId id, int depth);
  Result<Json> negated_members(SchemaId id, const std::string& keyword, const Json& value);
  Result<Json> negated_one_of(SchemaId id, const Json& parts, int depth);
  Status negate_keyword(SchemaId id, const std::string& keyword, const Json& value, int depth,
                        Json& ways);
  bool surely_empty(const Conjunction& conjunction, int depth);
  bool surely_empty(const Branch& branch, int depth);
  Result<int64_t> count(SchemaId id, std::string_view keyword, int64_t otherwise);
  Result<bool> admits_number(SchemaId id, const Json& value);
  Result<bool> admits_string(SchemaId id, const Json& value);
  Result<bool> admits_array(SchemaId id, const Json& value, int depth);
  Result<bool> admits_object(SchemaId id, const Json& value, int depth);
  Result<bool> has_some_member(SchemaId id, const Json& value, int depth);
  Result<bool> is_listed(SchemaId id, const Json& list, const Json& value);
  Result<bool> admits_combination(SchemaId id, const Json& value, int depth);
  Result<uint8_t> types_named(SchemaId id);
  Result<uint8_t> types(SchemaId id);
  Result<std::vector<SchemaId>> extras_of(const Branch& branch, const std::set<std::string>& with);

  SchemaSet& set_;
  Budget& budget_;
  std::map<std::pair<std::string, bool>, Result<CharDfa>> patterns_;
  std::map<SchemaId, Choice> one_of_;
  std::map<SchemaId, SchemaId> negations_;
  std::set<SchemaId> end_;                            // schemas that do not lead back to themselves
  std::map<SchemaId, std::set<std::string>> listed_;  // keys of the values that an enum lists
};

}  // namespace lantern::text::grammar
