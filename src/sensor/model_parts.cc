#include "sensor/model_parts.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/printable.h"
#include "sensor/model_store.h"

namespace lantern::sensor {
namespace {

constexpr size_t kPartsMax = 1024;  // the largest published model has 191
constexpr size_t kSnapshotsMax = 64;

std::optional<uint32_t> five_digits(std::string_view text) {
  uint32_t value = 0;
  if (text.size() != 5) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = 10 * value + static_cast<uint32_t>(c - '0');
  }
  return value;
}

/// What stands in one folder about the weights in it.
struct ModelFolder {
  std::string config_path = {};
  std::optional<WeightFacts> config = {};
  std::vector<std::pair<std::string, std::string>> texts = {};  // names, and paths to open
  std::map<std::string, std::string> index_of = {};             // a shard's name to its index's
};

/// The name that people gave a file, and the folder of that name.
struct NamedPlace {
  std::string folder = {}, name = {};
};

class PartJoiner {
 public:
  PartJoiner(Host& host, const std::string& root, const ParserOptions& options)
      : host_(host), root_(root), options_(options) {}

  Result<std::vector<FoundWeights>> join(std::vector<FoundWeights> files);

 private:
  NamedPlace place_of(const FoundWeights& file);
  Result<const ModelFolder*> folder(const std::string& path);
  Status read_texts(ModelFolder& folder);

  Host& host_;
  const std::string& root_;
  const ParserOptions& options_;
  std::map<std::string, ModelFolder> folders_;
  std::map<std::string, std::map<std::string, NamedPlace>> caches_;  // names of blobs, by cache
};

std::string folder_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return std::string(path.substr(0, slash == std::string_view::npos ? 0 : slash));
}

NamedPlace PartJoiner::place_of(const FoundWeights& file) {
  NamedPlace place{.folder = folder_of(file.path), .name = std::string(base_name(file.path))};
  // The Hugging Face cache: blobs/<digest>, with links to them in snapshots/<revision>/.
  const std::string cache = folder_of(place.folder);
  if (base_name(place.folder) != "blobs" || !base_name(cache).starts_with("models--")) return place;
  const auto [at, is_new] = caches_.try_emplace(cache);
  if (is_new) {
    const auto snapshots = host_.list(root_ + cache + "/snapshots");
    for (const DirectoryEntry& snapshot :
         snapshots.ok() ? *snapshots : std::vector<DirectoryEntry>()) {
      const std::string below = cache + "/snapshots/" + snapshot.name;
      if (!snapshot.folder || at->second.size() > kPartsMax * kSnapshotsMax) continue;
      const auto entries = host_.list(root_ + below);
      if (!entries.ok()) continue;
      for (const DirectoryEntry& entry : *entries)
        if (base_name(folder_of(entry.link)) == "blobs")
          at->second.try_emplace(std::string(base_name(entry.link)),
                                 NamedPlace{.folder = below, .name = entry.name});
    }
  }
  const auto known = at->second.find(place.name);
  return known == at->second.end() ? place : known->second;
}

Status PartJoiner::read_texts(ModelFolder& folder) {
  std::vector<OpenedFile> opened;
  std::vector<std::string> names;
  for (const auto& [name, path] : folder.texts) {
    auto file = host_.open_file(path);
    if (!file.ok() || file->size > kModelTextBytesMax) continue;
    opened.push_back(std::move(*file));
    names.push_back(name);
    if (name == "config.json") folder.config_path = path.substr(root_.size());
  }
  std::vector<ParseJob> jobs;
  jobs.reserve(opened.size());
  for (size_t i = 0; i < opened.size(); ++i)
    jobs.push_back({.task = ParseTask::kModelFolder, .file = &opened[i], .path = names[i]});
  if (jobs.empty()) return {};
  LANTERN_ASSIGN(const std::vector<ParseAnswer> answers, parse_files(jobs, options_));
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].weights) folder.config = answers[i].weights;
    for (const ManifestEntry& shard : answers[i].manifest)
      folder.index_of.try_emplace(shard.file, names[i]);
  }
  return {};
}

