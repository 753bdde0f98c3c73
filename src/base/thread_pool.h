// A fork-join pool for kernels. The calling thread is thread 0; workers spin
// briefly between regions, because decoding opens thousands of them a second,
// then sleep.
//
// Results never depend on how work is split (invariant 3): a region divides
// rows, heads, tokens or attention blocks, never a sum.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace lantern::base {

class ThreadPool {
 public:
  /// `n_threads` >= 1, the caller included; fewer where the system gives no more (a limit of
  /// processes or of memory). Every thread, the caller while inside a region
  /// too, runs with round-to-nearest and denormals kept (MXCSR 0x1f80).
  explicit ThreadPool(int n_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  [[nodiscard]] int n_threads() const { return n_threads_; }

  /// Calls f(thread) once on every thread, thread in [0, n_threads()), and returns when all
  /// have returned. Not reentrant; one caller at a time. f must not throw.
  template <typename F>
  void run(F&& f) {
    run_erased([](void* context,
                  int thread) { (*static_cast<std::remove_reference_t<F>*>(context))(thread); },
               const_cast<void*>(static_cast<const void*>(&f)));
  }

  /// Calls f(begin, end) on pieces of [0, n) of `grain` items (the last may be shorter),
  /// handed out as threads become free.
  template <typename F>
  void parallel_for(int64_t n, int64_t grain, F&& f) {
    if (n <= 0) return;
    if (n <= grain || n_threads_ == 1) {
      run_alone([&] { f(int64_t{0}, n); });
      return;
    }
    std::atomic<int64_t> next{0};
    run([&](int) {
      for (;;) {
        int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= n) return;
        int64_t end = begin + grain < n ? begin + grain : n;
        f(begin, end);
      }
    });
  }

 private:
  struct State;
  void run_erased(void (*f)(void*, int), void* context);
  template <typename F>
  void run_alone(F&& f) {
    unsigned saved = enter_arithmetic();
    f();
    leave_arithmetic(saved);
  }
  static unsigned enter_arithmetic();
  static void leave_arithmetic(unsigned saved);

  int n_threads_;
  std::unique_ptr<State> state_;
};

/// Physical cores that affinity and the cgroup's CPU quota allow; at least 1.
int usable_physical_cores();

}  // namespace lantern::base
