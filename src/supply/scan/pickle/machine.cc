#include "supply/scan/pickle/machine.h"

#include <algorithm>
#include <charconv>

#include <utility>

namespace lantern::supply::scan {
namespace {

// Opcodes, by the names pickletools gives them.
constexpr uint8_t kMark = '(', kStop = '.', kPop = '0', kPopMark = '1', kDup = '2', kFloat = 'F',
                  kInt = 'I', kBinInt = 'J', kBinInt1 = 'K', kLong = 'L', kBinInt2 = 'M',
                  kNone = 'N', kPersId = 'P', kBinPersId = 'Q', kReduce = 'R', kString = 'S',
                  kBinString = 'T', kShortBinString = 'U', kUnicode = 'V', kBinUnicode = 'X',
                  kAppend = 'a', kBuild = 'b', kGlobal = 'c', kDict = 'd', kEmptyDict = '}',
                  kAppends = 'e', kGet = 'g', kBinGet = 'h', kInst = 'i', kLongBinGet = 'j',
                  kList = 'l', kEmptyList = ']', kObj = 'o', kPut = 'p', kBinPut = 'q',
                  kLongBinPut = 'r', kSetItem = 's', kTuple = 't', kEmptyTuple = ')',
                  kSetItems = 'u', kBinFloat = 'G', kProto = 0x80, kNewObj = 0x81, kExt1 = 0x82,
                  kExt2 = 0x83, kExt4 = 0x84, kTuple1 = 0x85, kTuple2 = 0x86, kTuple3 = 0x87,
                  kNewTrue = 0x88, kNewFalse = 0x89, kLong1 = 0x8a, kLong4 = 0x8b, kBinBytes = 'B',
                  kShortBinBytes = 'C', kShortBinUnicode = 0x8c, kBinUnicode8 = 0x8d,
                  kBinBytes8 = 0x8e, kEmptySet = 0x8f, kAddItems = 0x90, kFrozenSet = 0x91,
                  kNewObjEx = 0x92, kStackGlobal = 0x93, kMemoize = 0x94, kFrame = 0x95,
                  kByteArray8 = 0x96, kNextBuffer = 0x97, kReadOnlyBuffer = 0x98;

/// PyTorch's legacy magic number, 0x1950a86a20f9469cfc6c, as LONG1 stores it.
constexpr std::string_view kTorchMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);

constexpr uint64_t kOpsMax = 200'000'000;
constexpr size_t kStackMax = 16'000'000;

}  // namespace

PickleWalk PickleMachine::run() {
  for (;;) {
    op_at_ = input_.position();
    if (++walk_.n_ops > kOpsMax || values_.full() || memo_.full() || stack_.size() > kStackMax) {
      walk_.fault = make_error(ErrorCode::kTooLarge, "a pickle of too many objects");
      break;
    }
    if (options_.scan != nullptr && (walk_.n_ops & 0xffff) == 0) {
      if (auto status = options_.scan->check_time(); !status.ok()) {
        walk_.fault = status.error();
        break;
      }
    }
    const auto op = input_.byte();
    if (!op.ok()) {
      walk_.fault = op.error();
      break;
    }
    auto done = step(*op);
    if (!done.ok()) {
      walk_.fault = std::move(done).error();
      break;
    }
    if (*done == Step::kStop) {
      walk_.stopped = true;
      break;
    }
  }
  walk_.end = input_.position();
  return std::move(walk_);
}

