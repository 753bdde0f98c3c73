// An endpoint of the service: one file server/endpoints/<name>.cc, which defines
// `extern const Endpoint k_<name>`. The build collects them (registry.cmake).
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "server/http.h"

namespace lantern::server {

class Service;

/// What a caller must be allowed to. No default: an endpoint that does not say it does not compile.
struct Scope {
  enum Kind {
    kPublic,   // nothing about models or people
    kModels,   // which models there are
    kAnswers,  // use of a model; the gate asks the policy for each request
    kMetrics,
    kAdmin,  // what the service does: its own account and root, on its socket alone
  };
  constexpr Scope(Kind is) : kind(is) {}  // NOLINT: implicit; and no default
  Kind kind;
};

/// What the audit log hears of a request; no default, either.
struct AuditClass {
  enum Kind {
    kNone,     // nothing was decided or told about a model's content
    kRefusal,  // refusals
    kAnswer,   // refusals, and each answer before its end is told
  };
  constexpr AuditClass(Kind is) : kind(is) {}  // NOLINT: implicit; and no default
  Kind kind;
};

/// Whose clients call it: the shape of its errors.
enum class Api { kPlain, kOpenAi, kAnthropic, kOllama };

struct Endpoint {
  std::string_view method;
  std::string_view path;  // "/v1/models/{model}": a name in braces stands for one part
  Scope scope;
  AuditClass audit;
  Api api = Api::kPlain;
  std::string_view summary;
  std::string_view request_schema = {};  // JSON schema of the body; empty: there is none
  /// On a worker thread. Answers `reply`, now or later.
  void (*handle)(Service& service, const Request& request, const std::shared_ptr<Reply>& reply);
};

std::span<const Endpoint* const> all_endpoints();

/// An error as `api`'s clients read it; the status follows from its code. `code`: what OpenAI's say
/// besides, where that does not follow from the status.
Response error_response(Api api, const Error& error, std::string_view code = {});
/// Of a request for a model: what is missing then is the model.
Response model_error_response(Api api, const Error& error);
/// The error's document alone, for an answer that has begun.
base::OrderedJson error_document(Api api, const Error& error);
/// Where another status says more than the error's code.
base::OrderedJson error_document(Api api, const Error& error, int status);
int status_of(const Error& error);

}  // namespace lantern::server
