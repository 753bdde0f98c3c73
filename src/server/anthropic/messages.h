// Anthropic's Messages API: requests from bytes, answers whole or as server-sent events.
#pragma once

#include <memory>
#include <string>

#include "server/anthropic/request.h"
#include "server/message.h"
#include "server/service.h"

namespace lantern::server::anthropic {

struct AnswerOptions {
  bool stream = false;
  std::string id = {};
  std::string model = {};
  Headers headers = {};
};
std::shared_ptr<MessageSink> answer_sink(AnswerOptions options, std::shared_ptr<Reply> reply);

/// Both answer `reply`, errors included.
void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply);
void count_tokens(Service& service, const Request& request, const std::shared_ptr<Reply>& reply);

}  // namespace lantern::server::anthropic
