#include "arch/weights.h"

#include <algorithm>
#include <cstring>
#include <initializer_list>
#include <new>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "arch/rope.h"
#include "base/checked.h"
#include "format/checkpoint.h"
#include "quant/dtype.h"

namespace lantern::arch {
namespace {

using format::Tensor;
using kernels::Matrix;

std::string shape_text(std::span<const int64_t> shape) {
  std::string out = "[";
  for (int64_t size : shape) out += fmt::format("{}{}", out.size() > 1 ? ", " : "", size);
  return out + "]";
}

/// Rows of one tensor as Matrix::pack asks for them. Where a head's rows stand in adjacent pairs
/// (head_dim > 0), they come out as halves: whole heads are read, and rows taken from them.
struct RowSource {
  const format::AdmittedModel& model;
  const Tensor& tensor;
  uint64_t row_bytes = 0;
  int64_t first_row = 0;  // of the matrix, in the tensor
  int64_t head_dim = 0;   // 0: rows stay in order
  const std::function<bool(uint64_t)>& advance;
  std::vector<std::byte> head = {};
  int64_t head_index = -1;

  Status read(int64_t first, int64_t n, std::byte* out) {
    auto bytes = static_cast<size_t>(n) * row_bytes;
    if (!advance(bytes)) return make_error(ErrorCode::kCancelled, "loading was cancelled");
    if (head_dim == 0) return read_rows(first, n, std::span(out, bytes));
    for (int64_t row = first; row < first + n; ++row, out += row_bytes) {
      if (row / head_dim != head_index) {
        head.resize(static_cast<size_t>(head_dim) * row_bytes);
        LANTERN_TRY(read_rows(row / head_dim * head_dim, head_dim, head));
        head_index = row / head_dim;
      }
      int64_t i = row % head_dim;
      int64_t half = head_dim / 2;
      int64_t source = i < half ? 2 * i : 2 * (i - half) + 1;
      std::memcpy(out, head.data() + static_cast<uint64_t>(source) * row_bytes, row_bytes);
    }
    return {};
  }

  Status read_rows(int64_t first, int64_t n, std::span<std::byte> out) {
    LANTERN_CHECK(out.size() == static_cast<uint64_t>(n) * row_bytes);
    return format::read_tensor(model, tensor, static_cast<uint64_t>(first_row + first) * row_bytes,
                               out);
  }

  static Status read_erased(void* context, int64_t first, int64_t n, std::byte* out) {
    return static_cast<RowSource*>(context)->read(first, n, out);
  }
};

class Loader {
 public:
  Loader(const format::AdmittedModel& model, const Spec& spec, const LoadOptions& options,
         Network& network)
      : model_(model), spec_(spec), options_(options), net_(network) {
    for (const Tensor& tensor : model.checkpoint().tensors()) total_ += tensor.bytes;
    advance_ = [this](uint64_t bytes) {
      done_ += bytes;
      return !options_.progress || options_.progress(std::min(done_, total_), total_);
    };
  }

  Status load();

 private:
  Status load_embeddings();
  Status load_layer(int64_t index);
  Status load_attention(const std::string& prefix, const LayerParameters& shape,
                        LayerWeights& layer);
  Status load_attention_biases(const std::string& prefix, const LayerParameters& shape,
                               LayerWeights& layer);
  Status load_dense(const std::string& prefix, int64_t n_ff, LayerWeights& layer);
  Status load_experts(const std::string& prefix, LayerWeights& layer);
  Status load_rope();
  void note_unused();

