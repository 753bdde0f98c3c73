#include "server/message.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "text/message/answer_grammar.h"

namespace lantern::server {
namespace {

using base::OrderedJson;
using text::MessageEvent;

constexpr size_t kIdBytes = 24;

std::string_view trimmed_end(std::string_view text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n')) text.remove_suffix(1);
  return text;
}

/// Whether a prompt ends with the tag that opens reasoning.
bool opens_reasoning(std::string_view prompt, const text::ReasoningTags* tags) {
  return tags != nullptr && trimmed_end(prompt).ends_with(tags->open);
}

class Reader final : public gate::AnswerSink {
 public:
  Reader(MessageReading reading, std::shared_ptr<MessageSink> sink)
      : reading_(std::move(reading)),
        sink_(std::move(sink)),
        choices_(reading_.n_choices),
        messages_(reading_.n_choices) {}

  void on_prompt(std::string_view prompt) override {
    reading_.parser.in_reasoning = opens_reasoning(prompt, reading_.parser.reasoning);
    for (Choice& choice : choices_)
      choice.parser = std::make_unique<text::MessageParser>(reading_.parser);
  }
  void on_accepted(int64_t n_prompt_tokens) override { sink_->on_accepted(n_prompt_tokens); }
  void on_token(uint32_t choice, const engine::TokenEvent& token) override {
    sink_->on_token(choice, token);
  }
  void on_text(uint32_t choice, std::string_view piece) override {
    text::MessageParser::Events events;
    choices_[choice].parser->push(piece, events);
    tell(choice, events);
  }
  void on_marker(uint32_t choice, std::string_view spelling) override {
    text::MessageParser::Events events;
    choices_[choice].parser->push_token(spelling, events);
    tell(choice, events);
  }
  void on_done(Result<gate::Answer> answer) override {
    for (uint32_t choice = 0; answer.ok() && choice < choices_.size(); ++choice) {
      text::MessageParser::Events events;
      choices_[choice].parser->finish(events);
      tell(choice, events);
      end_block(choice);
    }
    sink_->on_done(std::move(answer), messages_);
  }

 private:
  struct Choice {
    std::unique_ptr<text::MessageParser> parser = {};
    bool open = false;      // its last block still grows
    bool dropping = false;  // the call that comes is left out
  };

  static Block::Kind kind_of(MessageEvent::Kind kind) {
    if (kind == MessageEvent::Kind::kText) return Block::Kind::kText;
    return kind == MessageEvent::Kind::kReasoning ? Block::Kind::kReasoning : Block::Kind::kCall;
  }

  void tell(uint32_t choice, const text::MessageParser::Events& events) {
    Message& message = messages_[choice];
    for (const MessageEvent& event : events) {
      const Block::Kind kind = kind_of(event.kind);
      if (kind == Block::Kind::kCall && left_out(choice, event)) continue;
      if (event.kind == MessageEvent::Kind::kCallEnd) {
        end_block(choice);
        continue;
      }
      const bool begins = event.kind == MessageEvent::Kind::kCall || !choices_[choice].open ||
                          message.blocks.back().kind != kind;
      if (begins) begin_block(choice, kind, event);
      if (event.kind == MessageEvent::Kind::kCall) continue;
      Block& block = message.blocks.back();
      block.text += event.text;
      sink_->on_piece(choice, message.blocks.size() - 1, block, event.text);
    }
  }

  /// Calls after the first, where only one was asked for.
  bool left_out(uint32_t choice, const MessageEvent& event) {
    if (event.kind == MessageEvent::Kind::kCall)
      choices_[choice].dropping = !reading_.several_calls && messages_[choice].has_calls();
    return choices_[choice].dropping;
  }

  void begin_block(uint32_t choice, Block::Kind kind, const MessageEvent& event) {
    end_block(choice);
    Message& message = messages_[choice];
    Block& block = message.blocks.emplace_back(Block{.kind = kind});
    const size_t index = message.blocks.size() - 1;
    if (kind == Block::Kind::kCall) {
      block.name = event.text;
      block.id =
          base::to_hex(base::sha256(fmt::format("{} {} {}", reading_.id_seed, choice, index)))
              .substr(0, kIdBytes);
    }
    choices_[choice].open = true;
    sink_->on_block(choice, index, block);
  }

  void end_block(uint32_t choice) {
    if (!choices_[choice].open) return;
    choices_[choice].open = false;
    const Message& message = messages_[choice];
    sink_->on_block_end(choice, message.blocks.size() - 1, message.blocks.back());
  }

