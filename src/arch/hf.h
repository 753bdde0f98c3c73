// A Hugging Face folder as a checkpoint in GGUF's terms: what `lantern convert` writes and what
// Model::load() reads.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "arch/spec.h"
#include "base/result.h"
#include "format/checkpoint.h"
#include "format/hf_folder.h"

namespace lantern::arch {

/// Lines for a person about what was left out (a vision tower): an array of strings under this
/// metadata key, which a writer of files leaves out.
inline constexpr std::string_view kNoticesKey = "lantern.notices";

/// Hyper-parameters as "<architecture>.*" keys, tensors under GGUF's names and in its forms: Q and
/// K rows in adjacent pairs where the architecture's files have them so, experts stacked, vectors
/// as float32, norms of 1 + w added up, rope factors as tensors. Tokenizer keys are not there:
/// text/ reads tokenizer.json. Errors: kUnsupported architectures and rope kinds, kCorrupt
/// config.json or tensors.
Result<std::unique_ptr<format::Checkpoint>> from_hf(const format::HfFolder& folder);

/// The GGUF name of a matrix that a Hugging Face folder of this architecture has under `name`
/// ("model.layers.3.self_attn.q_proj.weight"); nothing for one that is not known, or that is a part
/// of a tensor (an expert's).
std::optional<std::string> gguf_name(const Spec& spec, std::string_view name);

/// A model by its path: a GGUF file (any part of a split one) or a Hugging Face folder; or an
/// adapter of either kind, under its own names. Errors name the file.
Result<std::unique_ptr<format::Checkpoint>> open_checkpoint(const std::filesystem::path& path);

}  // namespace lantern::arch
