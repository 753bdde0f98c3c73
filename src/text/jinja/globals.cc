// The functions every template can call.
#include <array>

#include "text/jinja/builtins.h"
#include "text/jinja/conversion.h"
#include "text/jinja/operations.h"
#include "text/jinja/strftime.h"

namespace lantern::text::jinja {
namespace {

constexpr int64_t kRangeMax = 100'000;  // items, as Jinja's sandbox has it

class GlobalFunction : public Callable {
 public:
  Result<Value> (*function)(Runtime&, CallArgs) = nullptr;
  Result<Value> call(Runtime& rt, CallArgs args) override { return function(rt, std::move(args)); }
};

Result<Value> range_function(Runtime& rt, CallArgs args) {
  if (!args.named.empty()) return type_error("range() takes no keyword arguments");
  LANTERN_ASSIGN(const Arguments bound,
                 Arguments::bind({"range", {"start", "stop", "step"}, 1}, std::move(args)));
  const bool only_stop = bound.find(1) == nullptr;
  LANTERN_ASSIGN(const int64_t first, bound.integer(0, 0));
  LANTERN_ASSIGN(const int64_t second, bound.integer(1, 0));
  LANTERN_ASSIGN(const int64_t step, bound.integer(2, 1));
  const int64_t start = only_stop ? 0 : first;
  const int64_t stop = only_stop ? first : second;
  if (step == 0) return type_error("range() arg 3 must not be zero");
  // Inside of 62 bits, so that no difference overflows.
  constexpr int64_t kBound = int64_t{1} << 61;
  for (const int64_t given : {start, stop, step})
    if (given > kBound || given < -kBound) return type_error("range() takes numbers of 61 bits");
  int64_t length = 0;
  if (step > 0 && start < stop) length = (stop - start - 1) / step + 1;
  if (step < 0 && start > stop) length = (start - stop - 1) / -step + 1;
  if (length > kRangeMax)
    return make_error(ErrorCode::kTooLarge, "range() of {} items; the sandbox allows at most {}",
                      length, kRangeMax);
  auto* range = rt.heap().make<Range>();
  range->start = start;
  range->stop = stop;
  range->step = step;
  range->length = length;
  return Value::range(range);
}

/// What dict() and namespace() are made from: a dict or pairs, then keyword arguments.
Result<Dict*> collect(Runtime& rt, CallArgs args) {
  auto* dict = rt.heap().make<Dict>();
  if (args.positional.size() > 1) return type_error("dict expected at most 1 argument");
  if (!args.positional.empty() && args.positional[0].is(Kind::kUndefined))
    return undefined_error(args.positional[0]);
  if (!args.positional.empty() && args.positional[0].is(Kind::kDict)) {
    for (const Dict::Entry& e : args.positional[0].dict().entries)
      LANTERN_TRY(put(rt, *dict, e.key, e.value));
  } else if (!args.positional.empty()) {
    LANTERN_ASSIGN(const std::vector<Value> pairs, items_of(rt, args.positional[0]));
    for (const Value& pair : pairs) {
      LANTERN_ASSIGN(const std::vector<Value> both, items_of(rt, pair));
      if (both.size() != 2) return type_error("a dict is made from pairs of key and value");
      LANTERN_TRY(put(rt, *dict, both[0], both[1]));
    }
  }
  for (auto& [name, value] : args.named) {
    LANTERN_ASSIGN(Value key, rt.heap().string(name, SpanKind::kLiteral));
    LANTERN_TRY(put(rt, *dict, std::move(key), std::move(value)));
  }
  return dict;
}

Result<Value> dict_function(Runtime& rt, CallArgs args) {
  LANTERN_ASSIGN(const Dict* dict, collect(rt, std::move(args)));
  return Value::dict(dict);
}

Result<Value> namespace_function(Runtime& rt, CallArgs args) {
  LANTERN_ASSIGN(const Dict* dict, collect(rt, std::move(args)));
  auto* ns = rt.heap().make<Namespace>();
  for (const Dict::Entry& e : dict->entries) {
    if (!e.key.is(Kind::kString)) continue;  // nothing could read it
    if (e.key.view_text().starts_with('_'))
      return type_error("a namespace cannot hold '{}': names with an underscore first are refused",
                        e.key.view_text().substr(0, 100));
    LANTERN_TRY(rt.heap().charge(sizeof(ns->attributes[0]) + e.key.text().size_bytes()));
    ns->attributes.emplace_back(e.key.view_text(), e.value);
  }
  return Value::ns(ns);
}

class Cycler : public Callable {
 public:
  std::vector<Value> items;
  size_t position = 0;

