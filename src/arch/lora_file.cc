#include "arch/lora_file.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

#include "arch/hf.h"
#include "base/json.h"
#include "base/printable.h"
#include "format/hf_folder.h"
#include "format/peft_folder.h"

namespace lantern::arch {
namespace {

using base::Json;
using base::printable;
using format::Tensor;

constexpr double kAlphaMax = 1e6;
constexpr size_t kPatternsMax = 1 << 14;

/// The two tensors of a matrix, as they come.
struct Pair {
  const Tensor* a = nullptr;
  const Tensor* b = nullptr;
  std::string module;  // PEFT's name of what they change
};
using Pairs = std::map<std::string, Pair>;  // by the matrix's GGUF name

/// Both there, both matrices, and of one rank, which is given back.
Result<int64_t> rank_of(const Pair& pair) {
  const Tensor& one = pair.a != nullptr ? *pair.a : *pair.b;
  if (pair.a == nullptr || pair.b == nullptr)
    return make_error(ErrorCode::kCorrupt, "tensor {}: the other half of the pair is missing",
                      one.name);
  for (const Tensor* tensor : {pair.a, pair.b})
    if (tensor->shape.size() != 2)
      return make_error(ErrorCode::kCorrupt, "tensor {}: {} dimensions, a matrix is needed",
                        tensor->name, tensor->shape.size());
  const int64_t rank = pair.a->shape[0];
  if (pair.b->shape[1] != rank)
    return make_error(ErrorCode::kCorrupt, "tensor {}: rank {}, its other half has rank {}",
                      pair.b->name, pair.b->shape[1], rank);
  if (rank < 1 || rank > kLoraRankMax)
    return make_error(ErrorCode::kUnsupported, "tensor {}: rank {} is not from 1 to {}",
                      pair.a->name, rank, kLoraRankMax);
  return rank;
}

Status put(const Tensor& tensor, bool is_a, std::string target, std::string module, Pairs& pairs) {
  Pair& pair = pairs[std::move(target)];
  const Tensor*& half = is_a ? pair.a : pair.b;
  if (half != nullptr)
    return make_error(ErrorCode::kCorrupt, "tensor {}: {} is for the same matrix",
                      printable(tensor.name), printable(half->name));
  half = &tensor;
  pair.module = std::move(module);
  return {};
}

// --- GGUF ---

Result<LoraFile> read_gguf(const format::Checkpoint& checkpoint, const Spec& spec) {
  const format::Metadata& metadata = checkpoint.metadata();
  LANTERN_ASSIGN(const std::string kind, metadata.get_string("adapter.type"));
  if (kind != "lora")
    return make_error(ErrorCode::kUnsupported,
                      "metadata key adapter.type: \"{}\"; LoRA adapters are supported",
                      printable(kind, 80));
  if (metadata.has("adapter.alora.invocation_tokens"))
    return make_error(ErrorCode::kUnsupported,
                      "metadata key adapter.alora.invocation_tokens: activated LoRA is not "
                      "supported");
  LANTERN_ASSIGN(const std::string architecture, metadata.get_string("general.architecture"));
  if (architecture != spec.name)
    return make_error(ErrorCode::kInvalidArgument,
                      "metadata key general.architecture: \"{}\", and the model's is \"{}\"; an "
                      "adapter goes with the model it was made for",
                      printable(architecture, 80), spec.name);
  LANTERN_ASSIGN(const double alpha, metadata.get_float("adapter.lora.alpha"));
  if (std::abs(alpha) > kAlphaMax)
    return make_error(ErrorCode::kCorrupt, "metadata key adapter.lora.alpha: {} is out of bounds",
                      alpha);
  Pairs pairs;
  for (const Tensor& tensor : checkpoint.tensors()) {
    const std::string_view name = tensor.name;
    const bool is_a = name.ends_with(".lora_a");
    if (!is_a && !name.ends_with(".lora_b"))
      return make_error(ErrorCode::kUnsupported,
                        "tensor {}: its name ends in neither .lora_a nor .lora_b; only adapters "
                        "of low rank are supported",
                        printable(name));
    LANTERN_TRY(put(tensor, is_a, std::string(name.substr(0, name.size() - 7)), {}, pairs));
  }
  LoraFile file{.rows_as_in_gguf = true, .parts = {}};
  for (const auto& [target, pair] : pairs) {
    LANTERN_ASSIGN(const int64_t rank, rank_of(pair));
    const double scale = alpha == 0.0 ? 1.0 : alpha / static_cast<double>(rank);
    file.parts.push_back({.target = target, .a = pair.a, .b = pair.b, .scale = scale});
  }
  return file;
}

// --- PEFT ---

/// Keys that do not change what the tensors say: where it came from, how it was trained, and where
/// (the tensors' own names say that too).
constexpr std::string_view kHarmlessKeys[] = {"auto_mapping",
                                              "base_model_name_or_path",
                                              "ensure_weight_tying",
                                              "exclude_modules",
                                              "eva_config",
                                              "fan_in_fan_out",
                                              "inference_mode",
                                              "layers_pattern",
                                              "layers_to_transform",
                                              "lora_dropout",
                                              "megatron_config",
                                              "megatron_core",
                                              "peft_version",
                                              "qalora_group_size",
                                              "revision",
                                              "runtime_config",
                                              "target_modules",
                                              "task_type"};

/// null, false, 0, "", [], {}: says nothing.
bool says_nothing(const Json& value) {
  if (value.is_null() || value == false) return true;
  if (value.is_number()) return value == 0;
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return (value.is_array() || value.is_object()) && value.empty();
}

/// Initializations that leave the model's own weights as they are; others move a part of them into
/// the adapter, which then goes with a model that nobody has.
bool keeps_weights(const Json& init) {
  if (!init.is_string()) return true;
  constexpr std::string_view kKeeping[] = {"gaussian", "eva", "orthogonal"};
  return std::ranges::count(kKeeping, init.get<std::string>()) != 0;
}

class PeftConfig {
 public:
  PeftConfig(const Json& config, std::string where) : config_(config), where_(std::move(where)) {}

