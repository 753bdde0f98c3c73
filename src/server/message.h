// An answer to a conversation as its APIs see it: blocks of reasoning, text and calls of tools.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gate/served_model.h"
#include "server/generation.h"
#include "text/message/message_parser.h"

namespace lantern::server {

struct Block {
  enum class Kind { kText, kReasoning, kCall };
  Kind kind = Kind::kText;
  std::string text = {};  // of a call: its arguments, a JSON object unless it broke off
  std::string name = {};  // of a call: the tool
  std::string id = {};    // of a call: 24 letters and digits
};

struct Message {
  std::vector<Block> blocks = {};
  /// All of a kind, one after another.
  [[nodiscard]] std::string text_of(Block::Kind kind) const;
  [[nodiscard]] bool has_calls() const;
};

/// A call's arguments as a value: an empty object where they broke off.
base::OrderedJson arguments_of(const Block& call);

/// What an API makes of an answer; as gate::AnswerSink, with the text told apart.
class MessageSink {
 public:
  virtual ~MessageSink() = default;
  virtual void on_accepted(int64_t n_prompt_tokens) { (void)n_prompt_tokens; }
  virtual void on_token(uint32_t choice, const engine::TokenEvent& token) {
    (void)choice;
    (void)token;
  }
  /// Block `index` of a choice begins: its kind, and a call's name and id, are there.
  virtual void on_block(uint32_t choice, size_t index, const Block& block) {
    (void)choice;
    (void)index;
    (void)block;
  }
  /// It grows.
  virtual void on_piece(uint32_t choice, size_t index, const Block& block,
                        std::string_view piece) = 0;
  /// It is whole.
  virtual void on_block_end(uint32_t choice, size_t index, const Block& block) {
    (void)choice;
    (void)index;
    (void)block;
  }
  virtual void on_done(Result<gate::Answer> answer, const std::vector<Message>& messages) = 0;
};

/// How a request's answer is read.
struct MessageReading {
  text::MessageParserOptions parser = {};
  bool several_calls = true;  // else those after the first are left out
  std::string id_seed = {};   // of the calls' ids: equal for equal requests
  uint32_t n_choices = 1;
};

/// Makes `generation` ready for `model`: tools and earlier calls as its template wants them, the
/// tokens that its answers are told apart by, and the grammar that they must follow. After
/// settle_seed(). kInvalidArgument where the model cannot be given tools, and for a schema that is
/// not supported.
Result<MessageReading> prepare_message(gate::ServedModel& model, Generation& generation);

/// Tells `sink` what an answer is made of.
std::shared_ptr<gate::AnswerSink> read_messages(MessageReading reading,
                                                std::shared_ptr<MessageSink> sink);

}  // namespace lantern::server
