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

/// A model as /api/tags and /api/ps list it.
base::OrderedJson model_document(const gate::ServedModel& model, std::string_view modified_at);

/// "2026-01-31T12:00:00Z"
std::string time_text(std::chrono::system_clock::time_point time);

}  // namespace lantern::server::ollama
