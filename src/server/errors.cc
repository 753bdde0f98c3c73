// Errors as each API's clients read them.
#include <algorithm>

#include "gate/api_keys.h"
#include "gate/limits.h"
#include "server/endpoint.h"
#include "server/fields.h"

namespace lantern::server {
namespace {

std::string_view openai_type(int status) {
  switch (status) {
    case 403:
      return "permission_error";
    case 429:
      return "rate_limit_error";
    default:
      return status < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string_view openai_code(int status) {
  switch (status) {
    case 401:
      return "invalid_api_key";
    case 403:
      return "denied_by_policy";
    case 429:
      return "queue_full";
    default:
      return {};
  }
}

std::string_view anthropic_type(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 408:
      return "timeout_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case 503:
      return "overloaded_error";
    default:
      return status < 500 ? "invalid_request_error" : "api_error";
  }
}

/// A denial that time lifts.
bool is_budget_used(const Error& error) {
  return error.code == ErrorCode::kDenied && gate::retry_after_seconds(error) > 0;
}

base::OrderedJson or_null(std::string_view text) {
  return text.empty() ? base::OrderedJson() : base::OrderedJson(text);
}

}  // namespace

int status_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kUnsupported:
    case ErrorCode::kCorrupt:
    case ErrorCode::kTooLarge:
      return 400;
    case ErrorCode::kDenied:
      if (gate::ApiKeys::is_refusal(error)) return 401;
      return is_budget_used(error) ? 429 : 403;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kExhausted:
      return 429;
    case ErrorCode::kCancelled:
    case ErrorCode::kIo:
      return 503;
    case ErrorCode::kInternal:
      return 500;
  }
  return 500;
}

base::OrderedJson error_document(Api api, const Error& error) {
  return error_document(api, error, status_of(error));
}

Response model_error_response(Api api, const Error& error) {
  const bool is_missing = error.code == ErrorCode::kNotFound;
  return error_response(api, error, is_missing ? "model_not_found" : std::string_view());
}

base::OrderedJson error_document(Api api, const Error& error, int status) {
  switch (api) {
    case Api::kOpenAi:
      return {{"error",
               {{"message", error.message},
                {"type", openai_type(status)},
                {"param", or_null(status == 400 ? field_of(error.message) : std::string())},
                {"code",
                 or_null(is_budget_used(error) ? "rate_limit_exceeded" : openai_code(status))}}}};
    case Api::kAnthropic:
      return {{"type", "error"},
              {"error", {{"type", anthropic_type(status)}, {"message", error.message}}}};
    case Api::kOllama:
    case Api::kPlain:
      break;
  }
  return {{"error", error.message}};
}

Response error_response(Api api, const Error& error, std::string_view code) {
  base::OrderedJson document = error_document(api, error);
  if (api == Api::kOpenAi && !code.empty()) document["error"]["code"] = code;
  Response response = json_response(status_of(error), document);
  if (response.status == 429)
    response.headers.add("Retry-After",
                         std::to_string(std::max<int64_t>(1, gate::retry_after_seconds(error))));
  return response;
}

}  // namespace lantern::server