Result<PickleMachine::Step> PickleMachine::step(uint8_t op) {
  switch (op) {
    case kStop:
      if (stack_.empty()) note_malformed();
      return Step::kStop;
    case kProto:
      LANTERN_TRY(input_.skip(1));
      break;
    case kFrame:
      LANTERN_TRY(input_.skip(8));
      break;
    case kMark:
      push(mark_);
      break;
    case kPop:
      if (stack_.empty())
        note_malformed();
      else
        stack_.pop_back();
      break;
    case kPopMark:
      pop_to_mark();
      break;
    case kDup:
      push(stack_.empty() ? ValueStore::kOpaqueId : stack_.back());
      break;
    case kNone:
    case kNewTrue:
    case kNewFalse:
    case kNextBuffer:
      push(ValueStore::kOpaqueId);
      break;
    case kReadOnlyBuffer:
      break;
    case kFloat:
    case kBinFloat:
    case kInt:
    case kBinInt:
    case kBinInt1:
    case kBinInt2:
      LANTERN_TRY(push_number(op));
      break;
    case kLong:
    case kLong1:
    case kLong4:
      LANTERN_TRY(push_long(op));
      break;
    case kString:
    case kUnicode:
    case kBinString:
    case kShortBinString:
    case kBinUnicode:
    case kShortBinUnicode:
    case kBinUnicode8:
    case kBinBytes:
    case kShortBinBytes:
    case kBinBytes8:
    case kByteArray8:
      LANTERN_TRY(push_text(op));
      break;
    case kEmptyTuple:
    case kTuple:
    case kTuple1:
    case kTuple2:
    case kTuple3:
    case kEmptyList:
    case kList:
    case kEmptyDict:
    case kDict:
    case kEmptySet:
    case kFrozenSet:
      LANTERN_TRY(push_container(op));
      break;
    case kAppend:
    case kAppends:
    case kSetItem:
    case kSetItems:
    case kAddItems:
      LANTERN_TRY(change_container(op));
      break;
    case kGet:
    case kBinGet:
    case kLongBinGet:
    case kPut:
    case kBinPut:
    case kLongBinPut:
    case kMemoize:
      LANTERN_TRY(use_memo(op));
      break;
    case kPersId:
      LANTERN_TRY(input_.line());
      push(ValueStore::kOpaqueId);
      break;
    case kBinPersId:
      pop();
      push(ValueStore::kOpaqueId);
      break;
    case kGlobal:
    case kStackGlobal:
    case kExt1:
    case kExt2:
    case kExt4:
      LANTERN_TRY(import(op));
      break;
    case kReduce:
    case kInst:
    case kObj:
    case kNewObj:
    case kNewObjEx:
      LANTERN_TRY(call(op));
      break;
    case kBuild:
      LANTERN_TRY(build());
      break;
    default:
      return make_error(ErrorCode::kCorrupt, "byte 0x{:02x} at {} is no pickle opcode", op, op_at_);
  }
  return Step::kOn;
}

ValueId PickleMachine::pop() {
  if (stack_.empty()) {
    note_malformed();
    return ValueStore::kOpaqueId;
  }
  const ValueId top = stack_.back();
  stack_.pop_back();
  if (top == mark_) {
    note_malformed();
    return ValueStore::kOpaqueId;
  }
  return top;
}

std::vector<ValueId> PickleMachine::pop_to_mark() {
  const auto mark = std::find(stack_.rbegin(), stack_.rend(), mark_);
  if (mark == stack_.rend()) note_malformed();
  std::vector<ValueId> items(mark.base(), stack_.end());
  stack_.erase(mark == stack_.rend() ? stack_.begin() : mark.base() - 1, stack_.end());
  return items;
}

Status PickleMachine::push_number(uint8_t op) {
  if (op == kFloat || op == kInt) {
    LANTERN_ASSIGN(const std::string_view line, input_.line());
    int64_t number = 0;
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), number);
    const bool whole = parsed.ec == std::errc() && parsed.ptr == line.data() + line.size();
    if (!whole && line.find_first_not_of("0123456789+-.eEnaifINFNA_ \r\t") != line.npos)
      return make_error(ErrorCode::kCorrupt, "no number at {}", op_at_);
    push(whole ? values_.add_int(number) : ValueStore::kOpaqueId);
    return {};
  }
  if (op == kBinFloat) {
    push(ValueStore::kOpaqueId);
    return input_.skip(8);
  }
  LANTERN_ASSIGN(const uint64_t number, input_.number(op == kBinInt ? 4 : op == kBinInt2 ? 2 : 1));
  push(
      values_.add_int(op == kBinInt ? static_cast<int32_t>(number) : static_cast<int64_t>(number)));
  return {};
}

