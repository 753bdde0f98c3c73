// The methods of strings, dicts, lists and tuples.
#include <algorithm>
#include <array>

#include "text/jinja/attributes.h"
#include "text/jinja/conversion.h"
#include "text/jinja/format.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

using Function = Result<Value> (*)(Runtime&, const Value& self, const Arguments&);

struct Method {
  Signature signature;
  Function function;
};

class BoundMethod : public Callable {
 public:
  Value self;
  const Method* method = nullptr;

  [[nodiscard]] const char* type_name() const override { return "builtin_function_or_method"; }
  Result<Value> call(Runtime& rt, CallArgs args) override {
    LANTERN_ASSIGN(const Arguments bound, Arguments::bind(method->signature, std::move(args)));
    return method->function(rt, self, bound);
  }
};

/// format() and format_map(), whose arguments no signature binds.
class FormatMethod : public Callable {
 public:
  Value self;
  bool from_mapping = false;

  [[nodiscard]] const char* type_name() const override { return "builtin_function_or_method"; }
  Result<Value> call(Runtime& rt, CallArgs args) override {
    if (!from_mapping) return brace_format(rt, self.text(), args);
    if (args.positional.size() != 1 || !args.named.empty() || !args.positional[0].is(Kind::kDict))
      return type_error("format_map() takes one dict");
    CallArgs named;
    for (const Dict::Entry& e : args.positional[0].dict().entries)
      if (e.key.is(Kind::kString)) named.named.emplace_back(e.key.view_text(), e.value);
    return brace_format(rt, self.text(), named);
  }
};

/// The argument as a string; null where it was left out or is none.
Result<const Text*> optional_text(const Arguments& args, size_t index, const char* method) {
  const Value* v = args.find_some(index);
  if (v == nullptr) return static_cast<const Text*>(nullptr);
  if (v->is(Kind::kUndefined) && v->undefined().unsafe) return undefined_error(*v);
  if (!v->is(Kind::kString))
    return type_error("{} needs a string, not '{}'", method, type_name(*v));
  return &v->text();
}

Result<const Text*> needed_text(const Arguments& args, size_t index, const char* method) {
  LANTERN_ASSIGN(const Text* text, optional_text(args, index, method));
  if (text == nullptr) return type_error("{} needs a string, not 'NoneType'", method);
  return text;
}

template <Side kSide>
Result<Value> strip_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const Text* characters, optional_text(args, 0, "strip()"));
  return strip(rt, self.text(), characters, kSide);
}

template <CaseChange kChange>
Result<Value> case_method(Runtime& rt, const Value& self, const Arguments&) {
  LANTERN_TRY(rt.read(4 * self.text().size_bytes()));
  LANTERN_TRY(rt.heap().check(3 * self.text().memory_bytes()));
  return rt.heap().string(change_case(self.text(), kChange));
}

template <bool kFromRight>
Result<Value> split_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const Text* separator, optional_text(args, 0, "split()"));
  LANTERN_ASSIGN(const int64_t splits_max, args.integer(1, -1));
  LANTERN_ASSIGN(std::vector<Value> parts,
                 split(rt, self.text(), separator, splits_max, kFromRight));
  return rt.heap().list(std::move(parts));
}

Result<Value> splitlines_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(std::vector<Value> lines, split_lines(rt, self.text(), args.flag(0, false)));
  return rt.heap().list(std::move(lines));
}

Result<Value> replace_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const Text* from, needed_text(args, 0, "replace()"));
  LANTERN_ASSIGN(const Text* to, needed_text(args, 1, "replace()"));
  LANTERN_ASSIGN(const int64_t count, args.integer(2, -1));
  return replace(rt, self.text(), *from, *to, count);
}

Result<Value> join_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, args.at(0)));
  for (size_t i = 0; i < items.size(); ++i)
    if (!items[i].is(Kind::kString))
      return type_error("sequence item {}: expected str instance, {} found", i,
                        type_name(items[i]));
  return join(rt, self.text(), items);
}

/// The bytes that str.find(x, start, end) and its kin look at.
struct Window {
  size_t begin = 0;
  size_t end = 0;
  bool valid = true;  // false where start lies behind end
};

