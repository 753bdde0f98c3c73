// A LoRA adapter as PEFT saves it: a folder with adapter_config.json and adapter_model.safetensors.
//
// Read here, understood by arch/lora_file.h: which of a model's matrices a tensor changes depends
// on the model's architecture.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "format/checkpoint.h"
#include "format/folder.h"

namespace lantern::format {

inline constexpr std::string_view kPeftConfigFile = "adapter_config.json";

/// Whether the folder has an adapter_config.json and no config.json, which would make it a model's.
bool is_peft_folder(const Folder& folder);

/// Tensors under their own names; folder() holds adapter_config.json as its `config`, is_adapter
/// and the digest. Errors: kNotFound without config or weights, kUnsupported with pickled weights
/// alone, kCorrupt and kTooLarge as the parts' readers say.
Result<std::unique_ptr<Checkpoint>> open_peft(const Folder& folder);

}  // namespace lantern::format
