// The step of a transformer, for every architecture: embed, then per layer
//
//   x += output(attention(rope(q), rope(k), v))   with q, k, v = W norm(x)
//   x += down(activation(gate) * up)              with gate, up = W norm(x)
//
// then logits = head norm(x), or the states norm(x) themselves. Encoders of BERT's kind norm x
// behind each of the two sums instead of before them, and add positions to the embedding. All
// tokens of all sequences go through the matrix products together; attention alone knows which
// sequence a token belongs to. Every operation treats a row (a token) by itself, in an order that
// the batch does not change.
//
// K and V are wanted for every token, logits for few: in the last layer everything behind the
// attention runs for the wanted rows alone.
#include "arch/transformer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <new>

#include "arch/experts.h"
#include "arch/lora.h"
#include "arch/rope.h"

namespace lantern::arch {
namespace {

/// Bytes of logits that one slice of the head makes where several sequences' rows are together.
constexpr int64_t kLogitsSliceBytes = 16 << 20;

/// Bytes of activations inside the feed-forward blocks (gate and up, or the experts' outputs) that
/// are there at once, and the fewest tokens worth a pass over the weights.
constexpr int64_t kFeedForwardBytes = 32 << 20;
constexpr int64_t kFeedForwardTokensMin = 128;

/// Rows of q, k and v. Where nothing comes between their products and rope, a token's q, k and v
/// lie side by side, so that biases and rope are one region each.
struct QkvRows {
  const float* input;  // what they are products of
  float *q, *k, *v;
  int64_t q_stride, k_stride, v_stride;
  bool side_by_side;
};

class Step {
 public:
  Step(const Network& network, const kernels::Context& context, std::span<const SequenceStep> steps,
       Workspace::Impl& workspace)
      : net_(network), hyper_(network.hyper), context_(context), steps_(steps), ws_(workspace) {}

  Status run();

 private:
  Status check_tokens();
  void collect_rows();
  void collect_adapted_rows();
  void compute_rope();
  void compute_angles(const std::vector<float>& frequencies, int64_t first, int64_t n,
                      float* cosines, float* sines);
  void embed();
  QkvRows project(const LayerWeights& layer, const LayerParameters& shape);
  void add_biases(const LayerWeights& layer, const LayerParameters& shape, const QkvRows& rows);
  void rotate(const LayerWeights& layer, const LayerParameters& shape, const QkvRows& rows);
  void attend(size_t index, const LayerParameters& shape, const QkvRows& rows);
  void keep_wanted_rows(int64_t width);
  void attention_block(size_t index, bool last);
  void feed_forward_block(const LayerWeights& layer, const LayerParameters& shape);
  void feed_forward(const LayerWeights& layer, int64_t n_ff, const float* input, int64_t first,
                    int64_t n);
  void adapt(const float* x, int64_t k, int64_t first, int64_t n,
             std::initializer_list<ChangedProduct> changed);
  void inner_products(const LayerWeights& layer, int64_t n_ff, const float* x, int64_t first,
                      int64_t n);
  void add_block(const std::vector<float>& post_norm);
  const float* block_input(const std::vector<float>& weight, int64_t n);
  void norm_residual(const std::vector<float>& weight, const std::vector<float>& bias);
  void norm(const float* x, const std::vector<float>& weight, int64_t n, int64_t k, int64_t stride,
            float* y);
  Status head();
  Status write_states(const float* states);
  Status write_logits(int64_t first, int64_t n);

