#include "arch/hf.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arch/hf_config.h"
#include "arch/rope.h"
#include "arch/spec.h"
#include "base/printable.h"
#include "format/gguf.h"
#include "format/peft_folder.h"
#include "format/renamed_checkpoint.h"

namespace lantern::arch {
namespace {

using format::RenamedTensor;
using format::Tensor;

/// "model.layers.3.mlp.experts.7.up_proj.weight" as its pattern and its numbers.
struct NumberedName {
  std::string pattern;  // numbers replaced by {}
  std::vector<int64_t> numbers;
};

NumberedName take_numbers(std::string_view name) {
  NumberedName out;
  while (!name.empty()) {
    std::string_view part = name.substr(0, name.find('.'));
    name.remove_prefix(std::min(part.size() + 1, name.size()));
    if (!out.pattern.empty()) out.pattern += '.';
    bool digits = !part.empty() && part.size() <= 6 && std::ranges::all_of(part, [](char c) {
      return std::isdigit(static_cast<unsigned char>(c)) != 0;
    });
    if (digits) {
      out.numbers.push_back(std::stoll(std::string(part)));
      out.pattern += "{}";
    } else {
      out.pattern += part;
    }
  }
  return out;
}

/// The language model's name of a tensor, or nothing where it belongs to another part.
std::optional<std::string> text_name(std::string_view name, bool multimodal) {
  if (!multimodal) return std::string(name);
  if (name.starts_with("language_model.")) return std::string(name.substr(15));
  if (name.starts_with("model.language_model.")) return "model." + std::string(name.substr(21));
  if (name.starts_with("lm_head.")) return std::string(name);
  return std::nullopt;
}

using TensorNames = std::map<std::string, std::string_view>;

/// GGUF names by the patterns of the folder's.
TensorNames tensor_names(const Spec& spec) {
  TensorNames out;
  for (std::span<const TensorName> names : {common_tensor_names(), spec.tensor_names})
    for (const TensorName& name : names) out[std::string(name.hf)] = name.gguf;
  return out;
}

/// Collects a folder's tensors under GGUF's names.
class Mapper {
 public:
  Mapper(const Spec& spec, const HfConfig& config, const format::Checkpoint& weights)
      : spec_(spec), config_(config), weights_(weights), gguf_names_(tensor_names(spec)) {}

  Status map();
  std::vector<RenamedTensor> take_tensors();
  std::vector<std::string> take_notices() { return std::move(notices_); }

 private:
  struct Target {
    std::map<int64_t, const Tensor*> parts;  // by expert; 0 alone for all others
    bool stacked = false;
  };

  Status map_tensor(const Tensor& tensor);
  Result<RenamedTensor> assemble(const std::string& name, const Target& target);
  Status reorder_heads(const std::string& name, const Tensor& source, RenamedTensor& out);
  Status add_rope_tensors();

