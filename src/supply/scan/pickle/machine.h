// The symbolic pickle machine: one method an opcode's effect. walker.cc drives it.
#pragma once

#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "supply/scan/pickle/globals.h"
#include "supply/scan/pickle/input.h"
#include "supply/scan/pickle/values.h"
#include "supply/scan/pickle/walker.h"

namespace lantern::supply::scan {

class PickleMachine {
 public:
  PickleMachine(const format::Source& source, uint64_t begin, const PickleWalkOptions& options)
      : input_(source, begin), source_(source), options_(options) {}

  PickleWalk run();

 private:
  enum class Step { kOn, kStop };

  Result<Step> step(uint8_t op);
  Status push_number(uint8_t op);
  Status push_text(uint8_t op);
  Status push_long(uint8_t op);
  Status push_container(uint8_t op);
  Status change_container(uint8_t op);
  Status use_memo(uint8_t op);
  Status import(uint8_t op);
  Status call(uint8_t op);
  Status build();
  Status read_array(ValueId wrapper, ValueId state);

  void push(ValueId id) { stack_.push_back(id); }
  ValueId pop();
  /// What lies above the last mark, in order; the mark goes too.
  std::vector<ValueId> pop_to_mark();
  void note_malformed() { walk_.malformed = true; }

  /// A string constant of `n` bytes that follow; bytes may hold a pickle of their own.
  Status push_string(uint64_t n);
  void keep_text(std::string_view text);
  void look_inside(std::string_view text);
  void look_inside_large(uint64_t at, uint64_t n);

  void named(std::string_view module, std::string_view name);
  ValueId called(ValueId callee, ValueId arguments, GlobalUse use);
  void judge_call(ValueId callee, ValueId arguments, GlobalUse use);
  void judge_getattr(ValueId arguments);
  void report(const GlobalVerdict& verdict, std::string_view full, std::string_view verb);
  void add(std::string_view rule, Verdict verdict, std::string message);

  PickleInput input_;
  const format::Source& source_;
  PickleWalkOptions options_;
  PickleWalk walk_;
  ValueStore values_;
  Memo memo_;
  std::vector<ValueId> stack_;
  std::unordered_set<std::string> reported_;
  uint64_t op_at_ = 0;
  ValueId mark_ = values_.add_text("", ValueKind::kMark);
};

}  // namespace lantern::supply::scan