  const Network& net_;
  const HyperParameters& hyper_;
  const kernels::Context& context_;
  std::span<const SequenceStep> steps_;
  Workspace::Impl& ws_;
  int64_t n_tokens_ = 0;  // of the step
  bool wants_states_ = false;
  int64_t n_rows_ = 0;  // that are still computed: all tokens, then the wanted ones
  size_t layer_ = 0;    // that is being computed
};

Status Step::run() {
  LANTERN_TRY(check_tokens());
  if (n_tokens_ == 0) return {};
  collect_rows();
  collect_adapted_rows();
  compute_rope();
  embed();
  for (size_t i = 0; i < net_.layers.size(); ++i) {
    LANTERN_TRY(net_.standing->check());
    for (size_t a = 0; a < ws_.n_adapted; ++a)
      LANTERN_TRY(ws_.adapted[a].adapter->standing->check());
    layer_ = i;
    attention_block(i, i + 1 == net_.layers.size());
    if (n_rows_ == 0) return {};
    feed_forward_block(net_.layers[i], hyper_.layers[i]);
  }
  return head();
}

Status Step::check_tokens() {
  wants_states_ = !steps_.empty() && steps_[0].states != nullptr;
  for (const SequenceStep& step : steps_) {
    LANTERN_CHECK(step.kv.size() == net_.layers.size());
    LANTERN_CHECK((step.states != nullptr) == wants_states_);
    LANTERN_CHECK(step.adapter == nullptr || step.adapter->impl().weights.network == &net_);
    if (hyper_.is_encoder && !wants_states_)
      return make_error(ErrorCode::kUnsupported,
                        "a {} model makes embeddings, it writes no text and has no logits",
                        hyper_.architecture);
    LANTERN_CHECK(!hyper_.is_encoder || step.first_position == 0);
    if (hyper_.positions == Positions::kLearned &&
        step.first_position + std::ssize(step.tokens) > hyper_.n_context_train)
      return make_error(ErrorCode::kInvalidArgument,
                        "{} tokens are more than the {} positions that the model knows",
                        step.first_position + std::ssize(step.tokens), hyper_.n_context_train);
    for (int32_t token : step.tokens)
      if (token < 0 || token >= net_.n_vocab)
        return make_error(ErrorCode::kInvalidArgument,
                          "token {} is not in the model's vocabulary of {}", token, net_.n_vocab);
    n_tokens_ += std::ssize(step.tokens);
  }
  n_rows_ = n_tokens_;
  return {};
}

/// Positions of all tokens; rows and places of the logits that are wanted.
void Step::collect_rows() {
  int32_t* positions = room(ws_.positions, n_tokens_);
  ws_.wanted.clear();
  ws_.destinations.clear();
  int64_t row = 0;
  for (const SequenceStep& step : steps_) {
    const int64_t n = std::ssize(step.tokens);
    for (int64_t i = 0; i < n; ++i, ++row) {
      positions[row] = static_cast<int32_t>(step.first_position + i);
      bool last = i + 1 == n;
      if (step.wanted == LogitsWanted::kNone || (step.wanted == LogitsWanted::kLast && !last))
        continue;
      ws_.wanted.push_back(row);
      float* begin = wants_states_ ? step.states : step.logits;
      const int64_t width = wants_states_ ? hyper_.n_embd : net_.n_vocab;
      ws_.destinations.push_back(step.wanted == LogitsWanted::kLast ? begin : begin + i * width);
    }
  }
}

/// Which rows run with which adapter. Buffers stay from step to step.
void Step::collect_adapted_rows() {
  ws_.n_adapted = 0;
  int32_t row = 0;
  for (const SequenceStep& step : steps_) {
    const auto end = row + static_cast<int32_t>(step.tokens.size());
    if (step.adapter != nullptr && row < end) {
      const LoraWeights* adapter = &step.adapter->impl().weights;
      size_t i = 0;
      while (i < ws_.n_adapted && ws_.adapted[i].adapter != adapter) ++i;
      if (i == ws_.n_adapted) {
        if (++ws_.n_adapted > ws_.adapted.size()) ws_.adapted.emplace_back();
        ws_.adapted[i].adapter = adapter;
        ws_.adapted[i].rows.clear();
      }
      for (int32_t r = row; r < end; ++r) ws_.adapted[i].rows.push_back(r);
    }
    row = end;
  }
}

/// Adds what the rows' adapters change in products of x [n, k], which are rows [first, first + n).
void Step::adapt(const float* x, int64_t k, int64_t first, int64_t n,
                 std::initializer_list<ChangedProduct> changed) {
  for (size_t i = 0; i < ws_.n_adapted; ++i) {
    const AdaptedRows& adapted = ws_.adapted[i];
    std::vector<int32_t>& rows = ws_.lora.rows;
    rows.clear();
    for (auto at = std::ranges::lower_bound(adapted.rows, static_cast<int32_t>(first));
         at != adapted.rows.end() && *at < first + n; ++at)
      rows.push_back(*at - static_cast<int32_t>(first));
    add_changes(context_, adapted.adapter->layers[layer_], rows, x, n, k, changed, ws_.lora);
  }
}

void Step::compute_angles(const std::vector<float>& frequencies, int64_t first, int64_t n,
                          float* cosines, float* sines) {
  const auto n_pairs = static_cast<int64_t>(frequencies.size());
  const bool local = &frequencies == &net_.rope.local;
  kernels::rope_angles(context_,
                       {.inverse_frequency = frequencies,
                        .magnitude = local ? 1.0f : static_cast<float>(hyper_.rope.magnitude)},
                       n, ws_.positions.data() + first, cosines + first * n_pairs,
                       sines + first * n_pairs);
}

/// The angles of every token, once for all layers; LongRoPE chooses by each sequence's plan.
void Step::compute_rope() {
  if (hyper_.positions != Positions::kRope) return;
  const int64_t n_values = n_tokens_ * (hyper_.rope.n_rot / 2);
  float* cosines = room(ws_.cosines, n_values);
  float* sines = room(ws_.sines, n_values);
  if (net_.rope.global_long.empty()) {
    compute_angles(net_.rope.global, 0, n_tokens_, cosines, sines);
  } else {
    int64_t first = 0;
    for (const SequenceStep& step : steps_) {
      const bool is_long = step.planned_length > hyper_.rope.n_context_original;
      const int64_t n = std::ssize(step.tokens);
      compute_angles(is_long ? net_.rope.global_long : net_.rope.global, first, n, cosines, sines);
      first += n;
    }
  }
  if (!net_.rope.local.empty())
    compute_angles(net_.rope.local, 0, n_tokens_, room(ws_.local_cosines, n_values),
                   room(ws_.local_sines, n_values));
  if (hyper_.temperature_scale == 0.0f) return;
  float* temperatures = room(ws_.temperatures, n_tokens_);
  for (int64_t t = 0; t < n_tokens_; ++t) {
    const int64_t period = ws_.positions[static_cast<size_t>(t)] / hyper_.rope.n_context_original;
    const auto log = static_cast<float>(log_f64(static_cast<double>(1 + period)));
    temperatures[t] = 1.0f + hyper_.temperature_scale * log;
  }
}

void Step::embed() {
  float* x = room(ws_.residual, n_tokens_ * hyper_.n_embd);
  int64_t first = 0;
  for (const SequenceStep& step : steps_) {
    context_.pool->parallel_for(std::ssize(step.tokens), 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        net_.embedding.row(step.tokens[static_cast<size_t>(i)], x + (first + i) * hyper_.n_embd);
    });
    first += std::ssize(step.tokens);
  }
  if (hyper_.embedding_scale != 1.0f)
    kernels::scale(context_, n_tokens_ * hyper_.n_embd, hyper_.embedding_scale, x);
  if (!net_.token_type.empty())
    kernels::add_bias(context_, n_tokens_, hyper_.n_embd, hyper_.n_embd, net_.token_type.data(), x);
  if (hyper_.positions == Positions::kLearned) {
    float* added = room(ws_.block, n_tokens_ * hyper_.n_embd);
    context_.pool->parallel_for(n_tokens_, 8, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        net_.positions.row(ws_.positions[static_cast<size_t>(i)], added + i * hyper_.n_embd);
    });
    kernels::add(context_, n_tokens_ * hyper_.n_embd, added, x);
  }
  if (!net_.embedding_norm.empty()) norm_residual(net_.embedding_norm, net_.embedding_norm_bias);
}