Result<const ModelFolder*> PartJoiner::folder(const std::string& path) {
  const auto [at, is_new] = folders_.try_emplace(path);
  if (!is_new) return &at->second;
  const auto entries = host_.list(root_ + path);
  if (!entries.ok()) return &at->second;
  constexpr size_t kTextsMax = 8;
  for (const DirectoryEntry& entry : *entries) {
    if (!is_model_config(entry.name) && !is_shard_index(entry.name)) continue;
    if (!base::is_utf8(entry.name) || at->second.texts.size() == kTextsMax) continue;
    // Of the cache's links those that lead to its own blobs; no other link is followed.
    std::string file = root_ + path + "/" + entry.name;
    if (!entry.link.empty() && base_name(folder_of(entry.link)) == "blobs")
      file = fmt::format("{}{}/blobs/{}", root_, folder_of(folder_of(path)), base_name(entry.link));
    else if (!entry.regular)
      continue;
    at->second.texts.emplace_back(entry.name, std::move(file));
  }
  LANTERN_TRY(read_texts(at->second));
  return &at->second;
}

void take_config(FoundWeights& file, const ModelFolder& folder) {
  if (!folder.config) return;
  file.config = *folder.config;
  file.config_path = folder.config_path;
  WeightFacts& facts = file.facts;
  if (facts.architecture.empty()) facts.architecture = folder.config->architecture;
  if (facts.context == 0) facts.context = folder.config->context;
  if (facts.quantization.empty()) facts.quantization = folder.config->quantization;
}

/// `parts`: at least two, in order.
FoundWeights whole_of(std::vector<FoundWeights> parts, uint32_t n_parts) {
  FoundWeights whole = parts.front();
  whole.stamp = {};
  whole.digest.reset();
  whole.size = 0;
  whole.facts.header_digest.reset();
  whole.facts.header_bytes = 0;
  whole.facts.part = static_cast<uint32_t>(parts.size());
  whole.facts.n_parts = std::max(n_parts, whole.facts.part);
  whole.facts.tensors = 0;
  whole.facts.parameters = 0;
  whole.facts.mix.clear();
  for (const FoundWeights& part : parts) {
    whole.size += std::min(part.size, UINT64_MAX - whole.size);
    whole.deleted = whole.deleted || part.deleted;
    const uint64_t tensors = whole.facts.tensors + part.facts.tensors;
    for (const TypeShare& share : part.facts.mix)
      count_tensor(whole.facts, share.type, share.elements);
    whole.facts.tensors = tensors;
    if (whole.facts.fault.empty()) whole.facts.fault = part.facts.fault;
  }
  std::stable_sort(whole.facts.mix.begin(), whole.facts.mix.end(),
                   [](const auto& a, const auto& b) { return a.elements > b.elements; });
  whole.parts = std::move(parts);
  return whole;
}

Result<std::vector<FoundWeights>> PartJoiner::join(std::vector<FoundWeights> files) {
  struct Group {
    std::vector<std::pair<std::string, FoundWeights>> parts = {};  // by name
    uint32_t n_parts = 0;
  };
  // In the order in which each model's first file stands.
  std::vector<Group> groups;
  std::map<std::string, size_t> by_key;
  for (FoundWeights& file : files) {
    const bool config_tells = file.facts.format == "safetensors" || file.facts.format == "PyTorch";
    if (!config_tells && file.facts.format != "GGUF") {
      groups.push_back({.parts = {{"", std::move(file)}}});
      continue;
    }
    const NamedPlace place = place_of(file);
    const std::optional<PartName> name = part_name(place.name);
    std::string key = name ? fmt::format("{}-of-{}", name->stem, name->n_parts) : "";
    uint32_t n_parts = name ? name->n_parts : 0;
    if (config_tells) {
      LANTERN_ASSIGN(const ModelFolder* beside, folder(place.folder));
      take_config(file, *beside);
      if (const auto index = beside->index_of.find(place.name); index != beside->index_of.end()) {
        key = index->second;
        n_parts = static_cast<uint32_t>(
            std::count_if(beside->index_of.begin(), beside->index_of.end(),
                          [&](const auto& one) { return one.second == index->second; }));
      }
    }
    if (!key.empty()) key = fmt::format("{}\n{}\n{}", place.folder, file.facts.format, key);
    const auto known = key.empty() ? by_key.end() : by_key.find(key);
    if (known != by_key.end()) {
      groups[known->second].parts.emplace_back(place.name, std::move(file));
      continue;
    }
    if (!key.empty()) by_key[key] = groups.size();
    groups.push_back({.parts = {{place.name, std::move(file)}}, .n_parts = n_parts});
  }
  std::vector<FoundWeights> joined;
  for (Group& group : groups) {
    std::stable_sort(group.parts.begin(), group.parts.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::vector<FoundWeights> parts;
    parts.reserve(group.parts.size());
    for (auto& [name, part] : group.parts) parts.push_back(std::move(part));
    joined.push_back(parts.size() == 1 ? std::move(parts.front())
                                       : whole_of(std::move(parts), group.n_parts));
  }
  return joined;
}

std::string text_of(const base::Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_string() ? claim(at->get_ref<const std::string&>()) : "";
}

uint64_t number_of(const base::Json& json, const char* key) {
  const auto at = json.find(key);
  return at != json.end() && at->is_number_unsigned()
             ? std::min<uint64_t>(at->get<uint64_t>(), uint64_t{1} << 40)
             : 0;
}

/// "gptq 4-bit", of quantization_config.
std::string quantization_of(const base::Json& json) {
  const auto at = json.find("quantization_config");
  if (at == json.end() || !at->is_object()) return "";
  std::string name = text_of(*at, "quant_method");
  uint64_t bits = number_of(*at, "bits");
  const auto set = [&](const char* key) {
    const auto flag = at->find(key);
    return flag != at->end() && flag->is_boolean() && flag->get<bool>();
  };
  if (bits == 0) bits = set("load_in_4bit") ? 4 : set("load_in_8bit") ? 8 : 0;
  if (bits > 0) name += fmt::format("{}{}-bit", name.empty() ? "" : " ", bits);
  return name;
}

}  // namespace

