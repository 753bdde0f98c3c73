// What every API for text comes down to: a model's name, a prompt, how to draw, and the way of its
// request through the gate.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "gate/model_host.h"
#include "server/endpoint.h"
#include "server/fields.h"
#include "server/http.h"
#include "server/structured_output.h"
#include "server/tools.h"
#include "text/chat_template.h"

namespace lantern::server {

inline constexpr uint32_t kChoicesMax = 16;
inline constexpr int64_t kTokensMax = 1 << 24;
inline constexpr size_t kMessagesMax = 4096;

struct Generation {
  std::string model = {};
  std::variant<text::RenderInput, std::string, std::vector<int32_t>> prompt = {};
  engine::GenerateOptions options = {};
  std::optional<uint64_t> seed = {};  // absent: one is drawn, and named in the answer's header
  uint32_t n_choices = 1;
  int64_t context = 0;  // positions that prompt and answer may have; 0: the model's
  bool stream = false;
  ToolUse tools = {};
  std::optional<AnswerShape> shape = {};  // what it must look like; see prepare_message()
  std::optional<bool> thinking = {};  // whether the model shall reason first; absent: its own way
  int64_t thinking_tokens_max = 0;    // of its reasoning; 0: as much as there is room for
  std::optional<std::chrono::seconds> keep_alive = {};  // of its model, once it is answered
};

/// Gives a message's `content` as one string: a string, or an array of parts of type "text". Parts
/// of other types are kInvalidArgument by name. `path` is the content's, for the message.
Result<std::string> text_of_content(const base::OrderedJson& content, const std::string& path);
/// One of the parts; `path` is its own.
Result<std::string> text_of_part(const base::OrderedJson& part, const std::string& path);

class Service;

/// Who asks; outlives the request.
struct Asker {
  gate::Caller caller = {};
  std::string id = {};  // the request's
};
Asker asker_of(const Request& request);

struct ModelWish {
  std::string name = {};
  Api api = Api::kPlain;  // of the error, where the model is not to be had
  policy::Action action = policy::Action::kChat;
};
/// Calls `then` with the model, now or once it is loaded; or answers `reply` with the error.
void with_model(Service& service, const ModelWish& wish, const Asker& asker,
                const std::shared_ptr<Reply>& reply, std::function<void(gate::ModelUse)> then);

/// Asks `model` on behalf of `asker`, until the generation's own `cancel` or, where it has none,
/// for as long as `reply` is not gone; the sink is told everything, and the service's metrics are.
void generate(Service& service, const gate::ModelUse& model, Generation generation,
              const Asker& asker, const std::shared_ptr<Reply>& reply,
              std::shared_ptr<gate::AnswerSink> sink);

/// `fault`, or where it says no more than that the answer was cut: why `reply` is gone.
Error why_cut(const Reply& reply, Error fault);

/// The prompt's tokens, as generate() would run them. Errors: ServedModel::count_tokens()'s.
Result<int64_t> count_prompt(gate::ServedModel& model, Generation generation, const Asker& asker);

/// As generate() will draw with: fills in a seed where there is none, and names it in a header.
void settle_seed(Generation& generation, Headers& headers);

/// "data: {...}\n\n", with "event: name\n" before it where there is a name.
std::string sse_event(const base::OrderedJson& document, std::string_view name = {});

/// The events of one streamed answer; the response's head, with `headers`, goes with the first.
class EventStream {
 public:
  EventStream(std::shared_ptr<Reply> reply, Headers headers)
      : reply_(std::move(reply)), headers_(std::move(headers)) {}
  /// `event` as sse_event() makes it.
  void write(std::string event);
  [[nodiscard]] bool started() const { return started_; }

 private:
  std::shared_ptr<Reply> reply_;
  Headers headers_;
  bool started_ = false;
};

int64_t unix_seconds();

}  // namespace lantern::server
