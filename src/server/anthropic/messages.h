// Anthropic's Messages API: requests from bytes, answers whole or as server-sent events.
#pragma once

#include <memory>
#include <string_view>

#include "server/generation.h"
#include "server/service.h"

namespace lantern::server::anthropic {

/// kInvalidArgument names the field; a field that the API does not have is refused, as Anthropic
/// does. For counting tokens, max_tokens and how to draw are not asked for.
enum class Purpose { kAnswer, kCount };
Result<Generation> parse_messages(std::string_view body, Purpose purpose);

/// Both answer `reply`, errors included.
void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply);
void count_tokens(Service& service, const Request& request, const std::shared_ptr<Reply>& reply);

}  // namespace lantern::server::anthropic
