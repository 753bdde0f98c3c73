#include "server/openapi.h"

#include <string>

#include "server/endpoint.h"

namespace lantern::server {
namespace {

using base::OrderedJson;

/// The statuses of an endpoint; each error has the shape of its API.
OrderedJson responses_of(const Endpoint& endpoint) {
  OrderedJson out;
  const auto add = [&](const char* status, std::string_view description) {
    out[status] = {{"description", description}};
  };
  const bool has_body = !endpoint.request_schema.empty();
  const bool names_something = has_body || endpoint.path.find('{') != std::string_view::npos;
  add("200", "done");
  add("400", "the request is not what is asked for; the field is named");
  if (endpoint.scope.kind != Scope::kPublic)
    add("401", "a key is needed, or the one that came is not good");
  add("403", "refused: by the policy, whose rule is named, or for a Host or Origin of elsewhere");
  if (names_something) add("404", "no such model, response or file");
  add("408", "the request took too long to arrive");
  add("413", "the body is too long");
  add("414", "the target is too long");
  if (endpoint.scope.kind != Scope::kPublic)
    add("429", "too many requests wait, or a budget is used up; see Retry-After");
  add("431", "the header is too long");
  add("500", "a fault of this service");
  add("503", "the service ends, or cannot record what it would do");
  return out;
}

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
  if (!endpoint.request_schema.empty()) {
    const auto schema = base::parse_ordered_json(endpoint.request_schema, endpoint.path);
    out["requestBody"] = {
        {"required", true},
        {"content",
         {{"application/json", {{"schema", schema.ok() ? *schema : OrderedJson::object()}}}}}};
  }
  out["responses"] = responses_of(endpoint);
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
