// Answers of Ollama's API: one document, or one a line.
#pragma once

#include <memory>

#include "server/message.h"
#include "server/ollama/request.h"
#include "server/service.h"

namespace lantern::server::ollama {

enum class Kind { kChat, kGenerate };

std::shared_ptr<MessageSink> answer_sink(Kind kind, bool stream, std::string model, Headers headers,
                                         std::shared_ptr<Reply> reply);

/// Answers `reply`, errors included.
void run(Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Kind kind,
         Result<TextRequest> parsed);

/// A model as /api/tags, /api/ps and /api/show tell of it; each adds its own.
struct ModelWords {
  std::string_view name;
  base::Digest id;
  uint64_t bytes;
  std::string_view family;
  std::string_view parent = {};  // of an adapter: its model's name
};
base::OrderedJson model_document(const ModelWords& model);

/// "2026-01-31T12:00:00Z"
std::string time_text(std::chrono::system_clock::time_point time);

}  // namespace lantern::server::ollama
