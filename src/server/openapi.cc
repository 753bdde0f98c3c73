#include "server/openapi.h"

#include <string>

#include "server/endpoint.h"

namespace lantern::server {
namespace {

using base::OrderedJson;

OrderedJson operation_of(const Endpoint& endpoint) {
  OrderedJson out = {{"summary", endpoint.summary}};
  OrderedJson parameters = OrderedJson::array();
  std::string_view rest = endpoint.path;
  for (size_t begin = rest.find('{'); begin != std::string_view::npos; begin = rest.find('{')) {
    const size_t end = rest.find('}', begin);
    parameters.push_back({{"name", rest.substr(begin + 1, end - begin - 1)},
                          {"in", "path"},
                          {"required", true},
                          {"schema", {{"type", "string"}}}});
    rest.remove_prefix(end);
  }
  if (!parameters.empty()) out["parameters"] = std::move(parameters);
  OrderedJson responses = {{"200", {{"description", "done"}}}};
  if (!endpoint.request_schema.empty()) {
    const auto schema = base::parse_ordered_json(endpoint.request_schema, endpoint.path);
    out["requestBody"] = {
        {"required", true},
        {"content",
         {{"application/json", {{"schema", schema.ok() ? *schema : OrderedJson::object()}}}}}};
    responses["400"] = {{"description", "the body is not what is asked for; the field is named"}};
  }
  if (endpoint.scope.kind == Scope::kAnswers) {
    responses["403"] = {{"description", "refused by the policy; the rule is named"}};
    responses["429"] = {{"description", "the queue is full; see Retry-After"}};
  }
  if (endpoint.scope.kind != Scope::kPublic)
    responses["401"] = {{"description", "a key is needed, or the one that came is not good"}};
  responses["default"] = {{"description", "an error, in the shape of the API"}};
  out["responses"] = std::move(responses);
  return out;
}

}  // namespace

OrderedJson openapi_document() {
  OrderedJson paths = OrderedJson::object();
  for (const Endpoint* endpoint : all_endpoints()) {
    std::string method(endpoint->method);
    for (char& c : method) c = static_cast<char>(c | 0x20);
    paths[std::string(endpoint->path)][method] = operation_of(*endpoint);
  }
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "Lantern"}, {"version", LANTERN_VERSION}}},
          {"components",
           {{"securitySchemes",
             {{"bearer", {{"type", "http"}, {"scheme", "bearer"}}},
              {"x-api-key", {{"type", "apiKey"}, {"in", "header"}, {"name", "x-api-key"}}}}}}},
          // Any of them, or on loopback none.
          {"security", OrderedJson::array({{{"bearer", OrderedJson::array()}},
                                           {{"x-api-key", OrderedJson::array()}},
                                           OrderedJson::object()})},
          {"paths", std::move(paths)}};
}

}  // namespace lantern::server