  struct Rows {
    int64_t first = 0;
    int64_t n = 0;
    int64_t head_dim = 0;  // > 0: un-permuted from adjacent pairs
  };
  /// Rows of `tensor`, whose rows have `cols` values.
  Result<Matrix> pack(const Tensor& tensor, Rows rows, int64_t cols);
  /// The tensor `name`, of exactly this shape.
  Result<const Tensor*> require(const std::string& name, std::initializer_list<int64_t> shape);
  /// The same, or null where there is none.
  Result<const Tensor*> find(const std::string& name, std::initializer_list<int64_t> shape);
  Result<Matrix> matrix(const std::string& name, int64_t rows, int64_t cols);
  /// `name` whole, or else its rows in `fused`, which has n_fused rows.
  Result<Matrix> matrix_or_fused(const std::string& name, const std::string& fused, int64_t n_fused,
                                 Rows rows, int64_t cols);
  Result<std::vector<Matrix>> experts(const std::string& name, const std::string& fused,
                                      int64_t first_fused, int64_t rows, int64_t cols);
  Result<std::vector<float>> vector(const std::string& name, int64_t n);
  Result<std::vector<float>> vector_or_empty(const std::string& name, int64_t n);
  Result<std::vector<float>> read_vector(const Tensor& tensor);