/// x = layer norm(x), of the rows that are still computed.
void Step::norm_residual(const std::vector<float>& weight, const std::vector<float>& bias) {
  const int64_t n_embd = hyper_.n_embd;
  float* x = ws_.residual.data();
  kernels::layer_norm(context_, {.n = n_rows_, .k = n_embd, .x_stride = n_embd, .y_stride = n_embd},
                      x, {.weight = weight.data(), .bias = bias.data(), .eps = hyper_.norm_eps}, x);
}

/// What a block reads: norm(x), or x itself where norms stand behind the blocks. [n, n_embd]
const float* Step::block_input(const std::vector<float>& weight, int64_t n) {
  if (hyper_.output_norms) return ws_.residual.data();
  float* normed = room(ws_.normed, n * hyper_.n_embd);
  norm(ws_.residual.data(), weight, n, hyper_.n_embd, hyper_.n_embd, normed);
  return normed;
}

void Step::norm(const float* x, const std::vector<float>& weight, int64_t n, int64_t k,
                int64_t stride, float* y) {
  kernels::rms_norm(context_, {.n = n, .k = k, .x_stride = stride, .y_stride = stride}, x,
                    weight.data(), hyper_.norm_eps, y);
}

/// True where one of the matrices' types wants the activations quantized.
bool wants_quantized(std::initializer_list<const kernels::Matrix*> weights) {
  return std::ranges::any_of(weights, [](const kernels::Matrix* weight) {
    return kernels::wants_quantized_activations(weight->type());
  });
}