Status PickleMachine::push_long(uint8_t op) {
  if (op == kLong) {
    LANTERN_ASSIGN(const std::string_view line, input_.line());
    if (line.find_first_not_of("0123456789+-L_ \r\t") != line.npos)
      return make_error(ErrorCode::kCorrupt, "no number at {}", op_at_);
    push(ValueStore::kOpaqueId);
    return {};
  }
  LANTERN_ASSIGN(const uint64_t n, input_.number(op == kLong1 ? 1 : 4));
  if (n > 8) {
    if (n == kTorchMagic.size()) {
      LANTERN_ASSIGN(const std::string_view digits, input_.bytes(n));
      walk_.is_torch_magic = walk_.is_torch_magic || digits == kTorchMagic;
    } else {
      LANTERN_TRY(input_.skip(n));
    }
    push(ValueStore::kOpaqueId);
    return {};
  }
  LANTERN_ASSIGN(uint64_t number, input_.number(n));
  if (n > 0 && n < 8 && (number >> (8 * n - 1)) != 0) number |= ~uint64_t{0} << (8 * n);
  push(values_.add_int(static_cast<int64_t>(number)));
  return {};
}

Status PickleMachine::push_text(uint8_t op) {
  switch (op) {
    case kString:
    case kUnicode: {
      LANTERN_ASSIGN(const std::string_view line, input_.line());
      keep_text(line);
      return {};
    }
    case kShortBinString:
    case kShortBinUnicode:
    case kShortBinBytes: {
      LANTERN_ASSIGN(const uint64_t n, input_.number(1));
      return push_string(n);
    }
    case kBinString:
    case kBinUnicode:
    case kBinBytes: {
      LANTERN_ASSIGN(const uint64_t n, input_.number(4));
      return push_string(n);
    }
    default: {
      LANTERN_ASSIGN(const uint64_t n, input_.number(8));
      return push_string(n);
    }
  }
}

Status PickleMachine::push_string(uint64_t n) {
  if (n <= PickleInput::kBytesMax) {
    LANTERN_ASSIGN(const std::string_view text, input_.bytes(n));
    if (n <= ValueStore::kTextBytesMax)
      push(values_.add_text(text));
    else
      push(ValueStore::kOpaqueId);
    look_inside(text);
    return {};
  }
  const uint64_t at = input_.position();
  LANTERN_TRY(input_.skip(n));
  push(ValueStore::kOpaqueId);
  look_inside_large(at, n);
  return {};
}

Status PickleMachine::push_container(uint8_t op) {
  ValueKind kind = ValueKind::kTuple;
  std::vector<ValueId> items;
  if (op == kEmptyList || op == kList || op == kEmptySet || op == kFrozenSet)
    kind = ValueKind::kList;
  if (op == kEmptyDict || op == kDict) kind = ValueKind::kDict;
  if (op == kTuple || op == kList || op == kDict || op == kFrozenSet) items = pop_to_mark();
  const size_t n_popped = op == kTuple1 ? 1 : op == kTuple2 ? 2 : op == kTuple3 ? 3 : 0;
  for (size_t i = 0; i < n_popped; ++i) items.insert(items.begin(), pop());
  push(values_.add_container(kind, std::move(items)));
  return {};
}

Status PickleMachine::change_container(uint8_t op) {
  std::vector<ValueId> items;
  if (op == kAppend) {
    items = {pop()};
  } else if (op == kSetItem) {
    const ValueId value = pop();
    items = {pop(), value};
  } else {
    items = pop_to_mark();
  }
  if (stack_.empty()) {
    note_malformed();
    return {};
  }
  // append() and extend() of an object that a global made are its own methods, and run its code:
  // the global was judged when it was called.
  for (const ValueId item : items) values_.append(stack_.back(), item);
  return {};
}

