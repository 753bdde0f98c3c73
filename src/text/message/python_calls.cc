#include "text/message/python_calls.h"

#include <set>
#include <utility>

#include "base/ascii.h"
#include "text/message/python_literal.h"

namespace lantern::text {
namespace {

constexpr size_t kNameBytesMax = 256;
constexpr size_t kArgumentsMax = 256;  // of one call

bool is_name(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '-';
}

class PythonCalls final : public CallReader {
 public:
  explicit PythonCalls(PythonCallsStyle style)
      : style_(std::move(style)), state_(style_.list ? State::kList : State::kCall) {}

  Step push(char byte, CallSink& sink) override {
    switch (state_) {
      case State::kName:
        return push_name(byte, sink);
      case State::kKeyword:
        return push_keyword(byte, sink);
      case State::kValue:
        return push_value(byte, sink);
      case State::kNext:
        return push_next(byte);
      case State::kClose:
        return push_close(byte);
      default:
        return base::is_json_space(byte) ? Step::kMore : push_structure(byte, sink);
    }
  }

 private:
  enum class State {
    kList,  // "["
    kCall,  // a name begins
    kName,
    kKeywordOrEnd,  // after "(" or ","
    kKeyword,
    kValue,
    kCommaOrEnd,  // between arguments
    kPrintEnd,    // the ")" of print()
    kNext,        // between calls
    kClose,
  };

  Step to(State state) {
    state_ = state;
    return Step::kMore;
  }

  Step push_structure(char byte, CallSink& sink) {
    switch (state_) {
      case State::kList:
        return byte == '[' ? to(State::kCall) : Step::kNotACall;
      case State::kCall:
        word_.clear();
        state_ = State::kName;
        return push_name(byte, sink);
      case State::kKeywordOrEnd:
        if (byte == ')') return end_call(sink);
        word_.clear();
        state_ = State::kKeyword;
        return push_keyword(byte, sink);
      case State::kCommaOrEnd:
        if (byte == ')') return end_call(sink);
        return byte == ',' ? to(State::kKeywordOrEnd) : Step::kNotACall;
      default:  // kPrintEnd
        in_print_ = false;
        return byte == ')' ? to(State::kNext) : Step::kNotACall;
    }
  }

  Step push_name(char byte, CallSink& sink) {
    if (is_name(byte)) {
      word_ += byte;
      return word_.size() > kNameBytesMax ? Step::kNotACall : Step::kMore;
    }
    if (byte != '(' || word_.empty()) return Step::kNotACall;
    // Llama 3.1's own tools are called as name.call(...).
    constexpr std::string_view kDotCall = ".call";
    if (!sink.knows(word_) && word_.ends_with(kDotCall))
      word_.resize(word_.size() - kDotCall.size());
    if (!sink.knows(word_)) {
      if (word_ != "print" || style_.list || in_print_) return Step::kNotACall;
      in_print_ = true;
      return to(State::kCall);
    }
    keywords_.clear();
    sink.begin(word_);
    sink.arguments("{");
    return to(State::kKeywordOrEnd);
  }

  Step push_keyword(char byte, CallSink& sink) {
    if (is_name(byte) && byte != '.' && byte != '-') {
      word_ += byte;
      return word_.size() > kNameBytesMax ? Step::kNotACall : Step::kMore;
    }
    if (base::is_json_space(byte) && !word_.empty()) return Step::kMore;
    if (byte != '=' || word_.empty()) return Step::kNotACall;
    const bool first = keywords_.empty();
    if (!keywords_.insert(word_).second || keywords_.size() > kArgumentsMax) return Step::kNotACall;
    sink.arguments((first ? "\"" : ", \"") + word_ + "\": ");
    literal_ = PythonLiteral();
    return to(State::kValue);
  }

  Step push_value(char byte, CallSink& sink) {
    std::string json;
    const PythonLiteral::Step step = literal_.push(byte, json);
    if (step == PythonLiteral::Step::kBad) return Step::kNotACall;
    if (!json.empty()) sink.arguments(json);
    if (step == PythonLiteral::Step::kMore) return Step::kMore;
    state_ = State::kCommaOrEnd;
    return step == PythonLiteral::Step::kDoneBefore ? push(byte, sink) : Step::kMore;
  }

  Step end_call(CallSink& sink) {
    sink.arguments("}");
    sink.end();
    return to(in_print_ ? State::kPrintEnd : State::kNext);
  }

  Step push_next(char byte) {
    if (style_.list) {
      if (base::is_json_space(byte)) return Step::kMore;
      if (byte == ',') return to(State::kCall);
      if (byte != ']') return Step::kNotACall;
      return style_.close.empty() ? Step::kDone : to(State::kClose);
    }
    if (base::is_json_space(byte) || byte == ';') return Step::kMore;
    if (is_name(byte)) {
      word_ = byte;
      return to(State::kName);
    }
    return push_close(byte);
  }

  Step push_close(char byte) {
    state_ = State::kClose;
    if (n_closed_ == 0 && base::is_json_space(byte)) return Step::kMore;
    if (n_closed_ >= style_.close.size() || byte != style_.close[n_closed_])
      return Step::kDoneBefore;
    return ++n_closed_ == style_.close.size() ? Step::kDone : Step::kMore;
  }

  const PythonCallsStyle style_;
  State state_;
  bool in_print_ = false;
  std::string word_;  // a tool's name, or an argument's
  std::set<std::string> keywords_;
  PythonLiteral literal_;
  size_t n_closed_ = 0;  // bytes of style_.close
};

}  // namespace

std::unique_ptr<CallReader> python_call_reader(PythonCallsStyle style) {
  return std::make_unique<PythonCalls>(std::move(style));
}

}  // namespace lantern::text