/// q, k, v = W norm(x), in one region.
QkvRows Step::project(const LayerWeights& layer, const LayerParameters& shape) {
  const int64_t n_embd = hyper_.n_embd;
  const int64_t n_q = shape.n_heads * hyper_.head_dim;
  const int64_t n_k = shape.n_kv_heads * hyper_.head_dim;
  const int64_t n_v = shape.n_kv_heads * hyper_.value_dim;
  const int64_t n_qkv = n_q + n_k + n_v;
  QkvRows rows{};
  if (hyper_.qk_norm) {
    rows = {.input = nullptr,
            .q = room(ws_.q, n_tokens_ * n_q),
            .k = room(ws_.k, n_tokens_ * n_k),
            .v = room(ws_.v, n_tokens_ * n_v),
            .q_stride = n_q,
            .k_stride = n_k,
            .v_stride = n_v,
            .side_by_side = false};
  } else {
    float* q = room(ws_.q, n_tokens_ * n_qkv);
    rows = {.input = nullptr,
            .q = q,
            .k = q + n_q,
            .v = q + n_q + n_k,
            .q_stride = n_qkv,
            .k_stride = n_qkv,
            .v_stride = n_qkv,
            .side_by_side = true};
  }
  rows.input = block_input(layer.attn_norm, n_tokens_);
  ws_.activations.assign(context_, rows.input, n_tokens_, n_embd, n_embd,
                         wants_quantized({&layer.q, &layer.k, &layer.v}));
  const kernels::Product products[] = {
      {.weight = &layer.q, .y = rows.q, .y_stride = rows.q_stride},
      {.weight = &layer.k, .y = rows.k, .y_stride = rows.k_stride},
      {.weight = &layer.v, .y = rows.v, .y_stride = rows.v_stride}};
  kernels::matmul(context_, ws_.activations, products);
  return rows;
}

void Step::add_biases(const LayerWeights& layer, const LayerParameters& shape,
                      const QkvRows& rows) {
  if (layer.qkv_bias.empty()) return;
  const int64_t n_q = shape.n_heads * hyper_.head_dim;
  const int64_t n_k = shape.n_kv_heads * hyper_.head_dim;
  const float* bias = layer.qkv_bias.data();
  if (rows.side_by_side) {
    kernels::add_bias(context_, n_tokens_, rows.q_stride, rows.q_stride, bias, rows.q);
    return;
  }
  kernels::add_bias(context_, n_tokens_, n_q, rows.q_stride, bias, rows.q);
  kernels::add_bias(context_, n_tokens_, n_k, rows.k_stride, bias + n_q, rows.k);
  kernels::add_bias(context_, n_tokens_, rows.v_stride, rows.v_stride, bias + n_q + n_k, rows.v);
}

/// Norms of heads where the model has them, rope, and the temperature of far positions.
void Step::rotate(const LayerWeights& layer, const LayerParameters& shape, const QkvRows& rows) {
  if (hyper_.positions != Positions::kRope) return;
  const int64_t head_dim = hyper_.head_dim;
  if (hyper_.qk_norm) {
    norm(rows.q, layer.q_norm, n_tokens_ * shape.n_heads, head_dim, head_dim, rows.q);
    norm(rows.k, layer.k_norm, n_tokens_ * shape.n_kv_heads, head_dim, head_dim, rows.k);
  }
  const kernels::RopeAngles angles{
      .n_pairs = hyper_.rope.n_rot / 2,
      .cosines = shape.rope_local ? ws_.local_cosines.data() : ws_.cosines.data(),
      .sines = shape.rope_local ? ws_.local_sines.data() : ws_.sines.data()};
  kernels::RopeShape heads{.n_tokens = n_tokens_,
                           .n_heads = shape.n_heads,
                           .head_dim = head_dim,
                           .stride = rows.q_stride};
  if (rows.side_by_side) {
    heads.n_heads += shape.n_kv_heads;
    kernels::rope(context_, heads, angles, rows.q);
  } else {
    kernels::rope(context_, heads, angles, rows.q);
    heads.n_heads = shape.n_kv_heads;
    heads.stride = rows.k_stride;
    kernels::rope(context_, heads, angles, rows.k);
  }
  if (hyper_.temperature_scale == 0.0f) return;
  for (int64_t t = 0; t < n_tokens_; ++t) {
    const float temperature = ws_.temperatures[static_cast<size_t>(t)];
    if (temperature != 1.0f)
      kernels::scale(context_, shape.n_heads * head_dim, temperature, rows.q + t * rows.q_stride);
  }
}

