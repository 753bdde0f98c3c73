// The service: which models answer, and the way of a request to its endpoint.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/served_model.h"
#include "server/endpoint.h"
#include "server/http.h"
#include "server/metrics.h"

namespace lantern::server {

using Models = std::vector<std::shared_ptr<gate::ServedModel>>;

class Service {
 public:
  /// `listened`: the address that is listened on, for the Host check.
  explicit Service(std::string listened) : listened_(std::move(listened)) {}

  /// Before the first request.
  void add(std::shared_ptr<gate::ServedModel> model) { models_.push_back(std::move(model)); }

  /// After the last request: ends what the models still run. The replies' server must live.
  void end() { models_.clear(); }

  /// HttpServer's handler.
  void handle(Request request, const std::shared_ptr<Reply>& reply);

  // For endpoints; safe from any thread.
  [[nodiscard]] const Models& models() const { return models_; }
  /// By the name that it was loaded under, with or without ":latest". kNotFound names those here.
  [[nodiscard]] Result<std::shared_ptr<gate::ServedModel>> find(std::string_view name) const;
  [[nodiscard]] std::chrono::system_clock::time_point started() const { return started_; }
  [[nodiscard]] Metrics& metrics() { return metrics_; }
  /// False from the moment on which it takes no more.
  [[nodiscard]] bool ready() const { return ready_.load(); }
  void set_ready(bool ready) { ready_.store(ready); }

 private:
  const std::string listened_;
  Metrics metrics_;
  Models models_;  // end first: what they still tell is counted
  std::atomic<bool> ready_ = true;
  const std::chrono::system_clock::time_point started_ = std::chrono::system_clock::now();
};

/// Whether `path` fits an endpoint's pattern; fills the names in braces.
bool match_path(std::string_view pattern, std::string_view path,
                std::map<std::string, std::string>& parameters);

}  // namespace lantern::server
