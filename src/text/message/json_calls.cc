#include "text/message/json_calls.h"

#include <fmt/core.h>

#include <utility>

#include "base/ascii.h"
#include "base/json.h"

namespace lantern::text {
namespace {

constexpr size_t kNameBytesMax = 1024;

class JsonCalls final : public CallReader {
 public:
  explicit JsonCalls(JsonCallsStyle style) : style_(std::move(style)) {}

  Step push(char byte, CallSink& sink) override {
    switch (state_) {
      case State::kKey:
      case State::kValue:
        return push_value(byte, sink);
      case State::kClose:
        return push_close(byte);
      default:
        return base::is_json_space(byte) ? Step::kMore : push_structure(byte, sink);
    }
  }

 private:
  enum class State {
    kStart,
    kItemOrEnd,  // after "["
    kItem,       // after "," in the list
    kKeyOrEnd,
    kNextKey,
    kKey,
    kColon,
    kValueStart,
    kValue,
    kCommaOrEnd,
    kAfterItem,  // in the list
    kClose,
  };
  enum class Role { kOther, kName, kArguments };

  Step to(State state) {
    state_ = state;
    return Step::kMore;
  }

  Step begin_object() {
    name_.clear();
    arguments_.clear();
    begun_ = has_arguments_ = false;
    return to(State::kKeyOrEnd);
  }

  Step push_structure(char byte, CallSink& sink) {
    switch (state_) {
      case State::kStart:
        if (byte == '[' && !in_list_) {
          in_list_ = true;
          return to(State::kItemOrEnd);
        }
        return byte == '{' ? begin_object() : Step::kNotACall;
      case State::kItemOrEnd:
        if (byte == ']') return Step::kNotACall;  // no call is in it
        [[fallthrough]];
      case State::kItem:
        return byte == '{' ? begin_object() : Step::kNotACall;
      case State::kKeyOrEnd:
        if (byte == '}') return end_object(sink);
        [[fallthrough]];
      case State::kNextKey:
        return byte == '"' ? begin_value(State::kKey, byte, sink) : Step::kNotACall;
      case State::kColon:
        return byte == ':' ? to(State::kValueStart) : Step::kNotACall;
      case State::kValueStart:
        if (role_ == Role::kName && byte != '"') return Step::kNotACall;
        if (role_ == Role::kArguments && byte != '{') return Step::kNotACall;
        return begin_value(State::kValue, byte, sink);
      case State::kCommaOrEnd:
        if (byte == '}') return end_object(sink);
        return byte == ',' ? to(State::kNextKey) : Step::kNotACall;
      case State::kAfterItem:
        if (byte == ',') return to(State::kItem);
        return byte == ']' ? end_calls() : Step::kNotACall;
      default:
        return Step::kNotACall;
    }
  }

  Step begin_value(State state, char byte, CallSink& sink) {
    scanner_ = JsonScanner();
    value_.clear();
    state_ = state;
    return push_value(byte, sink);
  }

  Step push_value(char byte, CallSink& sink) {
    // Models write code with its line breaks as they are; escaped, the string is JSON again.
    if (scanner_.in_string() && static_cast<unsigned char>(byte) < 0x20) {
      take(json_string_byte(byte), sink);
      return Step::kMore;
    }
    const JsonScanner::Step step = scanner_.push(byte);
    if (step == JsonScanner::Step::kBad) return Step::kNotACall;
    if (step != JsonScanner::Step::kDoneBefore) take({&byte, 1}, sink);
    if (value_.size() > kNameBytesMax) return Step::kNotACall;
    if (step == JsonScanner::Step::kMore) return Step::kMore;
    if (state_ == State::kKey) {
      if (value_ == "\"id\"" || value_ == "\"type\"")
        role_ = Role::kOther;
      else if (value_ == "\"name\"")
        role_ = Role::kName;
      else if (value_ == "\"arguments\"" || value_ == "\"parameters\"")
        role_ = Role::kArguments;
      else
        return Step::kNotACall;
      const bool twice =
          (role_ == Role::kName && !name_.empty()) || (role_ == Role::kArguments && has_arguments_);
      if (role_ == Role::kArguments) has_arguments_ = true;
      return twice ? Step::kNotACall : to(State::kColon);
    }
    if (role_ == Role::kName && !begin_call(sink)) return Step::kNotACall;
    state_ = State::kCommaOrEnd;
    return step == JsonScanner::Step::kDoneBefore ? push(byte, sink) : Step::kMore;
  }

  void take(std::string_view piece, CallSink& sink) {
    if (state_ == State::kKey || role_ == Role::kName) {
      value_ += piece;
    } else if (role_ == Role::kArguments) {
      if (begun_)
        sink.arguments(piece);
      else
        arguments_ += piece;  // bounded, as all that the sink was not told
    }
  }

  bool begin_call(CallSink& sink) {
    const auto name = base::parse_json(value_, "name");
    if (!name.ok() || !name->is_string()) return false;
    name_ = name->get<std::string>();
    if (name_.empty() || !sink.knows(name_)) return false;
    begun_ = true;
    sink.begin(name_);
    if (!arguments_.empty()) sink.arguments(arguments_);
    return true;
  }

  Step end_object(CallSink& sink) {
    if (!begun_) return Step::kNotACall;
    if (!has_arguments_) sink.arguments("{}");
    sink.end();
    if (in_list_) return to(State::kAfterItem);
    return end_calls();
  }

  Step end_calls() {
    if (style_.close.empty() && (in_list_ || !style_.goes_on)) return Step::kDone;
    return to(State::kClose);
  }

  Step push_close(char byte) {
    if (n_closed_ == 0) {
      if (base::is_json_space(byte)) return Step::kMore;
      if (!in_list_ && style_.goes_on) {
        if (byte == '{') return begin_object();
        if (byte == style_.separator) return Step::kMore;
      }
    }
    if (n_closed_ >= style_.close.size() || byte != style_.close[n_closed_])
      return Step::kDoneBefore;
    return ++n_closed_ == style_.close.size() ? Step::kDone : Step::kMore;
  }

  const JsonCallsStyle style_;
  State state_ = State::kStart;
  bool in_list_ = false;
  // Of the call that is read:
  Role role_ = Role::kOther;
  JsonScanner scanner_;
  std::string value_;  // of a key or a name, as it is written
  std::string name_;
  std::string arguments_;  // that came before the name
  bool begun_ = false;
  bool has_arguments_ = false;
  size_t n_closed_ = 0;  // bytes of style_.close
};

}  // namespace

std::string json_string_byte(char byte) {
  if (static_cast<unsigned char>(byte) >= 0x20) return {byte};
  if (byte == '\n') return "\\n";
  if (byte == '\r') return "\\r";
  if (byte == '\t') return "\\t";
  return fmt::format("\\u{:04x}", static_cast<unsigned char>(byte));
}

std::unique_ptr<CallReader> json_call_reader(JsonCallsStyle style) {
  return std::make_unique<JsonCalls>(std::move(style));
}

}  // namespace lantern::text