/// Writes this layer's K and V, then attends each sequence's queries over its cache.
void Step::attend(size_t index, const LayerParameters& shape, const QkvRows& rows) {
  const int64_t width = shape.n_heads * hyper_.value_dim;
  float* out = room(ws_.attended, n_tokens_ * width);
  ws_.sequences.clear();
  int64_t first = 0;
  for (const SequenceStep& step : steps_) {
    const int64_t n = std::ssize(step.tokens);
    if (n == 0) continue;
    kernels::kv_write(context_, step.kv[index], step.first_position, n,
                      rows.k + first * rows.k_stride, rows.k_stride, rows.v + first * rows.v_stride,
                      rows.v_stride);
    ws_.sequences.push_back({.kv = step.kv[index],
                             .first_position = step.first_position,
                             .n_tokens = n,
                             .q = rows.q + first * rows.q_stride,
                             .out = out + first * width});
    first += n;
  }
  kernels::attention(
      context_,
      {.mask = hyper_.is_encoder ? kernels::AttentionMask::kNone : kernels::AttentionMask::kCausal,
       .n_heads = shape.n_heads,
       .q_stride = rows.q_stride,
       .out_stride = width,
       .scale = hyper_.attention_scale,
       .softcap = hyper_.attention_softcap,
       .window = shape.window},
      ws_.sequences);
}

/// From here on only the wanted rows of the residual stream and of the attention's output count.
void Step::keep_wanted_rows(int64_t width) {
  const auto n_wanted = std::ssize(ws_.wanted);
  const int64_t n_embd = hyper_.n_embd;
  for (int64_t i = 0; i < n_wanted; ++i) {
    const int64_t row = ws_.wanted[static_cast<size_t>(i)];  // at least i, so nothing is lost
    if (row == i) continue;
    std::copy_n(ws_.residual.data() + row * n_embd, n_embd, ws_.residual.data() + i * n_embd);
    std::copy_n(ws_.attended.data() + row * width, width, ws_.attended.data() + i * width);
  }
  n_rows_ = n_wanted;
  for (size_t a = 0; a < ws_.n_adapted; ++a) {
    std::vector<int32_t>& rows = ws_.adapted[a].rows;
    std::vector<int32_t>& kept = ws_.lora.rows;
    kept.clear();
    for (int64_t i = 0; i < n_wanted; ++i)
      if (std::ranges::binary_search(rows, ws_.wanted[static_cast<size_t>(i)]))
        kept.push_back(static_cast<int32_t>(i));
    rows.swap(kept);
  }
}

void Step::attention_block(size_t index, bool last) {
  const LayerWeights& layer = net_.layers[index];
  const LayerParameters& shape = hyper_.layers[index];
  const int64_t width = shape.n_heads * hyper_.value_dim;
  const int64_t n_embd = hyper_.n_embd;
  const QkvRows rows = project(layer, shape);
  add_biases(layer, shape, rows);
  adapt(rows.input, n_embd, 0, n_tokens_,
        {{LoraTarget::kQ, rows.q, rows.q_stride},
         {LoraTarget::kK, rows.k, rows.k_stride},
         {LoraTarget::kV, rows.v, rows.v_stride}});
  rotate(layer, shape, rows);
  attend(index, shape, rows);
  if (last) keep_wanted_rows(width);
  if (n_rows_ == 0) return;

  ws_.activations.assign(context_, ws_.attended.data(), n_rows_, width, width,
                         wants_quantized({&layer.output}));
  const kernels::Product product{
      .weight = &layer.output, .y = room(ws_.block, n_rows_ * n_embd), .y_stride = n_embd};
  kernels::matmul(context_, ws_.activations, std::span(&product, 1));
  if (!layer.output_bias.empty())
    kernels::add_bias(context_, n_rows_, n_embd, n_embd, layer.output_bias.data(),
                      ws_.block.data());
  adapt(ws_.attended.data(), width, 0, n_rows_, {{LoraTarget::kOutput, ws_.block.data(), n_embd}});
  add_block(layer.attn_post_norm);
  if (hyper_.output_norms) norm_residual(layer.attn_output_norm, layer.attn_output_norm_bias);
}

