// A transformer ready to run: weights interleaved, one step over a batch of sequences.
//
// An architecture is a Spec (spec.h), one file arch/models/<name>.cc each; the step itself
// (transformer.cc) reads like the paper and is shared.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "arch/pooling.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "kernels/matrix.h"
#include "kernels/ops.h"

namespace lantern::arch {

/// What the rooms above need to know of a model; the rest of the hyper-parameters is Spec's.
struct ModelInfo {
  std::string architecture;  // GGUF's name: "llama"
  int64_t n_layers = 0;
  int64_t n_vocab = 0;
  int64_t n_embd = 0;
  bool is_encoder = false;           // sees a whole sequence at once, and has no logits
  Pooling pooling = Pooling::kNone;  // anything else: the model was made for embeddings
  int64_t n_context_train = 0;       // the longest context that the model was made for
  /// Per layer: what its KV pages look like, and the sliding window (0: none).
  struct Layer {
    int64_t n_kv_heads = 0;
    int64_t head_dim = 0;
    int64_t value_dim = 0;
    int64_t window = 0;
  };
  std::vector<Layer> layers;
  /// Sequences planned longer than this have other rotations (LongRoPE), so other keys; 0: all have
  /// the same.
  int64_t long_rope_after = 0;
  uint64_t weight_bytes = 0;         // memory held
  std::vector<std::string> notices;  // lines for a person: tensors that nothing uses
};

enum class LogitsWanted { kNone, kLast, kAll };

/// A change to a model, loaded beside it and used by the sequences that name it. Belongs to the
/// model that loaded it, which outlives it; immutable, so that any number of sequences may share
/// it.
class Adapter {
 public:
  Adapter(Adapter&&) noexcept;
  Adapter& operator=(Adapter&&) noexcept;
  ~Adapter();

  [[nodiscard]] uint64_t bytes() const;  // memory held
  struct Impl;
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  friend class Model;
  explicit Adapter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// One sequence's part of a step. Its KV pages up to first_position + tokens.size() are allocated
/// and all of them before first_position are written. An encoder's sequence comes whole.
struct SequenceStep {
  std::span<const int32_t> tokens;
  int64_t first_position = 0;
  std::span<const kernels::KvView> kv;  // [n_layers]
  /// The length that length-dependent rope kinds (LongRoPE) are chosen by, once a sequence:
  /// prompt tokens plus the limit of generated ones.
  int64_t planned_length = 0;
  /// Whose change the sequence runs with, in all its steps; null: the model as it is.
  const Adapter* adapter = nullptr;
  LogitsWanted wanted = LogitsWanted::kLast;
  float* logits = nullptr;  // [1 or tokens.size(), n_vocab]
  /// Where not null: the wanted rows' states behind the last norm go here [1 or tokens.size(),
  /// n_embd] instead of their logits, in all sequences of the step alike.
  float* states = nullptr;
};

/// Scratch memory of steps; grows as needed, used by one step at a time.
class Workspace;

class Model {
 public:
  struct LoadOptions {
    const kernels::Context* context = nullptr;
    /// Called from time to time with bytes done and in all; false cancels. May be empty.
    std::function<bool(uint64_t done, uint64_t total)> progress;
  };
  /// Errors: kUnsupported architecture or feature, kCorrupt metadata or tensors (missing, of a
  /// wrong shape), kExhausted memory, kCancelled.
  static Result<Model> load(const format::AdmittedModel& model, LoadOptions options);

  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  [[nodiscard]] const ModelInfo& info() const;

  /// Loads a LoRA adapter (lora_file.h) for this model, `scale` times as strong as its file says.
  /// Errors: kInvalidArgument for what is no adapter or not this model's, kCorrupt, kUnsupported
  /// features by name, kExhausted memory. Safe while the model runs.
  Result<Adapter> load_adapter(const format::AdmittedModel& adapter, double scale = 1.0) const;

  /// Runs tokens of all sequences through the model, writing their K and V and the wanted logits or
  /// states. kUnsupported for logits of an encoder.
  /// Token ids must lie in the vocabulary (checked: kInvalidArgument). kCorrupt when logits or
  /// states are not finite, kDenied within a layer's time of the model's standing, or an
  /// adapter's, being withdrawn.
  Status forward(const kernels::Context& context, std::span<const SequenceStep> steps,
                 Workspace& workspace) const;

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

class Workspace {
 public:
  Workspace();
  ~Workspace();
  Workspace(Workspace&&) noexcept;
  Workspace& operator=(Workspace&&) noexcept;
  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::arch
