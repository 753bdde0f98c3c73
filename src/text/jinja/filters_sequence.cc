// Filters over lists and dicts. Those that are generators in Jinja give an iterator here too:
// it can be walked once and has no length.
#include <algorithm>
#include <unordered_set>

#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"
#include "text/jinja/text_functions.h"

namespace lantern::text::jinja {
namespace {

/// "a.0.b": the subscripts an attribute argument stands for, digits as integers.
Result<std::vector<Value>> attribute_path(Runtime& rt, const Value& attribute) {
  std::vector<Value> path;
  if (attribute.is(Kind::kNone)) return path;
  if (!attribute.is(Kind::kString)) return std::vector<Value>{attribute};
  const std::string_view text = attribute.view_text();
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('.', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const bool digits =
        !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
    if (digits) {
      LANTERN_ASSIGN(const std::optional<int64_t> index, parse_integer(part, 10));
      path.push_back(Value::integer(index.value_or(0)));
    } else {
      LANTERN_ASSIGN(Value name, rt.heap().string(part, SpanKind::kLiteral));
      path.push_back(std::move(name));
    }
    begin = end + 1;
  }
  return path;
}

Result<Value> follow(Runtime& rt, Value item, const std::vector<Value>& path,
                     const Value* otherwise) {
  for (const Value& part : path) {
    LANTERN_ASSIGN(item, get_item(rt, item, part));
    if (otherwise != nullptr && item.is(Kind::kUndefined)) item = *otherwise;
  }
  return item;
}

Result<Value> without_case(Runtime& rt, const Value& value) {
  if (!value.is(Kind::kString)) return value;
  LANTERN_TRY(rt.read(4 * value.text().size_bytes()));
  LANTERN_TRY(rt.heap().check(3 * value.text().memory_bytes()));
  return rt.heap().string(change_case(value.text(), CaseChange::kLower));
}

/// What items are compared by: an attribute, strings in lower case unless told otherwise.
struct KeyOptions {
  const Value* attribute = nullptr;
  bool case_sensitive = false;
  const Value* otherwise = nullptr;
};

Result<std::vector<Value>> keys_of(Runtime& rt, const std::vector<Value>& items,
                                   const KeyOptions& options) {
  std::vector<Value> path;
  if (options.attribute != nullptr) {
    LANTERN_ASSIGN(path, attribute_path(rt, *options.attribute));
  }
  std::vector<Value> keys;
  for (const Value& item : items) {
    LANTERN_ASSIGN(Value key, follow(rt, item, path, options.otherwise));
    if (!options.case_sensitive) {
      LANTERN_ASSIGN(key, without_case(rt, key));
    }
    keys.push_back(std::move(key));
  }
  return keys;
}

std::vector<Value> in_order(const std::vector<Value>& items, const std::vector<size_t>& order) {
  std::vector<Value> out;
  out.reserve(items.size());
  for (const size_t i : order) out.push_back(items[i]);
  return out;
}

Result<Value> sort_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  const bool case_sensitive = args.flag(1, false);
  std::vector<std::vector<Value>> columns;
  const Value* attribute = args.find_some(2);
  if (attribute != nullptr && attribute->is(Kind::kString)) {
    const Text comma(",", SpanKind::kLiteral);
    LANTERN_ASSIGN(const std::vector<Value> names, split(rt, attribute->text(), &comma, -1, false));
    for (const Value& name : names) {
      LANTERN_ASSIGN(std::vector<Value> column, keys_of(rt, items, {&name, case_sensitive}));
      columns.push_back(std::move(column));
    }
  } else {
    LANTERN_ASSIGN(std::vector<Value> column, keys_of(rt, items, {attribute, case_sensitive}));
    columns.push_back(std::move(column));
  }
  std::vector<Value> keys;
  for (size_t i = 0; i < items.size(); ++i) {
    std::vector<Value> row;
    for (const auto& column : columns) row.push_back(column[i]);
    LANTERN_ASSIGN(Value key, rt.heap().tuple(std::move(row)));
    keys.push_back(std::move(key));
  }
  LANTERN_ASSIGN(const std::vector<size_t> order, sorted_order(rt, keys, args.flag(0, false)));
  return rt.heap().list(in_order(items, order));
}

Result<Value> dictsort_filter(Runtime& rt, const Value& value, const Arguments& args) {
  if (value.is(Kind::kUndefined)) return undefined_error(value);
  if (!value.is(Kind::kDict))
    return type_error("dictsort needs a dict, not '{}'", type_name(value));
  std::string_view by = "key";
  if (const Value* given = args.find(1)) by = given->is(Kind::kString) ? given->view_text() : "";
  if (by != "key" && by != "value")
    return type_error("You can only sort by either \"key\" or \"value\"");
  std::vector<Value> sorted_by;
  std::vector<Value> pairs;
  for (const Dict::Entry& e : value.dict().entries) {
    sorted_by.push_back(by == "key" ? e.key : e.value);
    LANTERN_ASSIGN(Value pair, rt.heap().tuple({e.key, e.value}));
    pairs.push_back(std::move(pair));
  }
  LANTERN_ASSIGN(const std::vector<Value> keys,
                 keys_of(rt, sorted_by, {.case_sensitive = args.flag(0, false)}));
  LANTERN_ASSIGN(const std::vector<size_t> order, sorted_order(rt, keys, args.flag(2, false)));
  return rt.heap().list(in_order(pairs, order));
}

Result<Value> groupby_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  const KeyOptions options{&args.at(0), args.flag(2, false), args.find_some(1)};
  LANTERN_ASSIGN(const std::vector<Value> keys, keys_of(rt, items, options));
  LANTERN_ASSIGN(const std::vector<size_t> order, sorted_order(rt, keys, false));
  LANTERN_ASSIGN(const std::vector<Value> shown,
                 keys_of(rt, items, {&args.at(0), true, args.find_some(1)}));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < order.size();) {
    std::vector<Value> members{items[order[begin]]};
    size_t end = begin + 1;
    for (; end < order.size(); ++end) {
      LANTERN_ASSIGN(const bool same, equals(rt, keys[order[begin]], keys[order[end]]));
      if (!same) break;
      members.push_back(items[order[end]]);
    }
    LANTERN_ASSIGN(const Value list, rt.heap().list(std::move(members)));
    auto* group = rt.heap().make<Sequence>();
    LANTERN_TRY(rt.heap().charge(2 * sizeof(Value)));
    group->items = {shown[order[begin]], list};
    group->grouped = true;
    groups.push_back(Value::tuple(group));
    begin = end;
  }
  return rt.heap().list(std::move(groups));
}

