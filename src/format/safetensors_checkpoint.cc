// A Checkpoint over one safetensors file, or over all shards that an index names.
#include <map>
#include <set>

#include "base/json.h"
#include "base/printable.h"
#include "format/file_checkpoint.h"
#include "format/safetensors.h"
#include "format/tensor_table.h"
#include "format/zip.h"

namespace lantern::format {
namespace {

using base::printable;
namespace fs = std::filesystem;

struct Gathered {
  Metadata metadata;
  std::vector<Tensor> tensors;
  std::vector<FileCheckpoint::File> files;
};

Status gather(const Folder& folder, const std::string& name, const SafetensorsLimits& limits,
              Gathered& all) {
  const fs::path path = folder.path() / name;
  FileCheckpoint::File file{path, nullptr};
  LANTERN_ASSIGN(file.source, folder.open(name));
  LANTERN_ASSIGN(SafetensorsHeader header, parse_safetensors(*file.source, limits));
  if (header.tensors.size() > limits.tensors - all.tensors.size())
    return make_error(ErrorCode::kTooLarge, "{}: more than {} tensors in all shards", path.string(),
                      limits.tensors);
  for (auto& [key, value] : header.metadata) all.metadata.set(key, std::move(value));
  for (Tensor& tensor : header.tensors) {
    tensor.file = static_cast<uint32_t>(all.files.size());
    all.tensors.push_back(std::move(tensor));
  }
  all.files.push_back(std::move(file));
  return {};
}

Result<std::unique_ptr<Checkpoint>> finish(Gathered all, const fs::path& path) {
  LANTERN_ASSIGN(TensorTable table, TensorTable::create(std::move(all.tensors), path.string()));
  return std::unique_ptr<Checkpoint>(std::make_unique<FileCheckpoint>(
      std::move(all.metadata), std::move(table), std::move(all.files)));
}

/// {"weight_map": {"tensor": "model-00001-of-00002.safetensors", ...}} as tensor -> file.
Result<std::map<std::string, std::string>> read_index(const Folder& folder, const std::string& name,
                                                      const SafetensorsLimits& limits) {
  const fs::path path = folder.path() / name;
  LANTERN_ASSIGN(std::string text, folder.read_text(name, limits.index_bytes));
  LANTERN_ASSIGN(base::Json json, base::parse_json(text, path.string()));
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object())
    return make_error(ErrorCode::kCorrupt, "{}: key weight_map: an object is needed",
                      path.string());
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, file] : json["weight_map"].items()) {
    if (!file.is_string())
      return make_error(ErrorCode::kCorrupt, "{}: weight_map: tensor {} has no file's name",
                        path.string(), printable(tensor));
    const auto& shard = file.get_ref<const std::string&>();
    if (!is_safe_path(shard) || shard.find('/') != std::string::npos)
      return make_error(ErrorCode::kCorrupt,
                        "{}: weight_map: tensor {}: \"{}\" is no name of a file in this folder",
                        path.string(), printable(tensor), printable(shard));
    shard_of.emplace(tensor, shard);
  }
  return shard_of;
}

Result<std::unique_ptr<Checkpoint>> open_index(const Folder& folder, const std::string& name,
                                               const SafetensorsLimits& limits) {
  const fs::path path = folder.path() / name;
  LANTERN_ASSIGN(auto shard_of, read_index(folder, name, limits));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  if (shards.size() > limits.shards)
    return make_error(ErrorCode::kTooLarge, "{}: {} shards, at most {} are read", path.string(),
                      shards.size(), limits.shards);
  Gathered all;
  all.metadata = Metadata(path.string());
  for (const std::string& shard : shards) {
    size_t first = all.tensors.size();
    LANTERN_TRY(gather(folder, shard, limits, all));
    for (size_t i = first; i < all.tensors.size(); ++i) {
      auto entry = shard_of.find(all.tensors[i].name);
      if (entry == shard_of.end() || entry->second != shard)
        return make_error(ErrorCode::kCorrupt, "{}: tensor {} is in shard {}, the index says {}",
                          path.string(), printable(all.tensors[i].name), shard,
                          entry == shard_of.end() ? "nothing of it" : printable(entry->second));
    }
  }
  // Every tensor found is in the index under its own shard, so a difference in number is
  // one that was not found, or one found twice.
  size_t n_named = shard_of.size(), n_found = all.tensors.size();
  for (const Tensor& tensor : all.tensors) shard_of.erase(tensor.name);
  if (!shard_of.empty())
    return make_error(ErrorCode::kCorrupt,
                      "{}: weight_map names {} tensors, the shards have {}; {} is missing from {}",
                      path.string(), n_named, n_found, printable(shard_of.begin()->first),
                      shard_of.begin()->second);
  return finish(std::move(all), path);
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_safetensors(const fs::path& path,
                                                     const SafetensorsLimits& limits) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return open_safetensors(DiskFolder(path), "", limits);
  return open_safetensors(DiskFolder(path.parent_path()), path.filename().string(), limits);
}

Result<std::unique_ptr<Checkpoint>> open_safetensors(const Folder& folder, const std::string& name,
                                                     const SafetensorsLimits& limits) {
  if (name.empty()) {
    // Where both are there, transformers takes the single file.
    const std::string single = "model.safetensors", index = single + ".index.json";
    if (folder.has(single)) return open_safetensors(folder, single, limits);
    if (folder.has(index)) return open_index(folder, index, limits);
    if (folder.has("pytorch_model.bin") || folder.has("pytorch_model.bin.index.json"))
      return make_error(ErrorCode::kUnsupported,
                        "{}: has its weights as a Python pickle, which can run code; get or make "
                        "the model as safetensors",
                        folder.path().string());
    return make_error(ErrorCode::kNotFound,
                      "{}: neither model.safetensors nor model.safetensors.index.json is there",
                      folder.path().string());
  }
  if (name.ends_with(".index.json")) return open_index(folder, name, limits);
  const fs::path path = folder.path() / name;
  Gathered all;
  all.metadata = Metadata(path.string());
  LANTERN_TRY(gather(folder, name, limits, all));
  return finish(std::move(all), path);
}

}  // namespace lantern::format
