// What every API for embeddings comes down to, and its way through the gate.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/served_model.h"
#include "server/endpoint.h"
#include "server/fields.h"
#include "server/http.h"

namespace lantern::server {

class Service;

/// Texts of one request, as OpenAI's API bounds them.
inline constexpr size_t kTextsMax = 2048;

struct Embedding {
  std::string model = {};
  std::vector<TextOrIds> inputs = {};
  int64_t dimensions = 0;  // 0: all of the model's
  bool truncate = false;
  bool base64 = false;  // OpenAI's encoding_format
};

/// The bodies of POST /v1/embeddings, /api/embed and /api/embeddings. kInvalidArgument names the
/// field.
Result<Embedding> parse_openai_embeddings(std::string_view body);
Result<Embedding> parse_ollama_embed(std::string_view body);
Result<Embedding> parse_ollama_embeddings(std::string_view body);

/// Asks the model; `answer` makes the response's body of what came. Errors are answered in `api`'s
/// shape, and where the model was not made for embeddings a Warning header says so.
void embed(
    Service& service, const Request& request, const std::shared_ptr<Reply>& reply, Api api,
    Embedding embedding,
    std::function<std::string(const gate::ServedModel& model, const engine::EmbedResult& result)>
        answer);

/// "[0.25,-0.5]": each number the shortest that reads back as itself.
void append_numbers(const std::vector<float>& vector, std::string& out);
/// The numbers' bytes, little-endian, as base64.
std::string base64_of(const std::vector<float>& vector);
/// `text` as a JSON string.
std::string json_string(std::string_view text);

}  // namespace lantern::server
