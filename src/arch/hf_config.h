// config.json of a Hugging Face folder, and the GGUF metadata keys that it amounts to.
//
// transformers 4 writes rope_theta and rope_scaling beside the sizes; transformers 5 writes one
// object rope_parameters, which holds an object per layer type where layers differ. Multimodal
// checkpoints keep the language model's sizes in text_config.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "format/metadata.h"

namespace lantern::arch {

struct Spec;

/// One rope entry of config.json, whichever version wrote it.
struct HfRope {
  std::string type = "default";
  double theta = 10000.0;
  double partial_rotary_factor = 1.0;
  std::optional<double> factor, attention_factor, beta_fast, beta_slow, mscale, mscale_all_dim;
  std::optional<double> low_freq_factor, high_freq_factor, llama_4_scaling_beta;
  std::optional<double> n_context_original;
  std::vector<float> short_factor, long_factor;
};

class HfConfig {
 public:
  /// Errors: kCorrupt where sizes are missing or of a wrong type, kUnsupported for a folder whose
  /// weights are quantized in another tool's way.
  static Result<HfConfig> create(base::Json config);

  /// The first name under "architectures".
  [[nodiscard]] const std::string& architecture() const { return architecture_; }
  [[nodiscard]] bool is_multimodal() const { return multimodal_; }

  /// What find() falls back to: a JSON object.
  Status set_defaults(std::string_view json);

  /// A key's value: text_config's, the file's own, the defaults'; null where the first of them that
  /// has it says null, and where none has it.
  [[nodiscard]] const base::Json* find(std::string_view name) const;
  Result<int64_t> integer(std::string_view name, int64_t min, int64_t max) const;
  Result<int64_t> integer_or(std::string_view name, int64_t min, int64_t max,
                             int64_t otherwise) const;
  Result<double> real(std::string_view name) const;
  Result<double> real_or(std::string_view name, double otherwise) const;
  Result<bool> boolean_or(std::string_view name, bool otherwise) const;
  Result<std::string> text_or(std::string_view name, std::string otherwise) const;
  /// head_dim, or hidden_size / num_attention_heads.
  Result<int64_t> head_dim() const;
  /// Rope of the layers that see everything; `n_rot`: the dimensions it turns.
  Result<HfRope> rope() const;
  Result<int64_t> n_rot() const;
  /// The theta of layers with a sliding window where it differs in kind (Gemma 3), else nothing.
  Result<std::optional<double>> local_theta() const;

 private:
  base::Json config_, defaults_;
  std::string architecture_;
  bool multimodal_ = false;
};

/// Writes keys "<architecture>.<name>". Numbers are rounded to float32, as a GGUF file holds them,
/// so that a model computes the same from the folder and from its conversion.
class MetadataWriter {
 public:
  MetadataWriter(format::Metadata& metadata, std::string_view architecture)
      : metadata_(metadata), architecture_(architecture) {}
  void integer(std::string_view name, int64_t value);
  void real(std::string_view name, double value);
  void text(std::string_view name, std::string value);
  void boolean(std::string_view name, bool value);
  void booleans(std::string_view name, std::vector<bool> value);

 private:
  format::Metadata& metadata_;
  std::string architecture_;
};

/// The keys that all architectures share (what read_common() and `spec`'s traits read).
Status map_common(const Spec& spec, const HfConfig& config, MetadataWriter& keys);

}  // namespace lantern::arch
