// AdmittedModel: the only key to a model's weights (invariant 1).
//
// Only gate::Admission makes one, after the gate's checks. It is declared here, below the
// engine, because the readers of tensor data live in this room and must ask for it.
#pragma once

#include <memory>
#include <string>

#include "base/hash.h"

namespace lantern::gate {
class Admission;
}

namespace lantern::format {

class Checkpoint;

/// Movable, not forgeable: holds the opened checkpoint and what the gate found out about it.
class AdmittedModel {
 public:
  AdmittedModel(AdmittedModel&&) noexcept = default;
  AdmittedModel& operator=(AdmittedModel&&) noexcept = default;

  [[nodiscard]] const Checkpoint& checkpoint() const { return *checkpoint_; }
  /// The composition's id (specs: SHA-256 over its files), or a single file's own digest.
  [[nodiscard]] const base::Digest& id() const { return id_; }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  friend class lantern::gate::Admission;
  AdmittedModel(std::shared_ptr<const Checkpoint> checkpoint, base::Digest id, std::string name)
      : checkpoint_(std::move(checkpoint)), id_(id), name_(std::move(name)) {}

  std::shared_ptr<const Checkpoint> checkpoint_;
  base::Digest id_;
  std::string name_;
};

}  // namespace lantern::format
