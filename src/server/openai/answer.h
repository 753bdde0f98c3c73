// Answers of OpenAI's chat completions: whole, or as server-sent events.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gate/served_model.h"
#include "server/http.h"
#include "server/message.h"
#include "text/tokenizer.h"

namespace lantern::server::openai {

struct AnswerOptions {
  bool stream = false;
  bool include_usage = false;
  std::string id = {};
  std::string model = {};
  std::string fingerprint = {};  // what would make the same answer again
  uint32_t n_choices = 1;
  bool by_functions = false;  // a call is `function_call`, the older form
  /// For the spelling of alternatives, where log-probabilities are wanted; else null.
  const text::Tokenizer* tokenizer = nullptr;
  Headers headers = {};
};

std::shared_ptr<MessageSink> answer_sink(AnswerOptions options, std::shared_ptr<Reply> reply);

/// `usage` of a response, over the answers to all of its prompts.
base::OrderedJson usage_of(std::span<const gate::Answer> answers);

/// Program and model, by digest: with the seed they decide the answer.
std::string fingerprint_of(const gate::ServedModel& model);

}  // namespace lantern::server::openai
