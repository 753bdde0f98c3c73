// Requests of Ollama's API, from bytes.
#pragma once

#include <string_view>

#include "base/result.h"
#include "server/generation.h"

namespace lantern::server::ollama {

struct TextRequest {
  Generation generation = {};
  bool only_loads = false;  // no prompt: asks that the model be loaded
  /// How long the model stays afterwards, gate::kForever; absent: as the service has it.
};

/// kInvalidArgument names the field. Fields that the API does not have are ignored, as Ollama does;
/// what it has and this service cannot do is refused by name.
Result<TextRequest> parse_chat(std::string_view body);
/// `raw` decides at run time: the text as it stands, or a user's turn through the chat template.
Result<TextRequest> parse_generate(std::string_view body);
struct PullRequest {
  std::string model = {};
  bool stream = true;
};
Result<PullRequest> parse_pull(std::string_view body);
/// The name of /api/show and /api/delete.
Result<std::string> parse_show(std::string_view body);

}  // namespace lantern::server::ollama
