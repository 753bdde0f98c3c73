// A change to a model (a LoRA adapter) that some of its sequences run with.
#pragma once

#include <memory>
#include <string>

#include "arch/model.h"
#include "base/hash.h"

namespace lantern::engine {

/// Immutable; made by Engine::load_adapter() and for that engine alone.
struct Adapter {
  std::string name = {};  // as it was admitted
  base::Digest id{};      // likewise
  double scale = 1.0;     // on top of the file's own
  /// Of id and scale: keys and values made under one key are used under no other.
  base::Digest key{};
  arch::Adapter weights;
};

/// For a step; null for null.
inline const arch::Adapter* weights_of(const Adapter* adapter) {
  return adapter == nullptr ? nullptr : &adapter->weights;
}

/// Null: the model as it is.
using AdapterPtr = std::shared_ptr<const Adapter>;

}  // namespace lantern::engine