std::optional<PartName> part_name(std::string_view file_name) {
  // <stem>-NNNNN-of-NNNNN.<ending>
  constexpr size_t kNumbers = std::string_view("-00001-of-00004").size();
  const size_t dot = file_name.rfind('.');
  if (dot == std::string_view::npos || dot <= kNumbers) return std::nullopt;
  const std::string_view numbers = file_name.substr(dot - kNumbers, kNumbers);
  if (numbers[0] != '-' || numbers.substr(6, 4) != "-of-") return std::nullopt;
  const auto part = five_digits(numbers.substr(1, 5)), n_parts = five_digits(numbers.substr(10));
  if (!part || !n_parts || *part == 0 || *part > *n_parts || *n_parts > kPartsMax)
    return std::nullopt;
  return PartName{
      .stem = std::string(file_name.substr(0, dot - kNumbers)) + std::string(file_name.substr(dot)),
      .part = *part,
      .n_parts = *n_parts};
}

bool is_model_config(std::string_view file_name) { return file_name == "config.json"; }
bool is_shard_index(std::string_view file_name) { return file_name.ends_with(".index.json"); }

Result<WeightFacts> read_model_config(std::string_view text) {
  LANTERN_ASSIGN(
      const base::Json json,
      base::parse_json(text, "config.json", {.bytes_max = kModelTextBytesMax, .depth_max = 32}));
  if (!json.is_object()) return make_error(ErrorCode::kCorrupt, "config.json: no object");
  WeightFacts facts{.format = "config.json"};
  // Models of several kinds of input keep the language model's in an object of its own.
  const auto inner = json.find("text_config");
  const base::Json& text_model = inner != json.end() && inner->is_object() ? *inner : json;
  facts.architecture = text_of(json, "model_type");
  if (const auto names = json.find("architectures"); facts.architecture.empty() &&
                                                     names != json.end() && names->is_array() &&
                                                     !names->empty() && names->front().is_string())
    facts.architecture = claim(names->front().get_ref<const std::string&>());
  for (const char* key : {"max_position_embeddings", "n_positions", "max_sequence_length",
                          "seq_length", "max_seq_len", "n_ctx"})
    if (facts.context == 0) facts.context = number_of(text_model, key);
  facts.quantization = quantization_of(json);
  if (facts.quantization.empty()) facts.quantization = quantization_of(text_model);
  return facts;
}

Result<std::vector<std::string>> read_shard_index(std::string_view text) {
  LANTERN_ASSIGN(
      const base::Json json,
      base::parse_json(text, "index", {.bytes_max = kModelTextBytesMax, .depth_max = 8}));
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (map == json.end() || !map->is_object())
    return make_error(ErrorCode::kCorrupt, "index: no weight_map");
  std::set<std::string> names;
  for (const base::Json& file : *map)
    if (file.is_string() && names.size() < kPartsMax &&
        file.get_ref<const std::string&>().find('/') == std::string::npos)
      names.insert(file.get<std::string>());
  return std::vector<std::string>(names.begin(), names.end());
}

Result<std::vector<FoundWeights>> join_parts(Host& host, std::vector<FoundWeights> files,
                                             const std::string& root,
                                             const ParserOptions& options) {
  return PartJoiner(host, root, options).join(std::move(files));
}

}  // namespace lantern::sensor