  const format::AdmittedModel& model_;
  const Spec& spec_;
  const LoadOptions& options_;
  Network& net_;
  std::function<bool(uint64_t)> advance_;
  uint64_t done_ = 0;
  uint64_t total_ = 0;
  std::set<std::string, std::less<>> used_;
};

Result<const Tensor*> Loader::find(const std::string& name, std::initializer_list<int64_t> shape) {
  const Tensor* tensor = model_.checkpoint().find(name);
  if (tensor == nullptr) return tensor;
  if (!std::ranges::equal(tensor->shape, shape))
    return make_error(
        ErrorCode::kCorrupt, "tensor {}: shape {}, a {} model with these sizes has {}", name,
        shape_text(tensor->shape), spec_.name, shape_text(std::span(shape.begin(), shape.size())));
  used_.insert(name);
  return tensor;
}

Result<const Tensor*> Loader::require(const std::string& name,
                                      std::initializer_list<int64_t> shape) {
  LANTERN_ASSIGN(const Tensor* tensor, find(name, shape));
  if (tensor == nullptr)
    return make_error(ErrorCode::kCorrupt,
                      "tensor {} is missing, and {} models need it: the file is incomplete", name,
                      spec_.name);
  return tensor;
}

Result<Matrix> Loader::pack(const Tensor& tensor, Rows rows, int64_t cols) {
  auto bytes = quant::row_bytes(tensor.type, static_cast<uint64_t>(cols));
  if (!bytes.ok()) return std::move(bytes).error().within("tensor " + tensor.name);
  RowSource source{.model = model_,
                   .tensor = tensor,
                   .row_bytes = bytes.value(),
                   .first_row = rows.first,
                   .head_dim = rows.head_dim,
                   .advance = advance_};
  auto packed = Matrix::pack(*options_.context, {.type = tensor.type, .rows = rows.n, .cols = cols},
                             &RowSource::read_erased, &source);
  if (!packed.ok()) return std::move(packed).error().within("tensor " + tensor.name);
  net_.bytes += packed.value().bytes();
  return packed;
}

Result<Matrix> Loader::matrix(const std::string& name, int64_t rows, int64_t cols) {
  LANTERN_ASSIGN(const Tensor* tensor, require(name, {rows, cols}));
  return pack(*tensor, {.n = rows}, cols);
}

Result<Matrix> Loader::matrix_or_fused(const std::string& name, const std::string& fused,
                                       int64_t n_fused, Rows rows, int64_t cols) {
  if (model_.checkpoint().find(fused) != nullptr && model_.checkpoint().find(name) == nullptr) {
    LANTERN_ASSIGN(const Tensor* tensor, require(fused, {n_fused, cols}));
    return pack(*tensor, rows, cols);
  }
  LANTERN_ASSIGN(const Tensor* tensor, require(name, {rows.n, cols}));
  rows.first = 0;
  return pack(*tensor, rows, cols);
}

Result<std::vector<Matrix>> Loader::experts(const std::string& name, const std::string& fused,
                                            int64_t first_fused, int64_t rows, int64_t cols) {
  int64_t n_experts = net_.hyper.n_experts;
  const Tensor* tensor = nullptr;
  int64_t stride = rows;
  if (!fused.empty() && model_.checkpoint().find(fused) != nullptr) {
    LANTERN_ASSIGN(tensor, require(fused, {n_experts, 2 * rows, cols}));
    stride = 2 * rows;
  } else {
    LANTERN_ASSIGN(tensor, require(name, {n_experts, rows, cols}));
    first_fused = 0;
  }
  std::vector<Matrix> out;
  for (int64_t i = 0; i < n_experts; ++i) {
    LANTERN_ASSIGN(Matrix expert,
                   pack(*tensor, {.first = i * stride + first_fused, .n = rows}, cols));
    out.push_back(std::move(expert));
  }
  return out;
}

Result<std::vector<float>> Loader::read_vector(const Tensor& tensor) {
  const quant::Format* format = quant::find_format(tensor.type);
  if (format == nullptr || format->block_size != 1)
    return make_error(ErrorCode::kUnsupported, "tensor {}: a vector must be F32, F16 or BF16",
                      tensor.name);
  std::vector<std::byte> bytes(tensor.bytes);
  LANTERN_TRY(format::read_tensor(model_, tensor, 0, bytes));
  if (!advance_(tensor.bytes)) return make_error(ErrorCode::kCancelled, "loading was cancelled");
  std::vector<float> out(static_cast<size_t>(tensor.shape[0]));
  format->decode(bytes.data(), tensor.shape[0], out.data());
  net_.bytes += out.size() * sizeof(float);
  return out;
}

Result<std::vector<float>> Loader::vector(const std::string& name, int64_t n) {
  LANTERN_ASSIGN(const Tensor* tensor, require(name, {n}));
  return read_vector(*tensor);
}

Result<std::vector<float>> Loader::vector_or_empty(const std::string& name, int64_t n) {
  LANTERN_ASSIGN(const Tensor* tensor, find(name, {n}));
  if (tensor == nullptr) return std::vector<float>{};
  return read_vector(*tensor);
}

/// The inverse of RowSource's order, for a bias.
void pairs_to_halves(std::span<float> rows, int64_t head_dim) {
  std::vector<float> head(static_cast<size_t>(head_dim));
  size_t half = head.size() / 2;
  for (size_t begin = 0; begin < rows.size(); begin += head.size()) {
    for (size_t i = 0; i < half; ++i) {
      head[i] = rows[begin + 2 * i];
      head[half + i] = rows[begin + 2 * i + 1];
    }
    std::ranges::copy(head, rows.begin() + static_cast<int64_t>(begin));
  }
}

Status Loader::load_attention_biases(const std::string& prefix, const LayerParameters& shape,
                                     LayerWeights& layer) {
  const int64_t head_dim = net_.hyper.head_dim;
  const int64_t n_q = shape.n_heads * head_dim;
  const int64_t n_k = shape.n_kv_heads * head_dim;
  const int64_t n_v = shape.n_kv_heads * net_.hyper.value_dim;
  LANTERN_ASSIGN(layer.output_bias,
                 vector_or_empty(prefix + "attn_output.bias", net_.hyper.n_embd));
  if (model_.checkpoint().find(prefix + "attn_qkv.bias") != nullptr) {
    LANTERN_ASSIGN(layer.qkv_bias, vector(prefix + "attn_qkv.bias", n_q + n_k + n_v));
  } else if (spec_.requires_qkv_bias ||
             model_.checkpoint().find(prefix + "attn_q.bias") != nullptr) {
    LANTERN_ASSIGN(layer.qkv_bias, vector(prefix + "attn_q.bias", n_q));
    LANTERN_ASSIGN(std::vector<float> k, vector(prefix + "attn_k.bias", n_k));
    LANTERN_ASSIGN(std::vector<float> v, vector(prefix + "attn_v.bias", n_v));
    layer.qkv_bias.insert(layer.qkv_bias.end(), k.begin(), k.end());
    layer.qkv_bias.insert(layer.qkv_bias.end(), v.begin(), v.end());
  }
  if (!layer.qkv_bias.empty() && spec_.qk_order == QkOrder::kAdjacentPairs)
    pairs_to_halves(std::span(layer.qkv_bias).first(static_cast<size_t>(n_q + n_k)), head_dim);
  return {};
}

Status Loader::load_attention(const std::string& prefix, const LayerParameters& shape,
                              LayerWeights& layer) {
  const HyperParameters& hyper = net_.hyper;
  const int64_t n_q = shape.n_heads * hyper.head_dim;
  const int64_t n_k = shape.n_kv_heads * hyper.head_dim;
  const int64_t n_v = shape.n_kv_heads * hyper.value_dim;
  const int64_t n_qkv = n_q + n_k + n_v;
  const int64_t paired = spec_.qk_order == QkOrder::kAdjacentPairs ? hyper.head_dim : 0;
  const std::string fused = prefix + "attn_qkv.weight";
  LANTERN_ASSIGN(layer.q, matrix_or_fused(prefix + "attn_q.weight", fused, n_qkv,
                                          {.n = n_q, .head_dim = paired}, hyper.n_embd));
  LANTERN_ASSIGN(layer.k,
                 matrix_or_fused(prefix + "attn_k.weight", fused, n_qkv,
                                 {.first = n_q, .n = n_k, .head_dim = paired}, hyper.n_embd));
  LANTERN_ASSIGN(layer.v, matrix_or_fused(prefix + "attn_v.weight", fused, n_qkv,
                                          {.first = n_q + n_k, .n = n_v}, hyper.n_embd));
  LANTERN_ASSIGN(layer.output, matrix(prefix + "attn_output.weight", hyper.n_embd,
                                      shape.n_heads * hyper.value_dim));
  if (hyper.qk_norm) {
    LANTERN_ASSIGN(layer.q_norm, vector(prefix + "attn_q_norm.weight", hyper.head_dim));
    LANTERN_ASSIGN(layer.k_norm, vector(prefix + "attn_k_norm.weight", hyper.head_dim));
  }
  return load_attention_biases(prefix, shape, layer);
}

Status Loader::load_dense(const std::string& prefix, int64_t n_ff, LayerWeights& layer) {
  const int64_t n_embd = net_.hyper.n_embd;
  if (!net_.hyper.gated) {
    LANTERN_ASSIGN(layer.up, matrix(prefix + "ffn_up.weight", n_ff, n_embd));
    LANTERN_ASSIGN(layer.down, matrix(prefix + "ffn_down.weight", n_embd, n_ff));
    LANTERN_ASSIGN(layer.up_bias, vector_or_empty(prefix + "ffn_up.bias", n_ff));
    LANTERN_ASSIGN(layer.down_bias, vector_or_empty(prefix + "ffn_down.bias", n_embd));
    return {};
  }
  // Phi 3 keeps gate and up in one tensor, gate first, under the name of up.
  if (model_.checkpoint().find(prefix + "ffn_gate.weight") == nullptr) {
    LANTERN_ASSIGN(const Tensor* fused, require(prefix + "ffn_up.weight", {2 * n_ff, n_embd}));
    LANTERN_ASSIGN(layer.gate, pack(*fused, {.n = n_ff}, n_embd));
    LANTERN_ASSIGN(layer.up, pack(*fused, {.first = n_ff, .n = n_ff}, n_embd));
  } else {
    LANTERN_ASSIGN(layer.gate, matrix(prefix + "ffn_gate.weight", n_ff, n_embd));
    LANTERN_ASSIGN(layer.up, matrix(prefix + "ffn_up.weight", n_ff, n_embd));
  }
  LANTERN_ASSIGN(layer.down, matrix(prefix + "ffn_down.weight", n_embd, n_ff));
  LANTERN_ASSIGN(layer.gate_bias, vector_or_empty(prefix + "ffn_gate.bias", n_ff));
  LANTERN_ASSIGN(layer.up_bias, vector_or_empty(prefix + "ffn_up.bias", n_ff));
  LANTERN_ASSIGN(layer.down_bias, vector_or_empty(prefix + "ffn_down.bias", n_embd));
  return {};
}

Status Loader::load_experts(const std::string& prefix, LayerWeights& layer) {
  const HyperParameters& hyper = net_.hyper;
  const std::string fused = prefix + "ffn_gate_up_exps.weight";
  LANTERN_ASSIGN(layer.router,
                 matrix(prefix + "ffn_gate_inp.weight", hyper.n_experts, hyper.n_embd));
  LANTERN_ASSIGN(layer.expert_gate, experts(prefix + "ffn_gate_exps.weight", fused, 0,
                                            hyper.n_ff_expert, hyper.n_embd));
  LANTERN_ASSIGN(layer.expert_up, experts(prefix + "ffn_up_exps.weight", fused, hyper.n_ff_expert,
                                          hyper.n_ff_expert, hyper.n_embd));
  LANTERN_ASSIGN(layer.expert_down,
                 experts(prefix + "ffn_down_exps.weight", "", 0, hyper.n_embd, hyper.n_ff_expert));
  return {};
}

Status Loader::load_layer(int64_t index) {
  const HyperParameters& hyper = net_.hyper;
  const LayerParameters& shape = hyper.layers[static_cast<size_t>(index)];
  const std::string prefix = fmt::format("blk.{}.", index);
  LayerWeights layer;
  LANTERN_TRY(load_attention(prefix, shape, layer));
  if (hyper.output_norms) {
    const std::string after_attention = prefix + "attn_output_norm";
    const std::string after_layer = prefix + "layer_output_norm";
    LANTERN_ASSIGN(layer.attn_output_norm, vector(after_attention + ".weight", hyper.n_embd));
    LANTERN_ASSIGN(layer.attn_output_norm_bias, vector(after_attention + ".bias", hyper.n_embd));
    LANTERN_ASSIGN(layer.layer_output_norm, vector(after_layer + ".weight", hyper.n_embd));
    LANTERN_ASSIGN(layer.layer_output_norm_bias, vector(after_layer + ".bias", hyper.n_embd));
  } else {
    LANTERN_ASSIGN(layer.attn_norm, vector(prefix + "attn_norm.weight", hyper.n_embd));
    LANTERN_ASSIGN(layer.ffn_norm, vector(prefix + "ffn_norm.weight", hyper.n_embd));
  }
  if (hyper.post_norms) {
    LANTERN_ASSIGN(layer.attn_post_norm,
                   vector(prefix + "post_attention_norm.weight", hyper.n_embd));
    LANTERN_ASSIGN(layer.ffn_post_norm, vector(prefix + "post_ffw_norm.weight", hyper.n_embd));
  }
  // Some models of experts have dense layers among them.
  bool dense =
      hyper.n_experts == 0 || model_.checkpoint().find(prefix + "ffn_down.weight") != nullptr;
  LANTERN_TRY(dense ? load_dense(prefix, shape.n_ff, layer) : load_experts(prefix, layer));
  net_.layers.push_back(std::move(layer));
  return {};
}

Status Loader::load_rope() {
  if (net_.hyper.positions != Positions::kRope) return {};
  const RopeParameters& rope = net_.hyper.rope;
  const int64_t n_pairs = rope.n_rot / 2;
  LANTERN_ASSIGN(std::vector<float> factors, vector_or_empty("rope_freqs.weight", n_pairs));
  LANTERN_ASSIGN(std::vector<float> shorter, vector_or_empty("rope_factors_short.weight", n_pairs));
  LANTERN_ASSIGN(std::vector<float> longer, vector_or_empty("rope_factors_long.weight", n_pairs));
  if (shorter.empty() != longer.empty() || (!longer.empty() && rope.n_context_original == 0))
    return make_error(ErrorCode::kCorrupt,
                      "tensors rope_factors_short.weight and rope_factors_long.weight go together, "
                      "with metadata key {}.rope.scaling.original_context_length",
                      spec_.name);
  for (const auto* list : {&factors, &shorter, &longer})
    for (float factor : *list)
      if (!(factor > 0.0f && factor < 1e9f))
        return make_error(ErrorCode::kCorrupt, "rope factor {} is not a positive number", factor);
  net_.rope.global = inverse_frequencies(rope, shorter.empty() ? factors : shorter);
  if (!longer.empty()) net_.rope.global_long = inverse_frequencies(rope, longer);
  if (rope.theta_local != 0.0) net_.rope.local = local_inverse_frequencies(rope);
  return {};
}

void Loader::note_unused() {
  size_t n = 0;
  std::string first;
  for (const Tensor& tensor : model_.checkpoint().tensors())
    if (!used_.contains(tensor.name) && n++ == 0) first = tensor.name;
  if (n > 0)
    net_.notices.push_back(
        fmt::format("{} tensors are not used by {} models, the first is {}", n, spec_.name, first));
}

/// What encoders have beside the tokens' own vectors: those of positions and of the first type (all
/// tokens of one text are of it), and a norm of their sum.
Status Loader::load_embeddings() {
  const int64_t n_embd = net_.hyper.n_embd;
  if (net_.hyper.positions == Positions::kLearned) {
    LANTERN_ASSIGN(net_.positions,
                   matrix("position_embd.weight", net_.hyper.n_context_train, n_embd));
  }
  if (const Tensor* types = model_.checkpoint().find("token_types.weight")) {
    if (types->shape.size() != 2 || types->shape[0] < 1 || types->shape[1] != n_embd)
      return make_error(ErrorCode::kCorrupt,
                        "tensor token_types.weight: its shape is not [types, {}]", n_embd);
    LANTERN_ASSIGN(const Matrix first, pack(*types, {.n = 1}, n_embd));
    used_.insert(types->name);
    net_.token_type.resize(static_cast<size_t>(n_embd));
    first.row(0, net_.token_type.data());
  }
  LANTERN_ASSIGN(net_.embedding_norm, vector("token_embd_norm.weight", n_embd));
  LANTERN_ASSIGN(net_.embedding_norm_bias, vector("token_embd_norm.bias", n_embd));
  return {};
}

Status Loader::load() {
  const format::Tensor* embedding = model_.checkpoint().find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2 || embedding->shape[0] < 1 ||
      embedding->shape[0] > kVocabMax)
    return make_error(ErrorCode::kCorrupt,
                      "tensor token_embd.weight: missing, or its shape is not [vocabulary, {}]",
                      net_.hyper.n_embd);
  net_.n_vocab = embedding->shape[0];
  LANTERN_ASSIGN(net_.embedding, matrix("token_embd.weight", net_.n_vocab, net_.hyper.n_embd));
  net_.tied = model_.checkpoint().find("output.weight") == nullptr;
  if (!net_.tied) {
    LANTERN_ASSIGN(net_.untied_head, matrix("output.weight", net_.n_vocab, net_.hyper.n_embd));
  }
  if (net_.hyper.is_encoder) {
    LANTERN_TRY(load_embeddings());
  } else {
    LANTERN_ASSIGN(net_.output_norm, vector("output_norm.weight", net_.hyper.n_embd));
  }
  for (int64_t i = 0; i < std::ssize(net_.hyper.layers); ++i) LANTERN_TRY(load_layer(i));
  LANTERN_TRY(load_rope());
  note_unused();
  return {};
}

}  // namespace

Result<Network> load_network(const format::AdmittedModel& model, const Spec& spec,
                             HyperParameters hyper, const LoadOptions& options) {
  Network network;
  network.standing = model.standing();
  network.hyper = std::move(hyper);
  try {
    Loader loader(model, spec, options, network);
    LANTERN_TRY(loader.load());
  } catch (const std::bad_alloc&) {
    return make_error(ErrorCode::kExhausted, "not enough memory for the weights");
  }
  return network;
}

}  // namespace lantern::arch