Result<Window> window(const Text& text, const Arguments& args, size_t first) {
  const auto length = static_cast<int64_t>(text.length());
  auto place = [&](size_t index, int64_t otherwise) -> Result<int64_t> {
    if (args.find_some(index) == nullptr) return otherwise;
    LANTERN_ASSIGN(int64_t at, args.integer(index, otherwise));
    return at < 0 ? std::max<int64_t>(at + length, 0) : at;
  };
  LANTERN_ASSIGN(const int64_t begin, place(first, 0));
  LANTERN_ASSIGN(const int64_t end, place(first + 1, length));
  Window w;
  w.valid = begin <= length && begin <= std::min(end, length);
  if (w.valid) {
    w.begin = text.byte_at(static_cast<size_t>(begin));
    w.end = text.byte_at(static_cast<size_t>(std::min(end, length)));
  }
  return w;
}

template <bool kFromRight, bool kMustBe>
Result<Value> find_method_of_text(Runtime& rt, const Value& self, const Arguments& args) {
  const Text& text = self.text();
  LANTERN_TRY(rt.read(text.size_bytes()));
  LANTERN_ASSIGN(const Text* needle, needed_text(args, 0, "find()"));
  LANTERN_ASSIGN(const Window w, window(text, args, 1));
  size_t found = std::string_view::npos;
  if (w.valid) {
    const std::string_view part = text.view().substr(w.begin, w.end - w.begin);
    found = kFromRight ? rfind_bytes(part, needle->view()) : find_bytes(part, needle->view());
  }
  if (found == std::string_view::npos) {
    if (kMustBe) return type_error("substring not found");
    return Value::integer(-1);
  }
  return Value::integer(
      static_cast<int64_t>(count_code_points(text.view().substr(0, w.begin + found))));
}

Result<Value> count_method(Runtime& rt, const Value& self, const Arguments& args) {
  const Text& text = self.text();
  LANTERN_TRY(rt.read(text.size_bytes()));
  LANTERN_ASSIGN(const Text* needle, needed_text(args, 0, "count()"));
  LANTERN_ASSIGN(const Window w, window(text, args, 1));
  if (!w.valid) return Value::integer(0);
  const std::string_view part = text.view().substr(w.begin, w.end - w.begin);
  if (needle->empty()) return Value::integer(static_cast<int64_t>(count_code_points(part)) + 1);
  int64_t count = 0;
  for (size_t at = find_bytes(part, needle->view()); at != std::string_view::npos;
       at = find_bytes(part, needle->view(), at + needle->size_bytes()))
    ++count;
  return Value::integer(count);
}

template <bool kEnd>
Result<Value> affix_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const Window w, window(self.text(), args, 1));
  const std::string_view part = self.view_text().substr(w.begin, w.end - w.begin);
  std::vector<Value> affixes{args.at(0)};
  if (args.at(0).is(Kind::kTuple)) affixes = args.at(0).sequence().items;
  for (const Value& affix : affixes) {
    if (affix.is(Kind::kUndefined) && affix.undefined().unsafe) return undefined_error(affix);
    if (!affix.is(Kind::kString))
      return type_error("{} first arg must be str or a tuple of str, not {}",
                        kEnd ? "endswith" : "startswith", type_name(affix));
    LANTERN_TRY(rt.read(affix.text().size_bytes()));
    if (w.valid && (kEnd ? part.ends_with(affix.view_text()) : part.starts_with(affix.view_text())))
      return Value::boolean(true);
  }
  return Value::boolean(false);
}

template <bool kSuffix>
Result<Value> remove_affix_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const Text* affix, needed_text(args, 0, "removeprefix()"));
  const size_t size = self.text().size_bytes();
  const bool there = kSuffix ? self.view_text().ends_with(affix->view())
                             : self.view_text().starts_with(affix->view());
  if (!there || affix->empty()) return self;
  return kSuffix ? slice_bytes(rt, self.text(), 0, size - affix->size_bytes())
                 : slice_bytes(rt, self.text(), affix->size_bytes(), size);
}