Result<Value> unique_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  LANTERN_ASSIGN(const std::vector<Value> keys,
                 keys_of(rt, items, {args.find_some(1), args.flag(0, false)}));
  std::unordered_set<std::string> seen;
  std::vector<Value> out;
  for (size_t i = 0; i < items.size(); ++i) {
    LANTERN_ASSIGN(std::string key, hash_key(keys[i]));
    LANTERN_TRY(rt.read(key.size()));
    if (seen.insert(std::move(key)).second) out.push_back(items[i]);
  }
  return rt.heap().iterator(std::move(out));
}

template <bool kMax>
Result<Value> extreme_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  if (items.empty()) return rt.heap().undefined("No aggregated item, sequence was empty.");
  LANTERN_ASSIGN(const std::vector<Value> keys,
                 keys_of(rt, items, {args.find_some(1), args.flag(0, false)}));
  size_t best = 0;
  for (size_t i = 1; i < items.size(); ++i) {
    LANTERN_ASSIGN(const bool better,
                   kMax ? less(rt, keys[best], keys[i]) : less(rt, keys[i], keys[best]));
    if (better) best = i;
  }
  return items[best];
}

Result<Value> sum_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  std::vector<Value> path;
  if (const Value* attribute = args.find_some(0)) {
    LANTERN_ASSIGN(path, attribute_path(rt, *attribute));
  }
  Value total = args.find(1) != nullptr ? args.at(1) : Value::integer(0);
  if (total.is(Kind::kString)) return type_error("sum() can't sum strings");
  for (const Value& item : items) {
    LANTERN_ASSIGN(const Value term, follow(rt, item, path, nullptr));
    LANTERN_ASSIGN(total, binary_operation(rt, Op::kAdd, total, term));
  }
  return total;
}

Result<Value> first_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(Cursor cursor, Cursor::over(value));
  LANTERN_ASSIGN(std::optional<Value> first, cursor.next(rt));
  if (first) return std::move(*first);
  return rt.heap().undefined("No first item, sequence was empty.");
}

Result<Value> last_filter(Runtime& rt, const Value& value, const Arguments&) {
  if (value.is(Kind::kIterator)) return type_error("'generator' object is not reversible");
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  if (!items.empty()) return items.back();
  return rt.heap().undefined("No last item, sequence was empty.");
}

