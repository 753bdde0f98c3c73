// The service: the models that answer, and the way of a request to its endpoint.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/kept_responses.h"
#include "gate/model_host.h"
#include "gate/model_pulls.h"
#include "server/endpoint.h"
#include "server/http.h"
#include "server/metrics.h"

namespace lantern::server {

class Service {
 public:
  /// `listened`: the address that is listened on, for the Host check.
  Service(std::string listened, std::unique_ptr<gate::ModelHost> host)
      : listened_(std::move(listened)), host_(std::move(host)) {}

  /// After the last request: ends what the models still run. The replies' server must live.
  void end() {
    pulls_.reset();
    host_.reset();
  }

  /// HttpServer's handler.
  void handle(Request request, const std::shared_ptr<Reply>& reply);

  // For endpoints; safe from any thread.
  [[nodiscard]] gate::ModelHost& host() { return *host_; }
  [[nodiscard]] gate::ModelPulls& pulls() { return *pulls_; }
  [[nodiscard]] std::chrono::system_clock::time_point started() const { return started_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  /// Opened with the first request that asks for it. Errors: KeptResponses::open()'s.
  [[nodiscard]] Result<gate::KeptResponses*> kept_responses();
  /// False from the moment on which it takes no more.
  [[nodiscard]] bool ready() const { return ready_.load(); }
  void set_ready(bool ready) { ready_.store(ready); }

 private:
  const std::string listened_;
  Metrics metrics_;
  std::unique_ptr<gate::ModelPulls> pulls_ = std::make_unique<gate::ModelPulls>();
  std::unique_ptr<gate::ModelHost> host_;  // ends first: what its models still tell is counted
  std::atomic<bool> ready_ = true;
  std::mutex kept_mutex_;
  std::unique_ptr<gate::KeptResponses> kept_;  // under the mutex until it is there
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
};

/// Whether `path` fits an endpoint's pattern; fills the names in braces.
bool match_path(std::string_view pattern, std::string_view path,
                std::map<std::string, std::string>& parameters);

}  // namespace lantern::server