template <bool kFromRight>
Result<Value> partition_method(Runtime& rt, const Value& self, const Arguments& args) {
  const Text& text = self.text();
  LANTERN_TRY(rt.read(text.size_bytes()));
  LANTERN_ASSIGN(const Text* separator, needed_text(args, 0, "partition()"));
  if (separator->empty()) return type_error("empty separator");
  const size_t found = kFromRight ? rfind_bytes(text.view(), separator->view())
                                  : find_bytes(text.view(), separator->view());
  std::vector<Value> parts;
  if (found == std::string_view::npos) {
    LANTERN_ASSIGN(const Value empty, rt.heap().string(Text()));
    parts = kFromRight ? std::vector<Value>{empty, empty, self}
                       : std::vector<Value>{self, empty, empty};
    return rt.heap().tuple(std::move(parts));
  }
  const size_t behind = found + separator->size_bytes();
  LANTERN_ASSIGN(Value before, slice_bytes(rt, text, 0, found));
  LANTERN_ASSIGN(Value middle, slice_bytes(rt, text, found, behind));
  LANTERN_ASSIGN(Value after, slice_bytes(rt, text, behind, text.size_bytes()));
  parts = {std::move(before), std::move(middle), std::move(after)};
  return rt.heap().tuple(std::move(parts));
}

template <Side kTextAt>
Result<Value> pad_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const int64_t width, args.integer(0, 0));
  std::string_view fill = " ";
  if (args.find(1) != nullptr) {
    LANTERN_ASSIGN(const Text* given, needed_text(args, 1, "center()"));
    if (given->length() != 1)
      return type_error("The fill character must be exactly one character long");
    fill = given->view();
  }
  return pad(rt, self.text(), width, fill, kTextAt);
}

Result<Value> zfill_method(Runtime& rt, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const int64_t width, args.integer(0, 0));
  const Text& text = self.text();
  const bool sign = text.view().starts_with('-') || text.view().starts_with('+');
  const int64_t padding = width - static_cast<int64_t>(text.length());
  if (padding > 0) LANTERN_TRY(rt.heap().check(static_cast<size_t>(padding)));
  TextBuilder out(rt.heap());
  if (sign) out.append(text, 0, 1);
  if (padding > 0) out.fill(static_cast<uint64_t>(padding), '0');
  out.append(text, sign ? 1 : 0, text.size_bytes());
  return out.finish();
}

/// isdigit() and so on: every character, and at least one.
template <bool (*kPredicate)(uint32_t)>
Result<Value> every_method(Runtime& rt, const Value& self, const Arguments&) {
  const std::string_view text = self.view_text();
  LANTERN_TRY(rt.read(text.size()));
  size_t size = 0;
  for (size_t at = 0; at < text.size(); at += size)
    if (!kPredicate(decode_code_point(text, at, size))) return Value::boolean(false);
  return Value::boolean(!text.empty());
}

bool is_alnum_character(uint32_t c) { return is_alnum(c); }
bool is_ascii_character(uint32_t c) { return c < 0x80; }

Result<Value> isascii_method(Runtime& rt, const Value& self, const Arguments& args) {
  if (self.text().empty()) return Value::boolean(true);
  return every_method<is_ascii_character>(rt, self, args);
}

Result<Value> isprintable_method(Runtime& rt, const Value& self, const Arguments& args) {
  if (self.text().empty()) return Value::boolean(true);
  return every_method<is_printable>(rt, self, args);
}

/// istitle(): capitals exactly where a word begins.
Result<Value> istitle_method(Runtime& rt, const Value& self, const Arguments&) {
  const std::string_view text = self.view_text();
  LANTERN_TRY(rt.read(text.size()));
  size_t size = 0;
  bool any = false;
  bool after_cased = false;
  for (size_t at = 0; at < text.size(); at += size) {
    const uint32_t c = decode_code_point(text, at, size);
    if (is_cased(c) && is_lower(c) != after_cased) return Value::boolean(false);
    any = any || is_cased(c);
    after_cased = is_cased(c);
  }
  return Value::boolean(any);
}