  [[nodiscard]] const char* type_name() const override { return "Cycler"; }
  Result<Value> call(Runtime&, CallArgs) override {
    return type_error("'Cycler' object is not callable");
  }
  Result<std::optional<Value>> attribute(Runtime& rt, std::string_view name) override;
};

class CyclerMethod : public Callable {
 public:
  Cycler* cycler = nullptr;
  bool resets = false;
  Result<Value> call(Runtime&, CallArgs) override {
    if (resets) {
      cycler->position = 0;
      return Value::none();
    }
    const Value current = cycler->items[cycler->position];
    cycler->position = (cycler->position + 1) % cycler->items.size();
    return current;
  }
};

Result<std::optional<Value>> Cycler::attribute(Runtime& rt, std::string_view name) {
  if (name == "current") return std::optional<Value>(items[position]);
  if (name != "next" && name != "reset") return std::optional<Value>();
  auto* method = rt.heap().make<CyclerMethod>();
  method->cycler = this;
  method->resets = name == "reset";
  return std::optional<Value>(Value::callable(method));
}

Result<Value> cycler_function(Runtime& rt, CallArgs args) {
  if (args.positional.empty()) return type_error("at least one item has to be provided");
  auto* cycler = rt.heap().make<Cycler>();
  LANTERN_TRY(rt.heap().charge(args.positional.size() * sizeof(Value)));
  cycler->items = std::move(args.positional);
  return Value::callable(cycler);
}

/// Gives nothing at its first call, the separator afterwards.
class Joiner : public Callable {
 public:
  Value separator;
  bool used = false;
  [[nodiscard]] const char* type_name() const override { return "Joiner"; }
  Result<Value> call(Runtime& rt, CallArgs) override {
    if (!used) {
      used = true;
      return rt.heap().string(Text());
    }
    return separator;
  }
};

Result<Value> joiner_function(Runtime& rt, CallArgs args) {
  LANTERN_ASSIGN(const Arguments bound, Arguments::bind({"joiner", {"sep"}}, std::move(args)));
  auto* joiner = rt.heap().make<Joiner>();
  if (bound.find(0) != nullptr) {
    joiner->separator = bound.at(0);
  } else {
    LANTERN_ASSIGN(joiner->separator, rt.heap().string(", ", SpanKind::kLiteral));
  }
  return Value::callable(joiner);
}

/// On one line, and short enough for a person to read.
std::string one_line(std::string_view text) {
  constexpr size_t kBytesMax = 600;
  size_t end = std::min(text.size(), kBytesMax);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  std::string out(text.substr(0, end));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return out;
}

Result<Value> raise_function(Runtime& rt, CallArgs args) {
  LANTERN_ASSIGN(const Arguments bound,
                 Arguments::bind({"raise_exception", {"message"}, 1}, std::move(args)));
  LANTERN_ASSIGN(const Value message, to_string(rt, bound.at(0)));
  return type_error("the template refuses: {}", one_line(message.view_text()));
}

Result<Value> strftime_function(Runtime& rt, CallArgs args) {
  LANTERN_ASSIGN(const Arguments bound,
                 Arguments::bind({"strftime_now", {"format"}, 1}, std::move(args)));
  if (!bound.at(0).is(Kind::kString)) return type_error("strftime_now() needs a string");
  const Text& format = bound.at(0).text();
  LANTERN_TRY(rt.read(32 * format.size_bytes()));
  LANTERN_TRY(rt.heap().check(32 * format.size_bytes()));
  LANTERN_ASSIGN(const std::string text, format_time(format.view(), rt.now()));
  return rt.heap().string(text, format.kind());
}

struct Global {
  std::string_view name;
  Result<Value> (*function)(Runtime&, CallArgs);
};
constexpr std::array<Global, 7> kGlobals = {{
    {"cycler", cycler_function},
    {"dict", dict_function},
    {"joiner", joiner_function},
    {"namespace", namespace_function},
    {"raise_exception", raise_function},
    {"range", range_function},
    {"strftime_now", strftime_function},
}};

}  // namespace

std::optional<Value> find_global(Runtime& rt, std::string_view name) {
  for (const Global& global : kGlobals) {
    if (global.name != name) continue;
    auto* function = rt.heap().make<GlobalFunction>();
    function->function = global.function;
    return Value::callable(function);
  }
  return std::nullopt;
}

}  // namespace lantern::text::jinja
