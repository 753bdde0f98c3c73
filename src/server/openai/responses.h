// OpenAI's responses API: requests from bytes, the response object, and its events.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "gate/caller.h"
#include "gate/served_model.h"
#include "server/generation.h"
#include "server/message.h"
#include "server/service.h"

namespace lantern::server::openai {

struct ResponsesRequest {
  Generation generation = {};  // its messages are the request's own, instructions left out
  std::string instructions = {};
  std::string previous_id = {};
  bool store = false;
  base::OrderedJson metadata = base::OrderedJson::object();
  // As they were given, for the response object.
  base::OrderedJson tools = base::OrderedJson::array();
  base::OrderedJson tool_choice = "auto";
  base::OrderedJson format = {{"type", "text"}};
  std::string effort = {};
};

/// kInvalidArgument names the field; what the API has and this service cannot do is refused by
/// name.
Result<ResponsesRequest> parse_responses(std::string_view body);

/// What the answer to a request is made with.
struct ResponsesAnswer {
  Service* service = nullptr;  // where responses are kept; needed where the request stores
  gate::Caller caller = {};
  ResponsesRequest asked = {};
  /// The conversation so far, instructions left out.
  base::OrderedJson messages = base::OrderedJson::array();
  std::string id = {};
  std::string model = {};
  Headers headers = {};
};
std::shared_ptr<MessageSink> responses_sink(ResponsesAnswer answer, std::shared_ptr<Reply> reply);

/// Answers `reply`, errors included.
void run_responses(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
                   Result<ResponsesRequest> parsed);

/// What is kept of a response: {"response": the object, "messages": the conversation so far}.
struct KeptResponse {
  base::OrderedJson response = {};
  base::OrderedJson messages = base::OrderedJson::array();
};
std::string kept_text(const KeptResponse& kept);
/// kCorrupt.
Result<KeptResponse> parse_kept(std::string_view text);

}  // namespace lantern::server::openai