template <bool (*kWanted)(uint32_t), bool (*kUnwanted)(uint32_t)>
Result<Value> case_is_method(Runtime& rt, const Value& self, const Arguments&) {
  const std::string_view text = self.view_text();
  LANTERN_TRY(rt.read(text.size()));
  bool any = false;
  size_t size = 0;
  for (size_t at = 0; at < text.size(); at += size) {
    const uint32_t c = decode_code_point(text, at, size);
    if (kUnwanted(c) || (is_cased(c) && !kWanted(c))) return Value::boolean(false);
    any = any || kWanted(c);
  }
  return Value::boolean(any);
}

Result<Value> keys_method(Runtime& rt, const Value& self, const Arguments&) {
  LANTERN_ASSIGN(std::vector<Value> keys, items_of(rt, self));
  return rt.heap().view("dict_keys", std::move(keys));
}

Result<Value> values_method(Runtime& rt, const Value& self, const Arguments&) {
  std::vector<Value> values;
  LANTERN_TRY(rt.step(self.dict().entries.size()));
  for (const Dict::Entry& e : self.dict().entries) values.push_back(e.value);
  return rt.heap().view("dict_values", std::move(values));
}

Result<Value> get_method(Runtime&, const Value& self, const Arguments& args) {
  LANTERN_ASSIGN(const std::string key, hash_key(args.at(0)));
  if (const Value* found = self.dict().find_encoded(key)) return *found;
  return args.find(1) != nullptr ? args.at(1) : Value::none();
}

Result<Value> copy_method(Runtime&, const Value& self, const Arguments&) { return self; }

Result<Value> index_method(Runtime& rt, const Value& self, const Arguments& args) {
  const auto& items = self.sequence().items;
  for (size_t i = 0; i < items.size(); ++i) {
    LANTERN_ASSIGN(const bool same, equals(rt, items[i], args.at(0)));
    if (same) return Value::integer(static_cast<int64_t>(i));
  }
  return type_error("the value is not in the {}", type_name(self));
}

Result<Value> count_items_method(Runtime& rt, const Value& self, const Arguments& args) {
  int64_t count = 0;
  for (const Value& item : self.sequence().items) {
    LANTERN_ASSIGN(const bool same, equals(rt, item, args.at(0)));
    count += same ? 1 : 0;
  }
  return Value::integer(count);
}

const std::vector<Method>& text_methods() {
  static const std::vector<Method> kMethods = {
      {{"capitalize", {}}, case_method<CaseChange::kCapitalize>},
      {{"center", {"width", "fillchar"}, 1}, pad_method<Side::kBoth>},
      {{"count", {"sub", "start", "end"}, 1}, count_method},
      {{"endswith", {"suffix", "start", "end"}, 1}, affix_method<true>},
      {{"find", {"sub", "start", "end"}, 1}, find_method_of_text<false, false>},
      {{"index", {"sub", "start", "end"}, 1}, find_method_of_text<false, true>},
      {{"isalnum", {}}, every_method<is_alnum_character>},
      {{"isalpha", {}}, every_method<is_alpha>},
      {{"isascii", {}}, isascii_method},
      {{"isdecimal", {}}, every_method<is_decimal>},
      {{"isdigit", {}}, every_method<is_digit>},
      {{"islower", {}}, case_is_method<is_lower, is_upper>},
      {{"isnumeric", {}}, every_method<is_numeric>},
      {{"isprintable", {}}, isprintable_method},
      {{"isspace", {}}, every_method<is_space>},
      {{"istitle", {}}, istitle_method},
      {{"isupper", {}}, case_is_method<is_upper, is_lower>},
      {{"join", {"iterable"}, 1}, join_method},
      {{"ljust", {"width", "fillchar"}, 1}, pad_method<Side::kLeft>},
      {{"lower", {}}, case_method<CaseChange::kLower>},
      {{"lstrip", {"chars"}}, strip_method<Side::kLeft>},
      {{"partition", {"sep"}, 1}, partition_method<false>},
      {{"removeprefix", {"prefix"}, 1}, remove_affix_method<false>},
      {{"removesuffix", {"suffix"}, 1}, remove_affix_method<true>},
      {{"replace", {"old", "new", "count"}, 2}, replace_method},
      {{"rfind", {"sub", "start", "end"}, 1}, find_method_of_text<true, false>},
      {{"rindex", {"sub", "start", "end"}, 1}, find_method_of_text<true, true>},
      {{"rjust", {"width", "fillchar"}, 1}, pad_method<Side::kRight>},
      {{"rpartition", {"sep"}, 1}, partition_method<true>},
      {{"rsplit", {"sep", "maxsplit"}}, split_method<true>},
      {{"rstrip", {"chars"}}, strip_method<Side::kRight>},
      {{"split", {"sep", "maxsplit"}}, split_method<false>},
      {{"splitlines", {"keepends"}}, splitlines_method},
      {{"startswith", {"prefix", "start", "end"}, 1}, affix_method<false>},
      {{"strip", {"chars"}}, strip_method<Side::kBoth>},
      {{"swapcase", {}}, case_method<CaseChange::kSwap>},
      {{"title", {}}, case_method<CaseChange::kTitle>},
      {{"upper", {}}, case_method<CaseChange::kUpper>},
      {{"zfill", {"width"}, 1}, zfill_method},
  };
  return kMethods;
}

