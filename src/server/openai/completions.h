// OpenAI's older completions: texts that are completed as they stand, several in a request.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "gate/served_model.h"
#include "server/http.h"
#include "server/openai/request.h"
#include "server/service.h"

namespace lantern::server::openai {

struct CompletionOptions {
  bool stream = false;
  bool include_usage = false;
  bool echo = false;  // the prompt before each of its choices' text
  std::string id = {};
  std::string model = {};
  std::string fingerprint = {};  // what would make the same answer again
  uint32_t n_prompts = 1;
  uint32_t n_choices = 1;  // of each prompt
  /// A token's bytes, where log-probabilities are wanted; else empty.
  std::function<std::string_view(int32_t id)> piece = {};
  Headers headers = {};
};

/// Where the answer to each prompt goes, in the prompts' order. Choice c of prompt p has the index
/// p * n_choices + c; one response has all of them. `cancel` is asked to stop once the response is
/// an error, or its client has gone.
std::vector<std::shared_ptr<gate::AnswerSink>> completion_sinks(CompletionOptions options,
                                                                const std::shared_ptr<Reply>& reply,
                                                                const std::stop_source& cancel);

/// Answers `reply`, errors included.
void run_completions(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
                     Result<TextRequest> parsed);

}  // namespace lantern::server::openai