  const Spec& spec_;
  const HfConfig& config_;
  const format::Checkpoint& weights_;
  TensorNames gguf_names_;
  std::map<std::string, Target> targets_;  // by GGUF name
  std::vector<RenamedTensor> tensors_;
  std::vector<std::string> notices_;
  size_t n_other_parts_ = 0;
  std::vector<std::string> unknown_;
};

Status Mapper::map_tensor(const Tensor& tensor) {
  std::optional<std::string> name = text_name(tensor.name, config_.is_multimodal());
  if (!name) {
    ++n_other_parts_;
    return {};
  }
  if (name->ends_with("rotary_emb.inv_freq")) return {};  // what rope computes from config.json
  if (!spec_.hf_prefix.empty() && name->starts_with(spec_.hf_prefix))
    name->erase(0, spec_.hf_prefix.size());
  for (std::string_view unused : spec_.hf_unused)
    if (name->starts_with(unused)) return {};
  NumberedName numbered = take_numbers(*name);
  auto found = gguf_names_.find(numbered.pattern);
  // Folders of embedding models hold the decoder without its head, and without that class's prefix.
  if (found == gguf_names_.end()) found = gguf_names_.find("model." + numbered.pattern);
  if (found == gguf_names_.end()) {
    unknown_.push_back(tensor.name);
    return {};
  }
  LANTERN_ASSIGN(bool tied, config_.boolean_or("tie_word_embeddings", false));
  if (tied && found->second == "output.weight") return {};  // transformers does not read it either
  std::string gguf(found->second);
  if (size_t at = gguf.find("{}"); at != std::string::npos)
    gguf.replace(at, 2, std::to_string(numbered.numbers[0]));
  Target& target = targets_[gguf];
  target.stacked = numbered.numbers.size() > 1;
  int64_t part = target.stacked ? numbered.numbers[1] : 0;
  if (!target.parts.emplace(part, &tensor).second)
    return make_error(ErrorCode::kCorrupt, "tensor {}: the folder has another of the same meaning",
                      tensor.name);
  return {};
}

/// Rows of halves (transformers) into rows of adjacent pairs: row 2i of a head is its row i, row
/// 2i + 1 its row head_dim/2 + i.
Status Mapper::reorder_heads(const std::string& name, const Tensor& source, RenamedTensor& out) {
  LANTERN_ASSIGN(int64_t head_dim, config_.head_dim());
  if (head_dim % 2 != 0 || source.shape[0] > kHeadsMax * kHeadDimMax ||
      source.shape[0] % head_dim != 0)
    return make_error(ErrorCode::kCorrupt, "tensor {}: its {} rows are no heads of {} dimensions",
                      name, source.shape[0], head_dim);
  for (int64_t head = 0; head < source.shape[0]; head += head_dim)
    for (int64_t row = 0; row < head_dim; ++row) {
      int64_t from = head + row / 2 + (row % 2 == 0 ? 0 : head_dim / 2);
      out.pieces.push_back({.source = &source, .row_begin = from, .row_end = from + 1});
    }
  return {};
}

Result<RenamedTensor> Mapper::assemble(const std::string& name, const Target& target) {
  const Tensor& first = *target.parts.begin()->second;
  RenamedTensor out{.name = name, .shape = first.shape, .pieces = {}, .values = {}, .add = {}};
  if (target.stacked) {
    const auto n_experts = std::ssize(target.parts);
    if (target.parts.rbegin()->first != n_experts - 1)
      return make_error(ErrorCode::kCorrupt, "tensor {}: the folder lacks some of its experts",
                        name);
    out.shape.insert(out.shape.begin(), n_experts);
  }
  for (const auto& [index, source] : target.parts) {
    if (source->shape != first.shape)
      return make_error(ErrorCode::kCorrupt, "tensor {}: shape differs from that of {}",
                        source->name, first.name);
    const bool heads =
        name.find(".attn_q.") != std::string::npos || name.find(".attn_k.") != std::string::npos;
    if (heads && spec_.qk_order == QkOrder::kAdjacentPairs) {
      LANTERN_TRY(reorder_heads(name, *source, out));
    } else {
      out.pieces.push_back(format::all_rows(*source));
    }
  }
  if (first.shape.size() == 1)
    out.add = spec_.hf_norm_plus_one && name.ends_with("norm.weight") ? 1.0f : 0.0f;
  return out;
}

/// Factors that config.json has as numbers and GGUF files as tensors.
Status Mapper::add_rope_tensors() {
  if (spec_.positions != Positions::kRope) return {};
  LANTERN_ASSIGN(HfRope rope, config_.rope());
  LANTERN_ASSIGN(int64_t n_rot, config_.n_rot());
  auto add = [&](std::string name, std::vector<float> values) -> Status {
    if (std::cmp_not_equal(values.size(), n_rot / 2))
      return make_error(ErrorCode::kCorrupt,
                        "config.json: {} rope factors, {} rotated dimensions need half as many",
                        values.size(), n_rot);
    tensors_.push_back({.name = std::move(name),
                        .shape = {n_rot / 2},
                        .pieces = {},
                        .values = std::move(values),
                        .add = {}});
    return {};
  };
  if (rope.type == "longrope") {
    LANTERN_TRY(add("rope_factors_long.weight", rope.long_factor));
    LANTERN_TRY(add("rope_factors_short.weight", rope.short_factor));
  }
  if (rope.type != "llama3") return {};
  Llama3Scaling scaling;
  scaling.factor = rope.factor.value_or(scaling.factor);
  scaling.low_freq_factor = rope.low_freq_factor.value_or(scaling.low_freq_factor);
  scaling.high_freq_factor = rope.high_freq_factor.value_or(scaling.high_freq_factor);
  scaling.n_context_original = rope.n_context_original.value_or(scaling.n_context_original);
  if (!(scaling.factor > 0 && scaling.low_freq_factor > 0 &&
        scaling.high_freq_factor > scaling.low_freq_factor))
    return make_error(ErrorCode::kCorrupt, "config.json: llama3 rope factors out of order");
  return add("rope_freqs.weight", llama3_factors(n_rot, rope.theta, scaling));
}

Status Mapper::map() {
  for (const Tensor& tensor : weights_.tensors()) LANTERN_TRY(map_tensor(tensor));
  for (const auto& [name, target] : targets_) {
    LANTERN_ASSIGN(RenamedTensor tensor, assemble(name, target));
    tensors_.push_back(std::move(tensor));
  }
  LANTERN_TRY(add_rope_tensors());
  if (config_.is_multimodal())
    notices_.push_back(
        fmt::format("only the text part of this multimodal checkpoint is used; {} tensors of other "
                    "parts are not",
                    n_other_parts_));
  if (!unknown_.empty())
    notices_.push_back(fmt::format("{} tensors are not used by {} models, the first is {}",
                                   unknown_.size(), spec_.name, unknown_[0]));
  return {};
}

std::vector<RenamedTensor> Mapper::take_tensors() { return std::move(tensors_); }

/// How a sentence-transformers folder pools states. Its Normalize module is what every embedding
/// goes through here; any other module would change them.
Status map_pooling(const format::HfFolder& folder, MetadataWriter& keys) {
  for (const base::Json& module : folder.modules) {
    std::string name;
    if (const auto type = module.find("type"); type != module.end() && type->is_string())
      name = type->get<std::string>();
    const std::string_view kind = std::string_view(name).substr(name.rfind('.') + 1);
    if (kind != "Transformer" && kind != "Pooling" && kind != "Normalize")
      return make_error(ErrorCode::kUnsupported,
                        "modules.json: a module of type \"{}\"; Transformer, Pooling and Normalize "
                        "are supported",
                        base::printable(name, 80));
  }
  struct Mode {
    std::string_view key;
    Pooling pooling;
  };
  constexpr Mode kModes[] = {{"pooling_mode_cls_token", Pooling::kCls},
                             {"pooling_mode_mean_tokens", Pooling::kMean},
                             {"pooling_mode_lasttoken", Pooling::kLast}};
  Pooling pooling = Pooling::kNone;
  for (const auto& [key, value] : folder.pooling.items()) {
    if (!key.starts_with("pooling_mode_") || value != true) continue;
    const auto* mode = std::ranges::find(kModes, key, &Mode::key);
    if (mode == std::end(kModes) || pooling != Pooling::kNone)
      return make_error(ErrorCode::kUnsupported,
                        "1_Pooling/config.json: {}: one of mean, cls and last token is supported",
                        base::printable(key, 80));
    pooling = mode->pooling;
  }
  if (pooling != Pooling::kNone) keys.integer("pooling_type", static_cast<int64_t>(pooling));
  return {};
}

Result<std::unique_ptr<format::Checkpoint>> map_folder(const format::HfFolder& folder) {
  LANTERN_ASSIGN(HfConfig config, HfConfig::create(folder.config));
  LANTERN_ASSIGN(const Spec* spec, find_spec_for_hf(config.architecture()));
  LANTERN_TRY(config.set_defaults(spec->hf_defaults));

  format::Metadata metadata((folder.path / "config.json").string());
  metadata.set("general.architecture", std::string(spec->name));
  metadata.set("general.name", folder.path.filename().string());
  if (folder.licence_id) metadata.set("general.license", *folder.licence_id);
  MetadataWriter keys(metadata, spec->name);
  LANTERN_TRY(map_common(*spec, config, keys));
  if (spec->from_config != nullptr) LANTERN_TRY(spec->from_config(config, keys));
  LANTERN_TRY(map_pooling(folder, keys));

  Mapper mapper(*spec, config, *folder.weights);
  LANTERN_TRY(mapper.map());
  format::StringArray notices;
  for (const std::string& notice : mapper.take_notices()) notices.push_back(notice);
  if (!notices.empty()) metadata.set(std::string(kNoticesKey), std::move(notices));
  return format::rename_tensors(folder.weights, std::move(metadata), mapper.take_tensors());
}

}  // namespace

std::optional<std::string> gguf_name(const Spec& spec, std::string_view name) {
  for (std::string_view outer : {"model.language_model.", "language_model.model."})
    if (name.starts_with(outer))
      return gguf_name(spec, "model." + std::string(name.substr(outer.size())));
  if (!spec.hf_prefix.empty() && name.starts_with(spec.hf_prefix))
    name.remove_prefix(spec.hf_prefix.size());
  const NumberedName numbered = take_numbers(name);
  const TensorNames names = tensor_names(spec);
  auto found = names.find(numbered.pattern);
  if (found == names.end()) found = names.find("model." + numbered.pattern);
  if (found == names.end() || numbered.numbers.size() > 1) return std::nullopt;
  std::string gguf(found->second);
  if (const size_t at = gguf.find("{}"); at != std::string::npos)
    gguf.replace(at, 2, std::to_string(numbered.numbers[0]));
  return gguf;
}

Result<std::unique_ptr<format::Checkpoint>> from_hf(const format::HfFolder& folder) {
  auto mapped = map_folder(folder);
  if (!mapped.ok()) return std::move(mapped).error().within(folder.path.string());
  return mapped;
}

Result<std::unique_ptr<format::Checkpoint>> open_checkpoint(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) return format::open_gguf(path);
  if (const format::DiskFolder files(path); format::is_peft_folder(files))
    return format::open_peft(files);
  LANTERN_ASSIGN(format::HfFolder opened, format::HfFolder::open(path));
  const auto folder = std::make_shared<const format::HfFolder>(std::move(opened));
  LANTERN_ASSIGN(auto checkpoint, from_hf(*folder));
  checkpoint->keep_folder(folder);
  return checkpoint;
}

}  // namespace lantern::arch