Result<Value> items_method(Runtime& rt, const Value& self, const Arguments&) {
  std::vector<Value> pairs;
  for (const Dict::Entry& e : self.dict().entries) {
    LANTERN_TRY(rt.step());
    LANTERN_ASSIGN(Value pair, rt.heap().tuple({e.key, e.value}));
    pairs.push_back(std::move(pair));
  }
  return rt.heap().view("dict_items", std::move(pairs));
}

const std::vector<Method>& dict_methods() {
  static const std::vector<Method> kMethods = {
      {{"copy", {}}, copy_method},     {{"get", {"key", "default"}, 1}, get_method},
      {{"items", {}}, items_method},   {{"keys", {}}, keys_method},
      {{"values", {}}, values_method},
  };
  return kMethods;
}

const std::vector<Method>& sequence_methods() {
  static const std::vector<Method> kMethods = {
      {{"copy", {}}, copy_method},
      {{"count", {"value"}, 1}, count_items_method},
      {{"index", {"value"}, 1}, index_method},
  };
  return kMethods;
}

/// Methods that would change the value; the sandbox refuses them.
bool changes(const Value& value, std::string_view name) {
  static constexpr std::array<std::string_view, 5> kDict = {"clear", "pop", "popitem", "setdefault",
                                                            "update"};
  static constexpr std::array<std::string_view, 8> kList = {"append", "clear", "pop",    "reverse",
                                                            "insert", "sort",  "extend", "remove"};
  if (value.is(Kind::kDict)) return std::find(kDict.begin(), kDict.end(), name) != kDict.end();
  if (value.is(Kind::kList)) return std::find(kList.begin(), kList.end(), name) != kList.end();
  return false;
}

const Method* look_up(const Value& value, std::string_view name) {
  const std::vector<Method>* methods = nullptr;
  if (value.is(Kind::kString)) methods = &text_methods();
  if (value.is(Kind::kDict)) methods = &dict_methods();
  if (value.is_sequence()) methods = &sequence_methods();
  if (methods == nullptr) return nullptr;
  for (const Method& m : *methods)
    if (name == m.signature.function) return &m;
  return nullptr;
}

}  // namespace

std::optional<Value> find_method(Runtime& rt, const Value& value, std::string_view name) {
  const bool internal = name.starts_with("__") && name.ends_with("__") && name.size() > 4;
  if (internal || changes(value, name))
    return rt.heap().undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe", name, type_name(value)),
        true);
  if (value.is(Kind::kString) && (name == "format" || name == "format_map")) {
    auto* bound = rt.heap().make<FormatMethod>();
    bound->self = value;
    bound->from_mapping = name == "format_map";
    return Value::callable(bound);
  }
  const Method* method = look_up(value, name);
  if (method == nullptr) return std::nullopt;
  auto* bound = rt.heap().make<BoundMethod>();
  bound->self = value;
  bound->method = method;
  return Value::callable(bound);
}

}  // namespace lantern::text::jinja
