// The service: the models that answer, and the way of a request to its endpoint.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
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
#include "server/origin.h"

namespace lantern::server {

class Access;

class Service {
 public:
  /// `own`: for the Host check.
  Service(OwnNames own, std::unique_ptr<Access> access, std::unique_ptr<gate::ModelHost> host);
  ~Service();
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;

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
  [[nodiscard]] Access& access() { return *access_; }
  void set_own_names(OwnNames own) {
    const std::lock_guard lock(mutex_);
    own_ = std::make_shared<const OwnNames>(std::move(own));
  }
  /// Ends the service, as SIGTERM does.
  void stop() { stop_.request_stop(); }
  [[nodiscard]] std::stop_token stopped() const { return stop_.get_token(); }

 private:
  [[nodiscard]] std::shared_ptr<const OwnNames> own_names() const {
    const std::lock_guard lock(mutex_);
    return own_;
  }

  mutable std::mutex mutex_;
  std::shared_ptr<const OwnNames> own_;  // under the mutex
  const std::unique_ptr<Access> access_;
  Metrics metrics_;
  std::unique_ptr<gate::ModelPulls> pulls_ = std::make_unique<gate::ModelPulls>();
  std::unique_ptr<gate::ModelHost> host_;  // ends first: what its models still tell is counted
  std::atomic<bool> ready_ = true;
  std::mutex kept_mutex_;
  std::unique_ptr<gate::KeptResponses> kept_;  // under the mutex until it is there
  std::stop_source stop_;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
};

/// Whether `path` fits an endpoint's pattern; fills the names in braces.
/// HttpServer's FaultShape: as the clients of the target's API read it.
Response fault_response(std::string_view target, int status, const std::string& message);

bool match_path(std::string_view pattern, std::string_view path,
                std::map<std::string, std::string>& parameters);

}  // namespace lantern::server