Result<Value> length_filter(Runtime& rt, const Value& value, const Arguments&) {
  if (value.is(Kind::kUndefined) && value.undefined().unsafe) return undefined_error(value);
  if (const std::optional<int64_t> length = length_of(value)) return Value::integer(*length);
  if (value.is(Kind::kCallable)) {
    LANTERN_ASSIGN(const std::optional<Value> length, find_attribute(rt, value, "length"));
    if (length) return *length;
  }
  return type_error("object of type '{}' has no len()", type_name(value));
}

Result<Value> list_filter(Runtime& rt, const Value& value, const Arguments&) {
  LANTERN_ASSIGN(std::vector<Value> items, items_of(rt, value));
  return rt.heap().list(std::move(items));
}

Result<Value> reverse_filter(Runtime& rt, const Value& value, const Arguments&) {
  if (value.is(Kind::kString)) {
    const Value back = Value::integer(-1);
    return get_slice(rt, value, nullptr, nullptr, &back);
  }
  LANTERN_ASSIGN(std::vector<Value> items, items_of(rt, value));
  std::reverse(items.begin(), items.end());
  if (value.is(Kind::kIterator)) return rt.heap().list(std::move(items));
  return rt.heap().iterator(std::move(items));
}

Result<Value> items_filter(Runtime& rt, const Value& value, const Arguments&) {
  if (value.is(Kind::kUndefined)) return rt.heap().iterator({});
  if (!value.is(Kind::kDict)) return type_error("Can only get item pairs from a mapping.");
  std::vector<Value> pairs;
  for (const Dict::Entry& e : value.dict().entries) {
    LANTERN_TRY(rt.step());
    LANTERN_ASSIGN(Value pair, rt.heap().tuple({e.key, e.value}));
    pairs.push_back(std::move(pair));
  }
  return rt.heap().iterator(std::move(pairs));
}

Result<Value> join_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(std::vector<Value> items, items_of(rt, value));
  if (const Value* attribute = args.find_some(1)) {
    LANTERN_ASSIGN(const std::vector<Value> path, attribute_path(rt, *attribute));
    for (Value& item : items) {
      LANTERN_ASSIGN(item, follow(rt, item, path, nullptr));
    }
  }
  Text separator;
  if (const Value* given = args.find(0)) {
    LANTERN_ASSIGN(const Value text, to_string(rt, *given));
    separator = text.text();
  }
  return join(rt, separator, items);
}

Result<Value> batch_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  LANTERN_ASSIGN(const int64_t size, args.integer(0, 0));
  const Value* fill = args.find_some(1);
  std::vector<Value> batches;
  std::vector<Value> batch;
  auto flush = [&]() -> Status {
    LANTERN_ASSIGN(Value list, rt.heap().list(std::exchange(batch, {})));
    batches.push_back(std::move(list));
    return {};
  };
  for (const Value& item : items) {
    if (static_cast<int64_t>(batch.size()) == size) LANTERN_TRY(flush());
    batch.push_back(item);
  }
  if (!batch.empty()) {
    if (fill != nullptr && static_cast<int64_t>(batch.size()) < size) {
      const auto n_missing = static_cast<uint64_t>(size) - batch.size();
      LANTERN_TRY(rt.step(n_missing));
      LANTERN_TRY(rt.heap().check(n_missing * sizeof(Value)));
      batch.resize(static_cast<size_t>(size), *fill);
    }
    LANTERN_TRY(flush());
  }
  return rt.heap().iterator(std::move(batches));
}

Result<Value> slice_filter(Runtime& rt, const Value& value, const Arguments& args) {
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  LANTERN_ASSIGN(const int64_t n_slices, args.integer(0, 0));
  if (n_slices == 0) return type_error("division by zero");
  const Value* fill = args.find_some(1);
  std::vector<Value> slices;
  const auto length = static_cast<int64_t>(items.size());
  size_t at = 0;
  for (int64_t i = 0; i < n_slices; ++i) {
    LANTERN_TRY(rt.step());
    const bool longer = i < length % n_slices;
    const auto size = static_cast<size_t>(length / n_slices) + (longer ? 1 : 0);
    std::vector<Value> slice(items.begin() + static_cast<int64_t>(at),
                             items.begin() + static_cast<int64_t>(at + size));
    if (fill != nullptr && !longer) slice.push_back(*fill);
    at += size;
    LANTERN_ASSIGN(Value list, rt.heap().list(std::move(slice)));
    slices.push_back(std::move(list));
  }
  return rt.heap().iterator(std::move(slices));
}

