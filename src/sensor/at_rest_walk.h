// Looks for weights at rest now and then, on a thread of its own at the lowest priority, so that a
// walk of a large disk delays no look at processes and takes nothing that others want.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "sensor/assess.h"
#include "sensor/host.h"
#include "sensor/look_cache.h"

namespace lantern::sensor {

struct AtRestOptions {
  std::chrono::seconds interval{600};  // from one walk's end to the next
  std::vector<std::string> disk = {};  // besides the model stores
  ParserOptions parser = {};
  std::function<void()> done = {};  // called by the thread after each walk
};

struct AtRest {
  std::optional<std::vector<FoundWeights>> weights = {};  // by path; absent: nothing was walked
  std::vector<std::string> left_out = {};  // what could not be looked at, a line each
};

class AtRestWalk {
 public:
  /// Gives a host that lists nothing any more once it shall stop.
  using HostMaker = std::function<Result<std::unique_ptr<Host>>(std::stop_token)>;
  /// kExhausted where no thread is to be had, kCorrupt for broken rules.
  static Result<std::unique_ptr<AtRestWalk>> start(HostMaker make_host, AtRestOptions options);
  /// What the last walk found; nothing where that was taken already.
  std::optional<AtRest> take();

 private:
  AtRestWalk(HostMaker make_host, AtRestOptions options, std::vector<RuntimeRule> rules);
  AtRest walk(Host& host);
  void run(const std::stop_token& stop);

  HostMaker make_host_;
  AtRestOptions options_;
  std::vector<RuntimeRule> rules_;
  LookCache cache_;
  std::mutex mutex_;
  std::optional<AtRest> found_;
  std::jthread thread_;  // last: ends before what it uses
};

}  // namespace lantern::sensor
