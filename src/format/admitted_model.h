// AdmittedModel: the only key to a model's weights (invariant 1).
//
// Only gate::Admission makes one, after the gate's checks. It is declared here, below the
// engine, because the readers of tensor data live in this room and must ask for it.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::gate {
class Admission;
}

namespace lantern::format {

class Checkpoint;

/// Whether what was admitted may still run. The gate withdraws it, whoever runs the model asks
/// before every step. Thread-safe.
class Standing {
 public:
  /// kDenied, with the reason, once it was withdrawn.
  [[nodiscard]] Status check() const {
    if (!withdrawn_.load(std::memory_order_acquire)) return {};
    return Error{ErrorCode::kDenied, reason_};
  }
  /// For good; the first reason stays.
  void withdraw(std::string reason) {
    const std::lock_guard lock(mutex_);
    if (withdrawn_.load(std::memory_order_relaxed)) return;
    reason_ = std::move(reason);
    withdrawn_.store(true, std::memory_order_release);
  }

 private:
  std::atomic<bool> withdrawn_ = false;
  std::mutex mutex_;
  std::string reason_;  // written once, before withdrawn_
};

/// Movable, not forgeable: holds the opened checkpoint and what the gate found out about it.
class AdmittedModel {
 public:
  AdmittedModel(AdmittedModel&&) noexcept = default;
  AdmittedModel& operator=(AdmittedModel&&) noexcept = default;

  [[nodiscard]] const Checkpoint& checkpoint() const { return *checkpoint_; }
  /// The composition's id (specs: SHA-256 over its files), or a single file's own digest.
  [[nodiscard]] const base::Digest& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }
  /// Lives as long as somebody holds it; watching ends with the last holder.
  [[nodiscard]] const std::shared_ptr<const Standing>& standing() const { return standing_; }

 private:
  friend class lantern::gate::Admission;
  AdmittedModel(std::shared_ptr<const Checkpoint> checkpoint, base::Digest id, std::string name,
                std::shared_ptr<const Standing> standing)
      : checkpoint_(std::move(checkpoint)),
        id_(id),
        name_(std::move(name)),
        standing_(std::move(standing)) {}

  std::shared_ptr<const Checkpoint> checkpoint_;
  base::Digest id_;
  std::string name_;
  std::shared_ptr<const Standing> standing_;
};

}  // namespace lantern::format