/// x += block, normed and scaled first where the model says so.
void Step::add_block(const std::vector<float>& post_norm) {
  const int64_t n = n_rows_ * hyper_.n_embd;
  if (!post_norm.empty())
    norm(ws_.block.data(), post_norm, n_rows_, hyper_.n_embd, hyper_.n_embd, ws_.block.data());
  if (hyper_.residual_scale != 1.0f)
    kernels::scale(context_, n, hyper_.residual_scale, ws_.block.data());
  kernels::add(context_, n, ws_.block.data(), ws_.residual.data());
}

void Step::feed_forward_block(const LayerWeights& layer, const LayerParameters& shape) {
  const int64_t n_embd = hyper_.n_embd;
  const float* input = block_input(layer.ffn_norm, n_rows_);
  room(ws_.block, n_rows_ * n_embd);
  const int64_t values_per_token =
      layer.has_experts() ? hyper_.n_experts_used * n_embd : 2 * shape.n_ff;
  const int64_t most =
      std::max(kFeedForwardTokensMin,
               kFeedForwardBytes / (values_per_token * static_cast<int64_t>(sizeof(float))));
  const int64_t n_slices = (n_rows_ + most - 1) / most;
  const int64_t slice = (n_rows_ + n_slices - 1) / n_slices;
  for (int64_t first = 0; first < n_rows_; first += slice)
    feed_forward(layer, shape.n_ff, input, first, std::min(slice, n_rows_ - first));
  add_block(layer.ffn_post_norm);
  if (hyper_.output_norms) norm_residual(layer.layer_output_norm, layer.layer_output_norm_bias);
}

/// gate = activation(gate) * up of the n activations x, rows [first, first + n), or activation(up)
/// where there is no gate.
void Step::inner_products(const LayerWeights& layer, int64_t n_ff, const float* x, int64_t first,
                          int64_t n) {
  float* gate = room(ws_.gate, n * n_ff);
  if (!hyper_.gated) {
    const kernels::Product product{.weight = &layer.up, .y = gate, .y_stride = n_ff};
    kernels::matmul(context_, ws_.activations, std::span(&product, 1));
    if (!layer.up_bias.empty())
      kernels::add_bias(context_, n, n_ff, n_ff, layer.up_bias.data(), gate);
    adapt(x, hyper_.n_embd, first, n, {{LoraTarget::kUp, gate, n_ff}});
    kernels::activation(context_, hyper_.activation, n * n_ff, gate);
    return;
  }
  float* up = room(ws_.up, n * n_ff);
  const kernels::Product products[] = {{.weight = &layer.gate, .y = gate, .y_stride = n_ff},
                                       {.weight = &layer.up, .y = up, .y_stride = n_ff}};
  kernels::matmul(context_, ws_.activations, products);
  if (!layer.gate_bias.empty())
    kernels::add_bias(context_, n, n_ff, n_ff, layer.gate_bias.data(), gate);
  if (!layer.up_bias.empty()) kernels::add_bias(context_, n, n_ff, n_ff, layer.up_bias.data(), up);
  adapt(x, hyper_.n_embd, first, n, {{LoraTarget::kGate, gate, n_ff}, {LoraTarget::kUp, up, n_ff}});
  kernels::gated_activation(context_, hyper_.activation, n * n_ff, up, gate);
}