Result<Value> map_filter(Runtime& rt, const Value& value, CallArgs& args) {
  std::vector<Value> out;
  if (!truthy(value)) return rt.heap().iterator(std::move(out));
  const Value* attribute = nullptr;
  const Value* otherwise = nullptr;
  for (const auto& [name, given] : args.named) {
    if (name == "attribute") attribute = &given;
    if (name == "default" && !given.is(Kind::kNone)) otherwise = &given;
  }
  const bool by_attribute = args.positional.empty() && attribute != nullptr;
  std::vector<Value> path;
  if (by_attribute) {
    for (const auto& [name, given] : args.named)
      if (name != "attribute" && name != "default")
        return type_error("Unexpected keyword argument '{}'", name);
    LANTERN_ASSIGN(path, attribute_path(rt, *attribute));
  } else if (args.positional.empty() || !args.positional[0].is(Kind::kString)) {
    return type_error("map requires a filter argument");
  }
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  CallArgs rest;
  if (!by_attribute) {
    rest.positional.assign(args.positional.begin() + 1, args.positional.end());
    rest.named = args.named;
  }
  for (const Value& item : items) {
    LANTERN_ASSIGN(Value mapped,
                   by_attribute ? follow(rt, item, path, otherwise)
                                : apply_filter(rt, args.positional[0].view_text(), item, rest));
    out.push_back(std::move(mapped));
  }
  return rt.heap().iterator(std::move(out));
}

/// select, reject and, by an attribute of each item, selectattr and rejectattr.
Result<Value> selection(Runtime& rt, const Value& value, CallArgs& args, bool by_attribute,
                        bool wanted) {
  std::vector<Value> out;
  if (!truthy(value)) return rt.heap().iterator(std::move(out));
  std::vector<Value> path;
  const size_t n_own = by_attribute ? 1 : 0;
  if (by_attribute) {
    if (args.positional.empty()) return type_error("Missing parameter for attribute name");
    LANTERN_ASSIGN(path, attribute_path(rt, args.positional[0]));
  }
  const Value* test = args.positional.size() > n_own ? &args.positional[n_own] : nullptr;
  if (test != nullptr && !test->is(Kind::kString)) return type_error("a test is given by its name");
  CallArgs rest;
  if (test != nullptr) {
    rest.positional.assign(args.positional.begin() + static_cast<int64_t>(n_own) + 1,
                           args.positional.end());
    rest.named = args.named;
  }
  LANTERN_ASSIGN(const std::vector<Value> items, items_of(rt, value));
  for (const Value& item : items) {
    LANTERN_ASSIGN(const Value tested, follow(rt, item, path, nullptr));
    bool passes = truthy(tested);
    if (test != nullptr) {
      LANTERN_ASSIGN(passes, apply_test(rt, test->view_text(), tested, rest));
    }
    if (passes == wanted) out.push_back(item);
  }
  return rt.heap().iterator(std::move(out));
}

}  // namespace

std::span<const Builtin> sequence_filters() {
  static const std::vector<Builtin> kFilters = {
      {{"batch", {"linecount", "fill_with"}, 1}, batch_filter},
      {{"count", {}}, length_filter},
      {{"dictsort", {"case_sensitive", "by", "reverse"}}, dictsort_filter},
      {{"first", {}}, first_filter},
      {{"groupby", {"attribute", "default", "case_sensitive"}, 1}, groupby_filter},
      {{"items", {}}, items_filter},
      {{"join", {"d", "attribute"}}, join_filter},
      {{"last", {}}, last_filter},
      {{"length", {}}, length_filter},
      {{"list", {}}, list_filter},
      {{"max", {"case_sensitive", "attribute"}}, extreme_filter<true>},
      {{"min", {"case_sensitive", "attribute"}}, extreme_filter<false>},
      {{"reverse", {}}, reverse_filter},
      {{"slice", {"slices", "fill_with"}, 1}, slice_filter},
      {{"sort", {"reverse", "case_sensitive", "attribute"}}, sort_filter},
      {{"sum", {"attribute", "start"}}, sum_filter},
      {{"unique", {"case_sensitive", "attribute"}}, unique_filter},
  };
  return kFilters;
}

Result<std::optional<Value>> apply_mapping_filter(Runtime& rt, std::string_view name,
                                                  const Value& value, CallArgs& args) {
  if (name == "map") {
    LANTERN_ASSIGN(Value mapped, map_filter(rt, value, args));
    return std::optional<Value>(std::move(mapped));
  }
  const bool select = name == "select" || name == "selectattr";
  if (!select && name != "reject" && name != "rejectattr") return std::optional<Value>();
  const bool by_attribute = name == "selectattr" || name == "rejectattr";
  LANTERN_ASSIGN(Value selected, selection(rt, value, args, by_attribute, select));
  return std::optional<Value>(std::move(selected));
}

}  // namespace lantern::text::jinja
