// Requests of OpenAI's chat completions and completions, from bytes.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/generation.h"

namespace lantern::server::openai {

struct TextRequest {
  Generation generation = {};
  bool include_usage = false;  // stream_options
  bool by_functions = false;   // its tools are `functions`, the API's older form
  // Completions:
  std::vector<TextOrIds> prompts = {};  // instead of the generation's own
  bool echo = false;                    // the prompt before the answer
};

/// kInvalidArgument names the field. What the API has and this service cannot do is refused by
/// name; a field that the API does not have is refused, as OpenAI does, except for top_k, min_p,
/// repeat_penalty, ignore_eos and chat_template_kwargs.
Result<TextRequest> parse_chat(std::string_view body);
Result<TextRequest> parse_completion(std::string_view body);

}  // namespace lantern::server::openai
