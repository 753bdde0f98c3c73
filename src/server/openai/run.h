// A parsed request of OpenAI's chat completions, run.
#pragma once

#include <memory>

#include "server/openai/answer.h"
#include "server/openai/request.h"
#include "server/service.h"

namespace lantern::server::openai {

/// Answers `reply`, errors included.
void run_chat(Service& service, const Request& request, const std::shared_ptr<Reply>& reply,
              Result<TextRequest> parsed);

}  // namespace lantern::server::openai
