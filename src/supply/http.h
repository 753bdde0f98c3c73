// HTTP for downloads, over libcurl: https (http only to this machine itself), redirects that never
// carry the token to another origin, retries with backoff for what passes.
//
// No part of a response is trusted: headers and bodies are bounded, addresses in them are checked
// before they are followed, and a file is judged by its digest alone.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "supply/network.h"
#include "supply/url.h"

namespace lantern::supply {

struct HttpOptions {
  int connect_timeout_s = 20;
  int stall_timeout_s = 60;  // without a byte
  int attempts_max = 5;      // in a row without a byte gained
  int backoff_ms = 500;      // before the second attempt; doubles each time
  int redirects_max = 10;
};

/// The end of a hop or of a whole exchange. Names of headers are in lower case.
struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers = {};
  std::string body = {};  // of get(); of a download only when it failed, at most 64 KiB
  Url url = {};           // where it came from in the end

  [[nodiscard]] std::string header(const std::string& name) const;
};

struct HttpRequest {
  Url url = {};
  std::string bearer_token = {};  // for url's own origin alone
  std::map<std::string, std::string> headers = {};
  /// The error for a status that is no success, where the service says more than HTTP does.
  std::function<std::optional<Error>(const HttpReply&)> explain = {};
};

class HttpClient {
 public:
  /// `notice` is told of retries; both it and `stop` may be empty.
  HttpClient(NetworkPermit permit, HttpOptions options, std::stop_token stop,
             std::function<void(std::string_view)> notice);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// The whole body of a 200; kTooLarge where it is larger than `body_bytes_max`.
  Result<HttpReply> get(const HttpRequest& request, uint64_t body_bytes_max);

  /// One attempt at one request, redirects followed, for downloads that count their own attempts.
  struct Exchange {
    /// Called once, before the first piece of a body that is not a redirect's.
    std::function<Status(const HttpReply&)> on_head = {};
    /// Pieces of the body, where on_head gave no error and the status was a success.
    std::function<Status(std::span<const std::byte>)> on_body = {};
  };
  struct Outcome {
    HttpReply reply = {};
    /// Set where the connection failed or broke off and another attempt may help.
    std::optional<Error> transient = {};
  };
  Result<Outcome> attempt(const HttpRequest& request, const Exchange& exchange);

  /// Waits before attempt number `attempt` (from 1: no wait before the first), or for as long as
  /// the reply's Retry-After asks, a minute at most. kCancelled.
  Status wait_before(int attempt, const HttpReply* last, const Error& why);

  [[nodiscard]] const HttpOptions& options() const { return options_; }
  [[nodiscard]] const std::stop_token& stop() const { return stop_; }

 private:
  struct Hop;
  Result<Outcome> one_hop(const HttpRequest& request, const Url& url, const Exchange& exchange);

  HttpOptions options_;
  std::stop_token stop_;
  std::function<void(std::string_view)> notice_;
  std::unique_ptr<void, void (*)(void*)> handle_;  // CURL*, kept for its open connections
};

/// The error that a reply's status means. Statuses that may pass (408, 425, 429, 5xx) are
/// transient.
bool is_transient_status(int status);
Error status_error(const HttpRequest& request, const HttpReply& reply);

}  // namespace lantern::supply
