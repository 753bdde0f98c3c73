// Which files of a repository, a wheel or a folder make up a model: exactly those that the engine
// may read, for the model's id is made of them and nothing else is kept.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "supply/manifest.h"

namespace lantern::supply {

struct Selection {
  ModelKind kind = ModelKind::kGguf;
  std::vector<std::string> names = {};  // sorted; a split GGUF's parts in order
};

/// Chooses among `names`, paths inside `where` (for messages).
///
/// `wanted` names a file, or the quantization of one ("Q4_K_M", any case); the part of a split GGUF
/// stands for the whole set. Without it: a folder with config.json and *.safetensors is taken as
/// such, one with adapter_config.json and adapter_model.safetensors as an adapter; else the only
/// GGUF model; else, of several, the one in Q4_K_M. Vision projectors and
/// importance matrices are not models. kNotFound and kInvalidArgument list the choices.
Result<Selection> select_files(std::span<const std::string> names, std::string_view wanted,
                               std::string_view where);

struct SplitName {
  std::string prefix = {};  // "model" of model-00001-of-00003.gguf
  uint32_t part = 0, n_parts = 0;
};
std::optional<SplitName> parse_split_name(std::string_view name);

/// "SmolLM2-135M-Instruct.Q4_1" of its GGUF file's path: without folder, suffix and split number.
std::string model_stem(std::string_view name);

}  // namespace lantern::supply
