#include "supply/selection.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "base/printable.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

constexpr size_t kChoicesShown = 12;
constexpr uint32_t kPartsMax = 10'000;
constexpr std::string_view kDefaultQuantization = "Q4_K_M";

/// Beside the weights; what transformers writes and our readers of folders look at.
constexpr std::array kFolderFiles = {
    std::string_view("config.json"),
    std::string_view("generation_config.json"),
    std::string_view("tokenizer.json"),
    std::string_view("tokenizer_config.json"),
    std::string_view("special_tokens_map.json"),
    std::string_view("chat_template.jinja"),
    std::string_view("chat_template.json"),
    std::string_view("model.safetensors.index.json"),
    std::string_view("modules.json"),
    std::string_view("1_Pooling/config.json"),
};

/// A LoRA adapter as PEFT saves it.
constexpr std::array kAdapterFiles = {std::string_view("adapter_config.json"),
                                      std::string_view("adapter_model.safetensors")};

std::string_view file_part(std::string_view name) {
  size_t slash = name.rfind('/');
  return slash == std::string_view::npos ? name : name.substr(slash + 1);
}

bool is_gguf(std::string_view name) { return ends_with_ignoring_case(name, ".gguf"); }

bool is_model(std::string_view name) {
  std::string_view file = file_part(name);
  return is_gguf(name) && !begins_with_ignoring_case(file, "mmproj") &&
         !begins_with_ignoring_case(file, "imatrix");
}

/// GGUF models by the name of their first part.
using Groups = std::map<std::string, std::vector<std::string>>;

Result<Groups> group_gguf(std::span<const std::string> names, std::string_view where) {
  Groups groups;
  std::map<std::pair<std::string, uint32_t>, std::vector<std::pair<uint32_t, std::string>>> splits;
  for (const auto& name : names) {
    if (!is_model(name)) continue;
    if (auto split = parse_split_name(name))
      splits[{split->prefix, split->n_parts}].emplace_back(split->part, name);
    else
      groups[name] = {name};
  }
  for (auto& [key, parts] : splits) {
    std::sort(parts.begin(), parts.end());
    if (parts.size() != key.second)
      return make_error(ErrorCode::kNotFound, "{}: {} has {} of its {} parts", where,
                        base::printable(key.first), parts.size(), key.second);
    auto& group = groups[parts.front().second];
    for (auto& [part, name] : parts) group.push_back(std::move(name));
  }
  return groups;
}

std::string list_choices(const Groups& groups) {
  std::string text;
  size_t n = 0;
  for (const auto& [name, parts] : groups) {
    if (n == kChoicesShown) return text + fmt::format(" and {} more", groups.size() - n);
    text += (n++ ? ", " : "") + base::printable(name);
  }
  return text;
}

/// Whether a file's name ends in this quantization: "model-Q4_K_M.gguf", "model.q4_k_m-00001-of-…".
bool has_quantization(std::string_view name, std::string_view quantization) {
  std::string stem = model_stem(name);
  if (!ends_with_ignoring_case(stem, quantization)) return false;
  if (stem.size() == quantization.size()) return true;
  char before = stem[stem.size() - quantization.size() - 1];
  return before == '-' || before == '.' || before == '_';
}

std::vector<const std::vector<std::string>*> with_quantization(const Groups& groups,
                                                               std::string_view quantization) {
  std::vector<const std::vector<std::string>*> fitting;
  for (const auto& [name, parts] : groups)
    if (has_quantization(name, quantization)) fitting.push_back(&parts);
  return fitting;
}

