// Safetensors, as the reference implementation (huggingface/safetensors, Rust) reads it: one file,
// or several named by model.safetensors.index.json.
//
//   u64 header length | JSON header, padded with spaces | tensors' data, back to back
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"
#include "format/folder.h"
#include "format/source.h"

namespace lantern::format {

struct SafetensorsLimits {
  uint64_t header_bytes = 100'000'000;  // the reference's own
  uint64_t tensors = 1u << 18;
  uint64_t metadata_entries = 1u << 16;
  uint64_t index_bytes = 16u << 20;  // twice the largest known
  uint64_t shards = 512;             // each a descriptor
};

struct SafetensorsHeader {
  std::map<std::string, std::string> metadata;  // __metadata__
  std::vector<Tensor> tensors;  // by offset; offsets absolute; a scalar's shape is [1]
};

/// The header of one file. The data must fill the file from the header's end to its own, without
/// holes, overlaps or bytes left over. Errors name file, tensor and fault: kCorrupt; kUnsupported
/// for a dtype other than F32, F16 and BF16; kTooLarge past a limit.
Result<SafetensorsHeader> parse_safetensors(const Source& source,
                                            const SafetensorsLimits& limits = {});

/// Tensors by their own names, [rows, cols]; metadata holds __metadata__'s strings. `path` is a
/// file, an index (*.index.json), or a folder with model.safetensors or its index. Errors as above;
/// kCorrupt also where index and shards disagree or a shard's name leads out of the folder,
/// kNotFound where a file is missing.
Result<std::unique_ptr<Checkpoint>> open_safetensors(const std::filesystem::path& path,
                                                     const SafetensorsLimits& limits = {});
/// `name`: of a file or an index in the folder; empty for the folder itself.
Result<std::unique_ptr<Checkpoint>> open_safetensors(const Folder& folder, const std::string& name,
                                                     const SafetensorsLimits& limits = {});

}  // namespace lantern::format