  MessageReading reading_;
  const std::shared_ptr<MessageSink> sink_;
  std::vector<Choice> choices_;
  std::vector<Message> messages_;  // by choice, too
};

/// Whether the request says that the model shall answer at once.
bool wants_no_reasoning(const text::RenderInput& input) {
  const auto wish = input.extra.find("enable_thinking");
  return wish != input.extra.end() && wish->is_boolean() && !wish->get<bool>();
}

/// Whether the prompt that is made of `input` has opened reasoning already.
Result<bool> begins_in_reasoning(const engine::TextIo& text, const text::RenderInput& input,
                                 const text::ReasoningTags* tags) {
  LANTERN_ASSIGN(const auto spans, text.render(input));
  return opens_reasoning(text::to_text(spans), tags);
}

Status limit_reasoning(const engine::TextIo& text, Generation& generation) {
  const text::ReasoningTags* const tags = text.message_syntax().reasoning;
  if (generation.thinking_tokens_max == 0 || tags == nullptr) return {};
  engine::ReasoningLimit limit{.tokens_max = generation.thinking_tokens_max,
                               .open = std::string(tags->open),
                               .close = std::string(tags->close),
                               .ids = text.tokenizer().encode(tags->close, {.special = true})};
  LANTERN_ASSIGN(limit.is_open,
                 begins_in_reasoning(text, std::get<text::RenderInput>(generation.prompt), tags));
  generation.options.reasoning = std::move(limit);
  return {};
}

/// What makes the grammar of an answer another one, beside the model.
std::string key_of(const text::AnswerGrammarOptions& options,
                   const std::optional<AnswerShape>& shape) {
  const OrderedJson key = {
      {"calls", options.calls == nullptr ? std::string_view() : options.calls->name},
      {"tools", options.tools},
      {"only", options.only},
      {"required", options.required},
      {"several", options.several},
      {"kind", shape ? static_cast<int>(shape->kind) : -1},
      {"text", shape ? shape->text : std::string()},
      {"reasoning", options.reasoning == nullptr ? std::string_view() : options.reasoning->open},
      {"in_reasoning", options.in_reasoning}};
  return key.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

/// Holds calls to the tools' schemas, and whatever is held to anything to what follows reasoning.
Status constrain(gate::ServedModel& model, const ToolUse& use, const MessageReading& reading,
                 Generation& generation) {
  const engine::TextIo& text = model.text();
  if (!use.offered() && !generation.shape) return {};
  text::AnswerGrammarOptions options{
      .calls = reading.parser.calls,
      .tools = use.tools,
      .only = use.choice.kind == ToolChoice::kNamed ? use.choice.name : std::string(),
      .required = use.choice.kind != ToolChoice::kAuto,
      .several = reading.several_calls,
      .reasoning = reading.parser.reasoning,
      .is_token = reading.parser.is_token};
  if (options.reasoning != nullptr) {
    const auto& input = std::get<text::RenderInput>(generation.prompt);
    LANTERN_ASSIGN(options.in_reasoning, begins_in_reasoning(text, input, options.reasoning));
    if (!options.in_reasoning && wants_no_reasoning(input)) options.reasoning = nullptr;
  }
  LANTERN_ASSIGN(generation.options.grammar,
                 model.grammars().find_or_make(
                     key_of(options, generation.shape), [&]() -> Result<text::GrammarPtr> {
                       if (generation.shape) {
                         LANTERN_ASSIGN(options.text, compile(*generation.shape));
                       }
                       return text::answer_grammar(options);
                     }));
  return {};
}

}  // namespace

std::string Message::text_of(Block::Kind kind) const {
  std::string out;
  for (const Block& block : blocks)
    if (block.kind == kind) out += block.text;
  return out;
}

bool Message::has_calls() const {
  return std::any_of(blocks.begin(), blocks.end(),
                     [](const Block& block) { return block.kind == Block::Kind::kCall; });
}

OrderedJson arguments_of(const Block& call) {
  auto parsed = base::parse_ordered_json(call.text, "arguments");
  return parsed.ok() && parsed->is_object() ? std::move(*parsed) : OrderedJson::object();
}

Result<MessageReading> prepare_message(gate::ServedModel& model, Generation& generation) {
  MessageReading out{.n_choices = generation.n_choices};
  auto* input = std::get_if<text::RenderInput>(&generation.prompt);
  if (input == nullptr) {
    if (generation.shape) {
      LANTERN_ASSIGN(generation.options.grammar,
                     model.grammars().find_or_make(key_of({}, generation.shape),
                                                   [&] { return compile(*generation.shape); }));
    }
    return out;
  }
  const engine::TextIo& text = model.text();
  const text::MessageSyntax& syntax = text.message_syntax();
  const ToolUse& use = generation.tools;
  if (generation.thinking.value_or(false) && syntax.reasoning == nullptr)
    return make_error(ErrorCode::kInvalidArgument, "\"{}\" does not support thinking",
                      model.name());
  if (generation.thinking) input->extra["enable_thinking"] = *generation.thinking;
  // Equal requests have equal ids; another turn of the conversation has others.
  out.id_seed = fmt::format("{} {}", generation.options.sampler.seed,
                            base::to_hex(base::sha256(input->messages.dump(
                                -1, ' ', false, OrderedJson::error_handler_t::replace))));
  LANTERN_TRY(text::prepare_tools(syntax, use.offered() ? use.tools : OrderedJson(), *input));
  out.parser.reasoning = syntax.reasoning;
  out.parser.is_token = [&text](std::string_view word) { return text.is_special_word(word); };
  if (use.offered()) {
    out.parser.calls = syntax.calls;
    for (const OrderedJson& tool : use.tools) out.parser.tools.insert(tool["function"]["name"]);
    out.several_calls =
        use.several && syntax.several_calls && use.choice.kind != ToolChoice::kNamed;
  }
  LANTERN_TRY(limit_reasoning(text, generation));
  LANTERN_TRY(constrain(model, use, out, generation));
  if (out.parser.calls != nullptr || out.parser.reasoning != nullptr)
    generation.options.markers = text.message_markers();
  return out;
}

std::shared_ptr<gate::AnswerSink> read_messages(MessageReading reading,
                                                std::shared_ptr<MessageSink> sink) {
  return std::make_shared<Reader>(std::move(reading), std::move(sink));
}

}  // namespace lantern::server
