// One pool of threads for several who run kernels: they take turns, first come, first served, so
// that no loop starves another and no core has two kernels' threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/thread_pool.h"

namespace lantern::base {

class SharedPool {
 public:
  explicit SharedPool(int n_threads) : threads_(n_threads) {}

  /// For whoever has the turn, or is alone.
  [[nodiscard]] ThreadPool& threads() { return threads_; }

  /// The turn, given back when it is destroyed.
  class Turn {
   public:
    ~Turn() {
      const std::lock_guard lock(pool_.mutex_);
      ++pool_.serving_;
      pool_.changed_.notify_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    friend class SharedPool;
    explicit Turn(SharedPool& pool) : pool_(pool) {}
    SharedPool& pool_;
  };
  /// Waits for those who came before. A thread that has the turn must not ask for another.
  [[nodiscard]] Turn take_turn() {
    std::unique_lock lock(mutex_);
    const uint64_t ticket = next_++;
    changed_.wait(lock, [&] { return serving_ == ticket; });
    return Turn(*this);
  }

 private:
  ThreadPool threads_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t next_ = 0, serving_ = 0;  // tickets; under the mutex
};

}  // namespace lantern::base
