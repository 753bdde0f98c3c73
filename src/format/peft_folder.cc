#include "format/peft_folder.h"

#include <string>
#include <utility>

#include "base/hash.h"
#include "base/json.h"
#include "format/hf_folder.h"
#include "format/safetensors.h"

namespace lantern::format {
namespace {

constexpr uint64_t kConfigBytesMax = 1 << 20;  // published ones have some KiB
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kPickledFile = "adapter_model.bin";

}  // namespace

bool is_peft_folder(const Folder& folder) {
  return folder.has(kPeftConfigFile) && !folder.has("config.json");
}

Result<std::unique_ptr<Checkpoint>> open_peft(const Folder& files) {
  auto folder = std::make_shared<HfFolder>();
  folder->path = files.path();
  folder->is_adapter = true;
  const std::string name(kPeftConfigFile);
  const std::string path = (files.path() / name).string();
  LANTERN_ASSIGN(const std::string text, files.read_text(name, kConfigBytesMax));
  folder->digests[name] = base::sha256(text);
  LANTERN_ASSIGN(folder->config, base::parse_json(text, path));
  if (!folder->config.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: is {}, an object is needed", path,
                      folder->config.type_name());
  if (!files.has(kWeightsFile) && files.has(kPickledFile))
    return make_error(ErrorCode::kUnsupported,
                      "{}: is a Python pickle, which can run code; get the adapter as {}",
                      (files.path() / kPickledFile).string(), kWeightsFile);
  LANTERN_ASSIGN(auto weights, open_safetensors(files, kWeightsFile));
  weights->keep_folder(std::move(folder));
  return weights;
}

}  // namespace lantern::format
