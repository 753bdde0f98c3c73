// Requests of the service from bytes, without sockets: the first byte says which API reads the
// rest. What is checked besides memory: a fault is one line, and its document is JSON.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "server/anthropic/messages.h"
#include "server/embedding.h"
#include "server/endpoint.h"
#include "server/ollama/request.h"
#include "server/openai/request.h"
#include "server/openai/responses.h"
#include "server/origin.h"

namespace {

using namespace lantern;
using server::Api;

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
void check(Api api, const Result<T>& parsed) {
  if (parsed.ok()) return;
  require(parsed.error().message.find('\n') == std::string::npos);
  const server::Response response = server::error_response(api, parsed.error());
  require(response.status >= 400 && response.status < 500);
  require(base::parse_json(response.body, "answer").ok());
}

void check_head(std::string_view text) {
  const size_t line = text.find('\n');
  const std::string_view target = text.substr(0, line);
  if (const auto path = server::path_of_target(target); path.ok())
    require(path->front() == '/' && path->find('\0') == std::string::npos);
  if (line == std::string_view::npos) return;
  const std::string_view rest = text.substr(line + 1);
  const size_t second = rest.find('\n');
  server::Headers headers = {{"Host", std::string(rest.substr(0, second))}};
  if (second != std::string_view::npos) headers.add("Origin", std::string(rest.substr(second + 1)));
  const Status allowed = server::check_origin(headers, {.listened = "127.0.0.1"});
  if (!allowed.ok()) require(allowed.error().message.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c':
      check(Api::kOpenAi, server::openai::parse_chat(body));
      break;
    case 't':
      check(Api::kOpenAi, server::openai::parse_completion(body));
      break;
    case 'o':
      check(Api::kOllama, server::ollama::parse_chat(body));
      break;
    case 'g':
      check(Api::kOllama, server::ollama::parse_generate(body));
      break;
    case 's':
      check(Api::kOllama, server::ollama::parse_show(body));
      break;
    case 'e':
      check(Api::kOpenAi, server::parse_openai_embeddings(body));
      break;
    case 'm':
      check(Api::kOllama, server::parse_ollama_embed(body));
      break;
    case 'M':
      check(Api::kOllama, server::parse_ollama_embeddings(body));
      break;
    case 'r':
      check(Api::kOpenAi, server::openai::parse_responses(body));
      break;
    case 'k':
      if (const auto kept = server::openai::parse_kept(body); !kept.ok())
        require(kept.error().message.find('\n') == std::string::npos);
      break;
    case 'a':
      check(Api::kAnthropic,
            server::anthropic::parse_messages(body, server::anthropic::Purpose::kAnswer));
      break;
    case 'n':
      check(Api::kAnthropic,
            server::anthropic::parse_messages(body, server::anthropic::Purpose::kCount));
      break;
    default:
      check_head(body);
  }
  return 0;
}
