#include "base/thread_pool.h"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/check.h"

namespace lantern::base {
namespace {

// About 50 us: longer than the gaps between the kernels of a decode step, shorter
// than anything a person would notice as a busy idle process.
constexpr int kSpins = 4000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

}  // namespace

struct ThreadPool::State {
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake;
  std::atomic<uint64_t> generation{0};
  std::atomic<int> running{0};
  std::atomic<bool> stop{false};
  void (*f)(void*, int) = nullptr;
  void* context = nullptr;

  void work(int thread) {
    enter_arithmetic();
    uint64_t seen = 0;
    for (;;) {
      int spins = 0;
      while (generation.load(std::memory_order_acquire) == seen) {
        if (++spins < kSpins) {
          pause();
          continue;
        }
        std::unique_lock lock(mutex);
        wake.wait(lock, [&] { return generation.load(std::memory_order_acquire) != seen; });
      }
      seen = generation.load(std::memory_order_acquire);
      if (stop.load(std::memory_order_relaxed)) return;
      f(context, thread);
      running.fetch_sub(1, std::memory_order_release);
    }
  }
};

ThreadPool::ThreadPool(int n_threads) : n_threads_(n_threads), state_(std::make_unique<State>()) {
  LANTERN_CHECK(n_threads >= 1);
  try {
    for (int i = 1; i < n_threads; ++i)
      state_->workers.emplace_back([state = state_.get(), i] { state->work(i); });
  } catch (const std::system_error&) {
    n_threads_ = 1 + static_cast<int>(state_->workers.size());
  }
}

ThreadPool::~ThreadPool() {
  state_->stop.store(true, std::memory_order_relaxed);
  {
    std::lock_guard lock(state_->mutex);
    state_->generation.fetch_add(1, std::memory_order_release);
  }
  state_->wake.notify_all();
  for (auto& worker : state_->workers) worker.join();
}

void ThreadPool::run_erased(void (*f)(void*, int), void* context) {
  unsigned saved = enter_arithmetic();
  if (n_threads_ > 1) {
    state_->f = f;
    state_->context = context;
    state_->running.store(n_threads_ - 1, std::memory_order_relaxed);
    {
      std::lock_guard lock(state_->mutex);
      state_->generation.fetch_add(1, std::memory_order_release);
    }
    state_->wake.notify_all();
  }
  f(context, 0);
  int spins = 0;
  while (n_threads_ > 1 && state_->running.load(std::memory_order_acquire) != 0) {
    if (++spins < 16 * kSpins) {
      pause();
    } else {
      std::this_thread::yield();
    }
  }
  leave_arithmetic(saved);
}

unsigned ThreadPool::enter_arithmetic() {
#if defined(__x86_64__)
  unsigned saved = _mm_getcsr();
  _mm_setcsr(0x1f80);
  return saved;
#else
  return 0;
#endif
}

void ThreadPool::leave_arithmetic(unsigned saved) {
#if defined(__x86_64__)
  // The flags that the region raised are dropped; nobody here reads them.
  _mm_setcsr(saved);
#else
  (void)saved;
#endif
}

int usable_physical_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<int> cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &set)) cpus.push_back(i);
  if (cpus.empty()) return 1;

  // Hyper-threads of one core share its multipliers: count cores, not threads.
  std::set<std::pair<std::string, std::string>> cores;
  for (int cpu : cpus) {
    std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    std::string package, core;
    std::ifstream(folder + "physical_package_id") >> package;
    std::ifstream(folder + "core_id") >> core;
    if (core.empty()) core = "cpu" + std::to_string(cpu);
    cores.emplace(package, core);
  }
  int n = static_cast<int>(cores.size());

  // cgroup v2: "max 100000" or "150000 100000" (microseconds a period), at every level
  // above this process.
  std::string line, group;
  std::ifstream membership("/proc/self/cgroup");
  while (std::getline(membership, line))
    if (line.rfind("0::", 0) == 0) group = line.substr(3);
  for (;;) {
    std::ifstream file("/sys/fs/cgroup" + group + "/cpu.max");
    std::string quota;
    double period = 0;
    if (file >> quota >> period && quota != "max" && period > 0) {
      double allowed = std::stod(quota) / period;
      n = std::min(n, std::max(1, static_cast<int>(allowed)));
    }
    if (group.empty()) break;
    auto slash = group.rfind('/');
    group = slash == std::string::npos || group == "/" ? "" : group.substr(0, slash);
  }
  return n;
}

}  // namespace lantern::base
