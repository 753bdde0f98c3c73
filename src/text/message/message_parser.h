// An answer as it comes, told apart: the model's reasoning, text, and calls of tools.
//
//   answer:    [reasoning] (text | calls)*
//   reasoning: at the message's start, between tags; or the prompt has opened it already
//   calls:     as the model's ToolSyntax says; a call names a tool of the request, what else is
//              written that way stays text
//
// White space around reasoning and calls is theirs and is left out. What a call says is passed on
// as it comes; one that breaks off (an answer's end, an error in the middle of its arguments) is
// ended where it stands, and its arguments are no JSON then.
//
// How the text is cut into pieces changes nothing: equal bytes give equal events, once neighbours
// of one kind are joined. Each byte costs a constant; what may still become a call is held back, up
// to kHeldBytesMax.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "text/message/tool_syntax.h"

namespace lantern::text {

struct ReasoningTags {
  std::string_view open, close;
};

struct MessageEvent {
  enum class Kind {
    kText,
    kReasoning,
    kCall,       // `text` is the tool's name
    kArguments,  // of the call that is open: a piece of a JSON object
    kCallEnd,
  };
  Kind kind = Kind::kText;
  std::string text = {};
  bool operator==(const MessageEvent&) const = default;
};

struct MessageParserOptions {
  const ToolSyntax* calls = nullptr;  // null: none are read
  std::set<std::string, std::less<>> tools = {};
  const ReasoningTags* reasoning = nullptr;
  bool in_reasoning = false;  // the prompt ends with the opening tag
  TokenTest is_token = [](std::string_view) { return false; };
};

class MessageParser final : private CallSink {
 public:
  static constexpr size_t kHeldBytesMax = 1u << 20;
  static constexpr size_t kSpaceBytesMax = 256;  // a longer run of white space is text
  using Events = std::vector<MessageEvent>;

  explicit MessageParser(MessageParserOptions options);
  ~MessageParser() override;

  // All add to `out`, to its last event where it goes on.
  void push(std::string_view text, Events& out);
  /// A special token of the vocabulary.
  void push_token(std::string_view spelling, Events& out);
  /// The end of the answer.
  void finish(Events& out);

 private:
  enum class State { kText, kReasoning, kCall };
  struct Candidate {
    std::string text;
    const Opening* opening = nullptr;  // null: a tag of the reasoning
    bool closes = false;               // the closing one
  };

  [[nodiscard]] bool knows(std::string_view name) const override;
  void begin(std::string_view name) override;
  void arguments(std::string_view piece) override;
  void end() override;

  void push_byte(char byte);
  void match(char byte);
  [[nodiscard]] bool may_begin(const Candidate& candidate) const;
  void enter(const Candidate& candidate);
  void push_call(char byte);
  void leave_call();
  void release(char byte);
  void emit(MessageEvent::Kind kind, std::string_view text);

  const MessageParserOptions options_;
  std::vector<Candidate> candidates_;
  const bool plain_;  // nothing is told apart
  State state_ = State::kText;
  std::string pending_;  // may become a candidate
  std::string space_;    // white space that may be left out
  bool drop_space_ = false;
  bool started_ = false;   // text was told, or a call
  bool reasoned_ = false;  // reasoning was there, or is
  bool thought_ = false;   // some of it was told
  std::unique_ptr<CallReader> reader_;
  std::string held_;      // that the reader has seen since it last told something
  bool told_ = false;     // it told something at all
  bool in_call_ = false;  // between begin() and end()
  Events* out_ = nullptr;
};

}  // namespace lantern::text
