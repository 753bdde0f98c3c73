// Requests of Anthropic's messages, from bytes.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"
#include "server/generation.h"

namespace lantern::server::anthropic {

/// kInvalidArgument names the field; a field that the API does not have is refused, as Anthropic
/// does. For counting tokens, max_tokens and how to draw are not asked for.
enum class Purpose { kAnswer, kCount };
Result<Generation> parse_messages(std::string_view body, Purpose purpose);

}  // namespace lantern::server::anthropic
