// What the machine's imports and calls mean, and what hides in strings.
#include <algorithm>
#include <charconv>
#include <utility>

#include "base/checked.h"
#include "format/window_source.h"
#include "supply/scan/pickle/machine.h"
#include "supply/scan/text_codes.h"

namespace lantern::supply::scan {
namespace {

constexpr int kNestingMax = 6;

std::pair<std::string_view, std::string_view> split_global(std::string_view text) {
  const size_t at = text.find('\n');
  return {text.substr(0, at), at == text.npos ? std::string_view{} : text.substr(at + 1)};
}

}  // namespace

void PickleMachine::add(std::string_view rule, Verdict verdict, std::string message) {
  if (options_.scan == nullptr) return;
  // A model of ten thousand equal layers says it once.
  if (!reported_.insert(std::string(rule) + message).second) return;
  options_.scan->add(options_.scanner, rule, verdict, std::move(message), op_at_);
}

void PickleMachine::report(const GlobalVerdict& verdict, std::string_view full,
                           std::string_view verb) {
  if (verdict.verdict == Verdict::kClean) return;
  if (verdict.verdict == Verdict::kMalicious) walk_.names_danger = true;
  // A pickle hidden in a string has no business to call even what is harmless by itself.
  if (options_.nesting > 0 && verb == "calls" && verdict.rule == "pickle-unusual-global") {
    add("pickle-nested-call", Verdict::kMalicious,
        fmt::format("calls {} from a pickle hidden in a string", full));
    return;
  }
  add(verdict.rule, verdict.verdict, fmt::format("{} {}: {}", verb, full, verdict.what));
}

void PickleMachine::named(std::string_view module, std::string_view name) {
  const GlobalVerdict verdict = judge_global(module, name, GlobalUse::kNamed);
  report(verdict, fmt::format("{}.{}", module, name), "imports");
}

ValueId PickleMachine::called(ValueId callee, ValueId arguments, GlobalUse use) {
  ++walk_.n_calls;
  if (!walk_.malformed) ++walk_.n_sound_calls;
  judge_call(callee, arguments, use);
  return values_.add_call(callee, arguments, use == GlobalUse::kCalled);
}

void PickleMachine::judge_call(ValueId callee, ValueId arguments, GlobalUse use) {
  switch (values_.kind(callee)) {
    case ValueKind::kGlobal:
      break;
    case ValueKind::kCall:
      add("pickle-computed-call", Verdict::kWarn, "calls the result of another call");
      return;
    case ValueKind::kMark:
    case ValueKind::kOpaque:
      return;
    default:
      note_malformed();
      return;
  }
  const auto [module, name] = split_global(values_.text(callee));
  const std::string full = fmt::format("{}.{}", module, name);
  // copyreg._reconstructor(class, base, state) and __newobj__(class, ...) make an object of their
  // first argument, without its __init__.
  if (name == "_reconstructor" || name.starts_with("__newobj")) use = GlobalUse::kConstructed;
  report(judge_global(module, name, use), full, "calls");
  if ((module == "builtins" || module == "__builtin__") && name == "getattr")
    judge_getattr(arguments);
}

/// getattr(x, "name") reaches what GLOBAL cannot name; enums of some versions are stored so.
void PickleMachine::judge_getattr(ValueId arguments) {
  if (values_.kind(arguments) != ValueKind::kTuple) return;
  const auto& items = values_.items(arguments);
  const bool known = items.size() >= 2 && values_.kind(items[1]) == ValueKind::kText;
  if (!known) {
    add("pickle-computed-attribute", Verdict::kMalicious,
        "takes an attribute whose name is computed while loading");
    return;
  }
  const std::string_view attribute = values_.text(items[1]);
  if (values_.kind(items[0]) == ValueKind::kGlobal) {
    const auto [module, name] = split_global(values_.text(items[0]));
    const std::string reached = fmt::format("{}.{}", name, attribute);
    report(judge_global(module, reached, GlobalUse::kCalled), fmt::format("{}.{}", module, reached),
           "reaches");
    return;
  }
  if (attribute.starts_with("_") || values_.kind(items[0]) == ValueKind::kCall)
    add("pickle-computed-attribute", Verdict::kMalicious,
        fmt::format("takes attribute \"{}\" of an object made while loading", attribute));
}

void PickleMachine::keep_text(std::string_view text) {
  std::string decoded = unescape_python(text);
  look_inside(decoded);
  push(decoded.size() <= ValueStore::kTextBytesMax ? values_.add_text(decoded)
                                                   : ValueStore::kOpaqueId);
}

void PickleMachine::look_inside(std::string_view text) {
  if (options_.scan == nullptr || text.size() < 8) return;
  std::string decoded;
  std::string_view payload = text;
  if (!looks_like_payload(text)) {
    decoded = decode_if_payload(text);
    if (decoded.empty()) return;
    payload = decoded;
  }
  if (options_.nesting >= kNestingMax) {
    add("pickle-nested-deep", Verdict::kInconclusive, "pickles nested too deeply to follow");
    return;
  }
  const format::MemorySource source("a string in a pickle", std::as_bytes(std::span(payload)));
  if (!is_pickle(source)) {
    if (payload.starts_with("PK\x03\x04")) options_.scan->judge_nested("string", payload);
    return;
  }
  const Scan::Place place(*options_.scan, "string");
  scan_pickles(source, 0, *options_.scan, options_.scanner, options_.nesting + 1);
}

void PickleMachine::look_inside_large(uint64_t at, uint64_t n) {
  if (options_.scan == nullptr) return;
  const format::WindowSource window(source_, at, n);
  const Input input(window, "");
  if (!looks_like_payload(input.head().substr(0, 16))) return;
  options_.scan->judge_nested("string", window);
}

Status PickleMachine::build() {
  const ValueId state = pop();
  const ValueId object = stack_.empty() ? ValueStore::kOpaqueId : stack_.back();
  if (stack_.empty()) note_malformed();
  if (values_.kind(object) == ValueKind::kGlobal) {
    const auto [module, name] = split_global(values_.text(object));
    add("pickle-changes-global", Verdict::kMalicious,
        fmt::format("changes attributes of {}.{} itself, which every other user of it then sees",
                    module, name));
  }
  return read_array(object, state);
}

/// joblib writes an array's bytes into the pickle, right after the BUILD of its wrapper.
Status PickleMachine::read_array(ValueId wrapper, ValueId state) {
  if (values_.kind(wrapper) != ValueKind::kCall) return {};
  const ValueId callee = values_.at(wrapper).a;
  if (values_.kind(callee) != ValueKind::kGlobal ||
      values_.text(callee) != "joblib.numpy_pickle\nNumpyArrayWrapper" ||
      values_.kind(state) != ValueKind::kDict)
    return {};
  // dtype is the result of numpy.dtype("f8", False, True); a subclass of its own has no size here.
  std::string_view code;
  const ValueId dtype = values_.find(state, "dtype");
  if (values_.kind(dtype) == ValueKind::kCall) {
    const ValueId arguments = values_.at(dtype).b;
    if (values_.kind(arguments) == ValueKind::kTuple && !values_.items(arguments).empty() &&
        values_.kind(values_.items(arguments)[0]) == ValueKind::kText)
      code = values_.text(values_.items(arguments)[0]);
  }
  if (!code.empty() && (code[0] == 'O' || code == "|O")) return {};  // a pickle follows, walked on
  uint64_t item_bytes = 0;
  const size_t digits = code.find_first_of("0123456789");
  if (digits != code.npos)
    std::from_chars(code.data() + digits, code.data() + code.size(), item_bytes);
  if (!code.empty() && code[0] == 'U') item_bytes *= 4;
  if (code == "?" || code == "b1") item_bytes = 1;
  base::CheckedSize bytes(item_bytes);
  const ValueId shape = values_.find(state, "shape");
  bool known = item_bytes > 0 && item_bytes < 65536 && values_.kind(shape) == ValueKind::kTuple;
  if (known) {
    for (const ValueId n : values_.items(shape)) {
      known = known && values_.kind(n) == ValueKind::kInt && values_.at(n).number >= 0;
      if (known) bytes = bytes * base::CheckedSize(static_cast<uint64_t>(values_.at(n).number));
    }
  }
  if (!known || !bytes.value())
    return make_error(ErrorCode::kUnsupported, "joblib array at {} of a type whose size is unknown",
                      op_at_);
  if (values_.kind(values_.find(state, "numpy_array_alignment_bytes")) == ValueKind::kInt) {
    LANTERN_ASSIGN(const uint64_t padding, input_.number(1));
    LANTERN_TRY(input_.skip(padding));
  }
  return input_.skip(*bytes.value());
}

ValueId ValueStore::find(ValueId dict, std::string_view key) const {
  if (kind(dict) != ValueKind::kDict) return kOpaqueId;
  const auto& pairs = items(dict);
  for (size_t i = 0; i + 1 < pairs.size(); i += 2)
    if (kind(pairs[i]) == ValueKind::kText && text(pairs[i]) == key) return pairs[i + 1];
  return kOpaqueId;
}

}  // namespace lantern::supply::scan
