// A model of the running service, for `run` and `chat` of a managed machine's users: their own
// account may not touch its files, but may ask it over the socket, where the policy decides.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "cli/flags.h"
#include "server/socket_client.h"

namespace lantern::cli {

/// Takes the server-sent events of a streamed OpenAI answer as its bytes come.
class AnswerEvents {
 public:
  /// The text that became whole. Errors: what the service says went wrong; kCorrupt.
  Result<std::string> take(std::string_view bytes);
  [[nodiscard]] const std::string& finish() const { return finish_; }  // "stop", "length", ...

 private:
  Result<std::string> text_of(std::string_view line);
  std::string waiting_;
  std::string finish_;
};

class RemoteModel {
 public:
  /// kInvalidArgument for options that are the service's to choose.
  static Result<RemoteModel> open(const EngineFlags& flags);

  struct Said {
    std::string text = {};
    std::string finish = {};  // "cancelled" where `stop` was requested
  };
  using OnText = std::function<Status(std::string_view)>;
  /// Errors: SocketClient::ask()'s, and the service's refusal with its rule.
  [[nodiscard]] Result<Said> chat(const base::OrderedJson& messages, const SamplingFlags& sampling,
                                  const OnText& on_text, const std::stop_token& stop) const;
  [[nodiscard]] Result<Said> complete(std::string_view prompt, const SamplingFlags& sampling,
                                      const OnText& on_text, const std::stop_token& stop) const;

  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  RemoteModel(server::SocketClient client, std::string name)
      : client_(std::move(client)), name_(std::move(name)) {}
  [[nodiscard]] Result<Said> ask(const char* target, base::OrderedJson body,
                                 const SamplingFlags& sampling, const OnText& on_text,
                                 const std::stop_token& stop) const;

  server::SocketClient client_;
  std::string name_;
};

}  // namespace lantern::cli