bool contains(std::span<const std::string> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// The weights at the top of a folder. Some repositories carry them a second time under another
/// name (consolidated.safetensors), so model*.safetensors are preferred.
std::vector<std::string> folder_weights(std::span<const std::string> names) {
  std::vector<std::string> all, usual;
  for (const auto& name : names) {
    if (name.find('/') != std::string::npos || !name.ends_with(".safetensors")) continue;
    all.push_back(name);
    if (name.starts_with("model")) usual.push_back(name);
  }
  return usual.empty() ? all : usual;
}

Result<Selection> select_folder(std::span<const std::string> names) {
  Selection selection{.kind = ModelKind::kFolder, .names = folder_weights(names)};
  for (const auto& name : names) {
    bool known = std::find(kFolderFiles.begin(), kFolderFiles.end(), name) != kFolderFiles.end();
    bool named_template =
        name.starts_with("additional_chat_templates/") && name.ends_with(".jinja");
    if (known || named_template) selection.names.push_back(name);
  }
  std::sort(selection.names.begin(), selection.names.end());
  return selection;
}

}  // namespace

std::optional<SplitName> parse_split_name(std::string_view name) {
  // "-00001-of-00003.gguf"
  constexpr size_t kTailBytes = 20;
  if (name.size() <= kTailBytes || !is_gguf(name)) return std::nullopt;
  std::string_view tail = name.substr(name.size() - kTailBytes);
  if (tail[0] != '-' || tail.substr(6, 4) != "-of-") return std::nullopt;
  auto number = [](std::string_view digits) -> std::optional<uint32_t> {
    uint32_t value = 0;
    for (char c : digits) {
      if (c < '0' || c > '9') return std::nullopt;
      value = value * 10 + static_cast<uint32_t>(c - '0');
    }
    return value;
  };
  auto part = number(tail.substr(1, 5)), n_parts = number(tail.substr(10, 5));
  if (!part || !n_parts || *part < 1 || *part > *n_parts || *n_parts > kPartsMax)
    return std::nullopt;
  return SplitName{.prefix = std::string(name.substr(0, name.size() - kTailBytes)),
                   .part = *part,
                   .n_parts = *n_parts};
}

std::string model_stem(std::string_view name) {
  std::string stem(file_part(name));
  if (auto split = parse_split_name(stem)) return split->prefix;
  if (is_gguf(stem)) stem.resize(stem.size() - 5);
  return stem;
}

Result<Selection> select_files(std::span<const std::string> names, std::string_view wanted,
                               std::string_view where) {
  if (!wanted.empty() && contains(names, wanted) && !is_gguf(wanted))
    return make_error(ErrorCode::kUnsupported,
                      "{}: {} is no GGUF file; leave the file out to take the whole folder", where,
                      base::printable(wanted));
  bool is_folder = contains(names, "config.json") && !folder_weights(names).empty();
  if (wanted.empty() && is_folder) return select_folder(names);
  const bool is_adapter = !contains(names, "config.json") &&
                          std::all_of(kAdapterFiles.begin(), kAdapterFiles.end(),
                                      [&](std::string_view name) { return contains(names, name); });
  if (wanted.empty() && is_adapter)
    return Selection{.kind = ModelKind::kFolder,
                     .names = {kAdapterFiles.begin(), kAdapterFiles.end()}};

  LANTERN_ASSIGN(Groups groups, group_gguf(names, where));
  if (wanted.empty()) {
    if (groups.empty())
      return make_error(ErrorCode::kNotFound,
                        "{}: neither GGUF files nor config.json with safetensors in it", where);
    if (groups.size() == 1) return Selection{.names = groups.begin()->second};
    auto usual = with_quantization(groups, kDefaultQuantization);
    if (usual.size() == 1) return Selection{.names = *usual.front()};
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: several models in it, name one after ':': {}", where,
                      list_choices(groups));
  }
  for (const auto& [first, parts] : groups)
    if (contains(parts, wanted)) return Selection{.names = parts};
  auto fitting = with_quantization(groups, wanted);
  if (fitting.size() == 1) return Selection{.names = *fitting.front()};
  if (groups.empty())
    return make_error(ErrorCode::kNotFound, "{}: no GGUF files in it, so no {}", where,
                      base::printable(wanted));
  return make_error(fitting.empty() ? ErrorCode::kNotFound : ErrorCode::kInvalidArgument,
                    "{}: {} \"{}\" in it; there are: {}", where, fitting.empty() ? "no" : "several",
                    base::printable(wanted), list_choices(groups));
}

}  // namespace lantern::supply
