// What every API for text comes down to: a model's name, a prompt, how to draw, and the way of its
// request through the gate.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "gate/served_model.h"
#include "server/endpoint.h"
#include "server/fields.h"
#include "server/http.h"
#include "server/tools.h"
#include "text/chat_template.h"

namespace lantern::server {

inline constexpr uint32_t kChoicesMax = 16;
inline constexpr int64_t kTokensMax = 1 << 24;
inline constexpr size_t kMessagesMax = 4096;

struct Generation {
  std::string model = {};
  std::variant<text::RenderInput, std::string> prompt = {};
  engine::GenerateOptions options = {};
  std::optional<uint64_t> seed = {};  // absent: one is drawn, and named in the answer's header
  uint32_t n_choices = 1;
  bool stream = false;
  ToolUse tools = {};
  std::optional<bool> thinking = {};  // whether the model shall reason first; absent: its own way
};

/// Gives a message's `content` as one string: a string, or an array of parts of type "text". Parts
/// of other types are kInvalidArgument by name. `path` is the content's, for the message.
Result<std::string> text_of_content(const base::OrderedJson& content, const std::string& path);
/// One of the parts; `path` is its own.
Result<std::string> text_of_part(const base::OrderedJson& part, const std::string& path);

class Service;

/// Asks `model` on behalf of `request`; the sink is told everything, and the service's metrics are.
void generate(Service& service, gate::ServedModel& model, Generation generation,
              const Request& request, const std::stop_token& gone,
              std::shared_ptr<gate::AnswerSink> sink);

/// The prompt's tokens, as generate() would run them. Errors: ServedModel::count_tokens()'s.
Result<int64_t> count_prompt(gate::ServedModel& model, Generation generation,
                             const Request& request);

/// As generate() will draw with: fills in a seed where there is none, and names it in a header.
void settle_seed(Generation& generation, Headers& headers);

/// "data: {...}\n\n", with "event: name\n" before it where there is a name.
std::string sse_event(const base::OrderedJson& document, std::string_view name = {});

int64_t unix_seconds();

}  // namespace lantern::server