Status PickleMachine::use_memo(uint8_t op) {
  const bool is_put = op == kPut || op == kBinPut || op == kLongBinPut || op == kMemoize;
  uint64_t key = memo_.n_put();
  if (op == kGet || op == kPut) {
    LANTERN_ASSIGN(std::string_view line, input_.line());
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    const auto parsed = std::from_chars(line.data(), line.data() + line.size(), key);
    if (parsed.ec != std::errc() || parsed.ptr != line.data() + line.size())
      return make_error(ErrorCode::kCorrupt, "no number of a memo at {}", op_at_);
  } else if (op != kMemoize) {
    LANTERN_ASSIGN(key, input_.number(op == kBinGet || op == kBinPut ? 1 : 4));
  }
  if (is_put) {
    if (stack_.empty()) note_malformed();
    memo_.put(key, stack_.empty() ? ValueStore::kOpaqueId : stack_.back());
  } else {
    bool missing = false;
    push(memo_.get(key, missing));
    if (missing) note_malformed();
  }
  return {};
}

Status PickleMachine::import(uint8_t op) {
  if (op == kExt1 || op == kExt2 || op == kExt4) {
    LANTERN_TRY(input_.skip(op == kExt1 ? 1 : op == kExt2 ? 2 : 4));
    ++walk_.n_globals;
    add("pickle-extension", Verdict::kInconclusive,
        "names a global by a number that only the loader's own registry knows");
    push(ValueStore::kOpaqueId);
    return {};
  }
  std::string module, name;
  if (op == kGlobal) {
    LANTERN_ASSIGN(const std::string_view first, input_.line());
    module = first;
    LANTERN_ASSIGN(const std::string_view second, input_.line());
    name = second;
  } else {
    const ValueId name_id = pop(), module_id = pop();
    ++walk_.n_globals;
    if (values_.kind(name_id) != ValueKind::kText || values_.kind(module_id) != ValueKind::kText) {
      add("pickle-computed-global", Verdict::kMalicious,
          "imports a global whose name is no constant but computed while loading: hides what it "
          "imports");
      push(values_.add_text("?\n?", ValueKind::kGlobal));
      return {};
    }
    module = values_.text(module_id);
    name = values_.text(name_id);
    --walk_.n_globals;
  }
  while (!module.empty() && module.back() == '\r') module.pop_back();
  while (!name.empty() && name.back() == '\r') name.pop_back();
  if (module.size() + name.size() > 4096)
    return make_error(ErrorCode::kCorrupt, "a global's name of more than 4096 bytes at {}", op_at_);
  ++walk_.n_globals;
  named(module, name);
  push(values_.add_text(module + "\n" + name, ValueKind::kGlobal));
  return {};
}

Status PickleMachine::call(uint8_t op) {
  if (op == kInst) {
    LANTERN_ASSIGN(const std::string_view first, input_.line());
    const std::string module(first);
    LANTERN_ASSIGN(const std::string_view second, input_.line());
    const std::string name(second);
    const ValueId arguments = values_.add_container(ValueKind::kTuple, pop_to_mark());
    ++walk_.n_globals;
    named(module, name);
    const ValueId callee = values_.add_text(module + "\n" + name, ValueKind::kGlobal);
    push(called(callee, arguments, GlobalUse::kCalled));
    return {};
  }
  if (op == kObj) {
    std::vector<ValueId> items = pop_to_mark();
    if (items.empty()) note_malformed();
    const ValueId callee = items.empty() ? ValueStore::kOpaqueId : items.front();
    if (!items.empty()) items.erase(items.begin());
    push(called(callee, values_.add_container(ValueKind::kTuple, std::move(items)),
                GlobalUse::kCalled));
    return {};
  }
  if (op == kNewObjEx) pop();  // keyword arguments
  const ValueId arguments = pop(), callee = pop();
  push(called(callee, arguments, op == kReduce ? GlobalUse::kCalled : GlobalUse::kConstructed));
  return {};
}

PickleWalk walk_pickle(const format::Source& source, uint64_t begin,
                       const PickleWalkOptions& options) {
  return PickleMachine(source, begin, options).run();
}

}  // namespace lantern::supply::scan
