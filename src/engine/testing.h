// For tests of this room: models that no gate admitted.
#pragma once

#include <filesystem>
#include <memory>

#include "engine/engine.h"
#include "engine/tiny_model.h"
#include "format/gguf.h"
#include "format/testing.h"

namespace lantern::engine {

inline Result<std::shared_ptr<const format::Checkpoint>> open_for_test(
    const std::filesystem::path& path) {
  LANTERN_ASSIGN(auto checkpoint, format::open_gguf(path));
  return std::shared_ptr<const format::Checkpoint>(std::move(checkpoint));
}

inline Result<Engine> load_for_test(const std::filesystem::path& path, EngineOptions options = {}) {
  LANTERN_ASSIGN(auto checkpoint, open_for_test(path));
  return Engine::load(format::admit_for_test(std::move(checkpoint)), std::move(options));
}

}  // namespace lantern::engine
