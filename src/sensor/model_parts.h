// Models that lie in several files, as one: shards of safetensors and PyTorch
// ("model-00001-of-00004.safetensors", or those that an index names) and splits of GGUF; and what
// the config.json beside them says, for safetensors say little of themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sensor/assess.h"
#include "sensor/host.h"
#include "sensor/parser.h"

namespace lantern::sensor {

struct PartName {
  std::string stem = {};  // "model", with the ending behind it: "model.gguf"
  uint32_t part = 0, n_parts = 0;
};
/// "model-00002-of-00004.gguf", as llama.cpp's and Hugging Face's tools write it.
std::optional<PartName> part_name(std::string_view file_name);

/// Whether a file beside weights speaks of them: config.json, or "*.index.json".
bool is_model_config(std::string_view file_name);
bool is_shard_index(std::string_view file_name);
inline constexpr uint64_t kModelTextBytesMax = 8u << 20;  // of either; the largest index has 6 MB

/// For the confined child: architecture, context and quantization. kCorrupt for what is no object.
Result<WeightFacts> read_model_config(std::string_view text);
/// For the confined child: the names of the files that hold the weights, each once. kCorrupt.
Result<std::vector<std::string>> read_shard_index(std::string_view text);

/// Files that are one model joined, the others as they are; each with what its folder says.
/// `root` stands before every folder: "/proc/12/root" for files as a process sees them. Errors:
/// parse_files()'s.
Result<std::vector<FoundWeights>> join_parts(Host& host, std::vector<FoundWeights> files,
                                             const std::string& root, const ParserOptions& options);

}  // namespace lantern::sensor
