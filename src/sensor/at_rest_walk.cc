#include "sensor/at_rest_walk.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <condition_variable>
#include <utility>

#include "base/thread.h"
#include "sensor/disk_walk.h"

namespace lantern::sensor {
namespace {

/// For this thread and the readers it starts.
void take_what_nobody_wants() {
  constexpr int kLowest = 19;
  // linux/ioprio.h: IOPRIO_WHO_PROCESS, this thread; class "idle".
  constexpr int kWho = 1, kIdle = 3 << 13;
  (void)::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), kLowest);
  ::syscall(SYS_ioprio_set, kWho, 0, kIdle);
}

}  // namespace

AtRestWalk::AtRestWalk(HostMaker make_host, AtRestOptions options, std::vector<RuntimeRule> rules)
    : make_host_(std::move(make_host)), options_(std::move(options)), rules_(std::move(rules)) {
  options_.parser.cache = &cache_;
}

Result<std::unique_ptr<AtRestWalk>> AtRestWalk::start(HostMaker make_host, AtRestOptions options) {
  LANTERN_ASSIGN(std::vector<RuntimeRule> rules, read_runtime_rules());
  std::unique_ptr<AtRestWalk> walk(
      new AtRestWalk(std::move(make_host), std::move(options), std::move(rules)));
  LANTERN_ASSIGN(walk->thread_, base::start_thread("look for models at rest",
                                                   [raw = walk.get()](const std::stop_token& stop) {
                                                     raw->run(stop);
                                                   }));
  return walk;
}

/// A folder that is not there (a disk that is away) keeps nothing of the others unseen.
AtRest AtRestWalk::walk(Host& host) {
  AtRest found;
  DiskOptions options{.parser = options_.parser};
  for (const std::string& path : options_.disk) {
    const auto folder = host.list(path);
    const auto file = folder.ok() ? Result<OpenedFile>(OpenedFile()) : host.open_file(path);
    if (file.ok())
      options.paths.push_back(path);
    else
      found.left_out.push_back(file.error().message);
  }
  auto weights = find_at_rest(host, rules_, options);
  if (weights.ok())
    found.weights = std::move(*weights);
  else
    found.left_out.push_back(weights.error().message);
  return found;
}

void AtRestWalk::run(const std::stop_token& stop) {
  take_what_nobody_wants();
  const auto host = make_host_(stop);
  std::mutex mutex;
  std::condition_variable_any wake;
  while (!stop.stop_requested()) {
    AtRest found =
        host.ok() ? walk(**host) : AtRest{.weights = {}, .left_out = {host.error().message}};
    if (stop.stop_requested()) return;
    {
      const std::lock_guard lock(mutex_);
      found_ = std::move(found);
    }
    if (options_.done) options_.done();
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, options_.interval, [] { return false; });
  }
}

std::optional<AtRest> AtRestWalk::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(found_, std::nullopt);
}

}  // namespace lantern::sensor