/// block = down(activation(gate) * up) of rows [first, first + n), or the experts' sum.
void Step::feed_forward(const LayerWeights& layer, int64_t n_ff, const float* input, int64_t first,
                        int64_t n) {
  const int64_t n_embd = hyper_.n_embd;
  const float* x = input + first * n_embd;
  float* out = ws_.block.data() + first * n_embd;
  if (layer.has_experts()) {
    ws_.activations.assign(
        context_, x, n, n_embd, n_embd,
        wants_quantized({&layer.router, layer.expert_gate.data(), layer.expert_up.data()}));
    run_experts(hyper_, layer, context_, ws_.activations, ws_.experts, out);
    return;
  }
  const bool quantized =
      hyper_.gated ? wants_quantized({&layer.gate, &layer.up}) : wants_quantized({&layer.up});
  ws_.activations.assign(context_, x, n, n_embd, n_embd, quantized);
  inner_products(layer, n_ff, x, first, n);
  ws_.ff_activations.assign(context_, ws_.gate.data(), n, n_ff, n_ff,
                            wants_quantized({&layer.down}));
  const kernels::Product product{.weight = &layer.down, .y = out, .y_stride = n_embd};
  kernels::matmul(context_, ws_.ff_activations, std::span(&product, 1));
  if (!layer.down_bias.empty())
    kernels::add_bias(context_, n, n_embd, n_embd, layer.down_bias.data(), out);
  adapt(ws_.gate.data(), n_ff, first, n, {{LoraTarget::kDown, out, n_embd}});
}

/// The wanted rows' states, to where they are wanted.
Status Step::write_states(const float* states) {
  const int64_t n_embd = hyper_.n_embd;
  if (!std::all_of(states, states + n_rows_ * n_embd, [](float x) { return std::isfinite(x); }))
    return make_error(ErrorCode::kCorrupt,
                      "the model's states are not finite: its weights are damaged or overflow "
                      "float32");
  for (int64_t i = 0; i < n_rows_; ++i)
    std::copy_n(states + i * n_embd, n_embd, ws_.destinations[static_cast<size_t>(i)]);
  return {};
}

/// logits = head norm(x) of the wanted rows, in slices.
Status Step::head() {
  const int64_t n_embd = hyper_.n_embd;
  if (hyper_.is_encoder) return write_states(ws_.residual.data());
  norm(ws_.residual.data(), net_.output_norm, n_rows_, n_embd, n_embd,
       room(ws_.normed, n_rows_ * n_embd));
  if (wants_states_) return write_states(ws_.normed.data());
  const auto row_bytes = net_.n_vocab * static_cast<int64_t>(sizeof(float));
  const int64_t slice = std::max<int64_t>(1, kLogitsSliceBytes / row_bytes);
  for (int64_t first = 0; first < n_rows_; first += slice)
    LANTERN_TRY(write_logits(first, std::min(slice, n_rows_ - first)));
  return {};
}

Status Step::write_logits(int64_t first, int64_t n) {
  const int64_t n_vocab = net_.n_vocab;
  const std::span<float* const> to =
      std::span(ws_.destinations).subspan(static_cast<size_t>(first), static_cast<size_t>(n));
  bool in_place = true;  // one sequence's rows stand where they should
  for (int64_t i = 1; i < n; ++i)
    in_place = in_place && to[static_cast<size_t>(i)] == to[0] + i * n_vocab;
  float* logits = in_place ? to[0] : room(ws_.logits, n * n_vocab);
  ws_.activations.assign(context_, ws_.normed.data() + first * hyper_.n_embd, n, hyper_.n_embd,
                         hyper_.n_embd, wants_quantized({&net_.head()}));
  const kernels::Product product{.weight = &net_.head(), .y = logits, .y_stride = n_vocab};
  kernels::matmul(context_, ws_.activations, std::span(&product, 1));
  if (hyper_.logit_scale != 1.0f) kernels::scale(context_, n * n_vocab, hyper_.logit_scale, logits);
  if (hyper_.logit_softcap != 0.0f)
    kernels::softcap(context_, n * n_vocab, hyper_.logit_softcap, logits);
  if (!std::all_of(logits, logits + n * n_vocab, [](float x) { return std::isfinite(x); }))
    return make_error(ErrorCode::kCorrupt,
                      "the model's logits are not finite: its weights are damaged or overflow "
                      "float32");
  if (!in_place)
    for (int64_t i = 0; i < n; ++i)
      std::copy_n(logits + i * n_vocab, n_vocab, to[static_cast<size_t>(i)]);
  return {};
}

}  // namespace

Status run_step(const Network& network, const kernels::Context& context,
                std::span<const SequenceStep> steps, Workspace::Impl& workspace) {
  try {
    return Step(network, context, steps, workspace).run();
  } catch (const std::bad_alloc&) {
    return make_error(ErrorCode::kExhausted, "not enough memory for a step of the model");
  }
}

}  // namespace lantern::arch