  Status read();
  /// The factor on B A of `module`, whose tensors have this rank.
  Result<double> scale(std::string_view module, int64_t rank, const Tensor& tensor) const;

 private:
  Error fault(std::string_view key, std::string_view what) const {
    return make_error(ErrorCode::kCorrupt, "{}: key {}: {}", where_, printable(key, 80), what);
  }
  Error unsupported(std::string_view key, std::string_view what) const {
    return make_error(ErrorCode::kUnsupported, "{}: key {}: {}", where_, printable(key, 80), what);
  }
  Status check_key(const std::string& key, const Json& value) const;
  Result<int64_t> rank(const Json& value, std::string_view key) const;
  Result<double> alpha(const Json& value, std::string_view key) const;
  Status check_patterns(std::string_view key) const;
  /// The value of the one pattern that is `module`'s; null where none is.
  Result<const Json*> pattern_of(std::string_view key, std::string_view module) const;

  const Json& config_;
  const std::string where_;
  int64_t rank_ = 8;  // these two: PEFT's own defaults
  double alpha_ = 8;
  bool rank_stabilized_ = false;
};

Status PeftConfig::check_key(const std::string& key, const Json& value) const {
  struct Unsupported {
    std::string_view key, what;
  };
  constexpr Unsupported kUnsupported[] = {
      {"use_dora", "DoRA is not supported; merge the adapter into its model"},
      {"modules_to_save",
       "adapters with whole modules beside the low-rank pairs are not supported"},
      {"trainable_token_indices", "adapters with trained embeddings are not supported"},
      {"layer_replication", "adapters that repeat layers are not supported"},
      {"lora_bias", "adapters with biases are not supported"},
      {"target_parameters", "adapters of bare parameters (experts) are not supported"},
      {"alora_invocation_tokens", "activated LoRA is not supported"}};
  constexpr std::string_view kRead[] = {"peft_type",     "r",         "lora_alpha",
                                        "alpha_pattern", "bias",      "init_lora_weights",
                                        "rank_pattern",  "use_rslora"};
  if (says_nothing(value) || std::ranges::count(kRead, key) != 0 ||
      std::ranges::count(kHarmlessKeys, key) != 0)
    return {};
  for (const Unsupported& one : kUnsupported)
    if (key == one.key) return unsupported(key, one.what);
  // Configurations of what is switched off, or of how the weights were first drawn.
  if (key == "loftq_config" || key == "corda_config" || key == "lora_ga_config") return {};
  return unsupported(key,
                     fmt::format("{}: unknown, so what it changes is too; remove it if that is "
                                 "nothing",
                                 printable(value.dump(-1, ' ', true), 40)));
}

Result<int64_t> PeftConfig::rank(const Json& value, std::string_view key) const {
  if (!value.is_number_integer() || value < 1 || value > kLoraRankMax)
    return fault(key, fmt::format("{} is no rank from 1 to {}",
                                  printable(value.dump(-1, ' ', true), 40), kLoraRankMax));
  return value.get<int64_t>();
}

Result<double> PeftConfig::alpha(const Json& value, std::string_view key) const {
  if (!value.is_number() || !(std::abs(value.get<double>()) <= kAlphaMax))
    return fault(key, fmt::format("{} is no number within {}",
                                  printable(value.dump(-1, ' ', true), 40), kAlphaMax));
  return value.get<double>();
}

/// PEFT takes regular expressions for keys; names, which are nearly all that is published, mean the
/// same as themselves.
Status PeftConfig::check_patterns(std::string_view key) const {
  const auto found = config_.find(key);
  if (found == config_.end() || says_nothing(*found)) return {};
  if (!found->is_object()) return fault(key, "an object is needed");
  if (found->size() > kPatternsMax)
    return fault(key, fmt::format("{} entries, at most {} are read", found->size(), kPatternsMax));
  for (const auto& [pattern, value] : found->items()) {
    if (pattern.empty() || pattern.find_first_of("\\^$*+?()[]{}|") != std::string::npos)
      return unsupported(key, fmt::format("\"{}\" is a regular expression; names are supported",
                                          printable(pattern, 80)));
    if (key == "rank_pattern") {
      LANTERN_TRY(rank(value, key));
    } else {
      LANTERN_TRY(alpha(value, key));
    }
  }
  return {};
}

Status PeftConfig::read() {
  for (const auto& [key, value] : config_.items()) LANTERN_TRY(check_key(key, value));
  if (const auto type = config_.find("peft_type"); type == config_.end() || *type != "LORA")
    return unsupported("peft_type", "\"LORA\" is supported");
  if (const auto bias = config_.find("bias");
      bias != config_.end() && !says_nothing(*bias) && *bias != "none")
    return unsupported("bias", "adapters with biases are not supported");
  if (const auto init = config_.find("init_lora_weights");
      init != config_.end() && !keeps_weights(*init))
    return unsupported("init_lora_weights",
                       fmt::format("{} changes the model's own weights; convert the adapter to a "
                                   "plain one",
                                   printable(init->dump(-1, ' ', true), 40)));
  if (const auto r = config_.find("r"); r != config_.end()) {
    LANTERN_ASSIGN(rank_, rank(*r, "r"));
  }
  if (const auto a = config_.find("lora_alpha"); a != config_.end()) {
    LANTERN_ASSIGN(alpha_, alpha(*a, "lora_alpha"));
  }
  if (const auto stabilized = config_.find("use_rslora"); stabilized != config_.end()) {
    if (!stabilized->is_boolean() && !stabilized->is_null())
      return fault("use_rslora", "true or false is needed");
    rank_stabilized_ = *stabilized == true;
  }
  LANTERN_TRY(check_patterns("rank_pattern"));
  return check_patterns("alpha_pattern");
}

Result<const Json*> PeftConfig::pattern_of(std::string_view key, std::string_view module) const {
  const Json* value = nullptr;
  const auto found = config_.find(key);
  if (found == config_.end() || !found->is_object()) return value;
  // A pattern matches the module's whole name or what follows one of its dots.
  for (size_t begin = 0;;) {
    if (const auto at = found->find(module.substr(begin)); at != found->end()) {
      if (value != nullptr && *value != *at)
        return fault(key, fmt::format("several entries are for {}", printable(module)));
      value = &*at;
    }
    begin = module.find('.', begin);
    if (begin == std::string_view::npos) return value;
    ++begin;
  }
}

Result<double> PeftConfig::scale(std::string_view module, int64_t rank,
                                 const Tensor& tensor) const {
  LANTERN_ASSIGN(const Json* of_rank, pattern_of("rank_pattern", module));
  LANTERN_ASSIGN(const Json* of_alpha, pattern_of("alpha_pattern", module));
  const int64_t said = of_rank != nullptr ? of_rank->get<int64_t>() : rank_;
  if (said != rank)
    return make_error(ErrorCode::kCorrupt, "tensor {}: rank {}, key {} of {} says {}",
                      printable(tensor.name), rank, of_rank != nullptr ? "rank_pattern" : "r",
                      format::kPeftConfigFile, said);
  const double alpha = of_alpha != nullptr ? of_alpha->get<double>() : alpha_;
  const auto n = static_cast<double>(rank);
  return rank_stabilized_ ? alpha / std::sqrt(n) : alpha / n;
}

/// "model.layers.0.self_attn.q_proj" and which half, from PEFT's name of a tensor.
Result<std::pair<std::string, bool>> module_of(const Tensor& tensor) {
  constexpr std::string_view kPrefix = "base_model.model.";
  constexpr std::string_view kA = ".lora_A.weight", kB = ".lora_B.weight";
  std::string_view name = tensor.name;
  auto unsupported = [&](std::string_view what) {
    return make_error(ErrorCode::kUnsupported, "tensor {}: {}", printable(name), what);
  };
  if (name.find("lora_magnitude_vector") != std::string_view::npos)
    return unsupported("DoRA is not supported; merge the adapter into its model");
  if (name.find("lora_embedding_") != std::string_view::npos)
    return unsupported("adapters of embeddings are not supported");
  if (!name.starts_with(kPrefix) || !(name.ends_with(kA) || name.ends_with(kB)))
    return unsupported("no half of a low-rank pair (base_model.model.….lora_A.weight)");
  const bool is_a = name.ends_with(kA);
  std::string module(name.substr(kPrefix.size(), name.size() - kPrefix.size() - kA.size()));
  return std::pair(std::move(module), is_a);
}

Result<LoraFile> read_peft(const format::Checkpoint& checkpoint, const Spec& spec) {
  const format::HfFolder& folder = *checkpoint.folder();
  PeftConfig config(folder.config, std::string(format::kPeftConfigFile));
  LANTERN_TRY(config.read());
  Pairs pairs;
  for (const Tensor& tensor : checkpoint.tensors()) {
    LANTERN_ASSIGN(auto found, module_of(tensor));
    auto& [module, is_a] = found;
    const std::optional<std::string> target = gguf_name(spec, module + ".weight");
    if (!target)
      return make_error(ErrorCode::kInvalidArgument,
                        "tensor {}: no matrix of {} models has that name; an adapter goes with the "
                        "model it was made for",
                        printable(tensor.name), spec.name);
    LANTERN_TRY(put(tensor, is_a, *target, std::move(module), pairs));
  }
  LoraFile file;
  for (const auto& [target, pair] : pairs) {
    LANTERN_ASSIGN(const int64_t rank, rank_of(pair));
    LANTERN_ASSIGN(const double scale, config.scale(pair.module, rank, *pair.a));
    file.parts.push_back({.target = target, .a = pair.a, .b = pair.b, .scale = scale});
  }
  return file;
}

std::string file_of(const format::Checkpoint& checkpoint) {
  if (checkpoint.folder() != nullptr) return checkpoint.folder()->path.string();
  return checkpoint.files().empty() ? "adapter" : checkpoint.files()[0].string();
}

}  // namespace

bool is_adapter(const format::Checkpoint& checkpoint) {
  if (checkpoint.folder() != nullptr) return checkpoint.folder()->is_adapter;
  const auto type = checkpoint.metadata().get_string("general.type");
  return type.ok() && *type == "adapter";
}

Result<LoraFile> read_lora_file(const format::Checkpoint& checkpoint, const Spec& spec) {
  if (!is_adapter(checkpoint))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: is no adapter: metadata key general.type is not \"adapter\"",
                      file_of(checkpoint));
  auto file =
      checkpoint.folder() != nullptr ? read_peft(checkpoint, spec) : read_gguf(checkpoint, spec);
  if (!file.ok()) return std::move(file).error().within(file_of(checkpoint));
  if (file->parts.empty())
    return make_error(ErrorCode::kCorrupt, "{}: it holds no pair of tensors", file_of(checkpoint));
  return file;
}

}  // namespace lantern::arch
