#include "supply/parallel.h"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <vector>

#include "base/thread_pool.h"
#include "supply/staging.h"

namespace lantern::supply {

Status for_each_file(std::span<const uint64_t> bytes, const std::stop_token& stop,
                     const std::function<Status(size_t, const std::stop_token&)>& work) {
  if (bytes.size() == 1) return work(0, stop);
  std::vector<size_t> order(bytes.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return bytes[a] > bytes[b]; });
  std::stop_source all;
  const std::stop_callback asked(stop, [&] { all.request_stop(); });
  std::mutex mutex;
  Status first;
  const auto n = static_cast<int64_t>(bytes.size());
  base::ThreadPool pool(static_cast<int>(std::clamp<int64_t>(n, 1, base::usable_physical_cores())));
  pool.parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end && !all.stop_requested(); ++i) {
      Status done = work(order[static_cast<size_t>(i)], all.get_token());
      if (done.ok()) continue;
      const std::lock_guard lock(mutex);
      if (first.ok()) first = std::move(done);
      all.request_stop();
    }
  });
  if (first.ok()) return check_stop(stop);
  return first;
}

}  // namespace lantern::supply
