#include "arch/experts.h"

#include <algorithm>

#include "kernels/ops.h"

namespace lantern::arch {
namespace {

/// Softmax over all experts, then the best n_used with their weights.
void route(const HyperParameters& hyper, const kernels::Context& context, int64_t n_tokens,
           ExpertScratch& scratch) {
  const int64_t n_experts = hyper.n_experts;
  const int64_t n_used = hyper.n_experts_used;
  kernels::softmax(context, n_tokens, n_experts, n_experts, scratch.scores.data());
  int32_t* chosen = room(scratch.chosen, n_tokens * n_used);
  float* weights = room(scratch.weights, n_tokens * n_used);
  for (int64_t t = 0; t < n_tokens; ++t) {
    const float* scores = scratch.scores.data() + t * n_experts;
    int32_t* best = chosen + t * n_used;
    float* weight = weights + t * n_used;
    choose_experts(scores, n_experts, n_used, best);
    float sum = 0.0f;
    for (int64_t r = 0; r < n_used; ++r) sum += weight[r] = scores[best[r]];
    for (int64_t r = 0; r < n_used; ++r) {
      if (hyper.expert_weights_norm) weight[r] /= sum;
      weight[r] *= hyper.expert_weights_scale;
    }
  }
}

/// Sorts the choices by expert, tokens in order within each.
void group(const HyperParameters& hyper, int64_t n_tokens, ExpertScratch& scratch) {
  const int64_t n_choices = n_tokens * hyper.n_experts_used;
  int64_t* begins = room(scratch.begins, hyper.n_experts + 1);
  std::fill_n(begins, hyper.n_experts + 1, 0);
  for (int64_t i = 0; i < n_choices; ++i) ++begins[scratch.chosen[static_cast<size_t>(i)] + 1];
  for (int64_t e = 0; e < hyper.n_experts; ++e) begins[e + 1] += begins[e];
  int32_t* tokens = room(scratch.tokens, n_choices);
  int32_t* slots = room(scratch.slots, n_choices);
  for (int64_t i = 0; i < n_choices; ++i) {
    int64_t slot = begins[scratch.chosen[static_cast<size_t>(i)]]++;
    tokens[slot] = static_cast<int32_t>(i / hyper.n_experts_used);
    slots[i] = static_cast<int32_t>(slot);
  }
  // Filling moved every begin to its end, which is the next one's begin.
  for (int64_t e = hyper.n_experts; e > 0; --e) begins[e] = begins[e - 1];
  begins[0] = 0;
}

/// One expert's feed-forward over its n tokens, into outputs[first, first + n).
void run_expert(const HyperParameters& hyper, const LayerWeights& layer, size_t expert,
                const kernels::Context& context, const kernels::Activations& x,
                ExpertScratch& scratch) {
  const int64_t first = scratch.begins[expert];
  const int64_t n = scratch.begins[expert + 1] - first;
  if (n == 0) return;
  const int64_t n_ff = hyper.n_ff_expert;
  float* gate = room(scratch.gate, n * n_ff);
  float* up = room(scratch.up, n * n_ff);
  const kernels::Product products[] = {
      {.weight = &layer.expert_gate[expert], .y = gate, .y_stride = n_ff},
      {.weight = &layer.expert_up[expert], .y = up, .y_stride = n_ff}};
  kernels::matmul_gathered(
      context, x,
      std::span(scratch.tokens).subspan(static_cast<size_t>(first), static_cast<size_t>(n)),
      products);
  kernels::gated_activation(context, hyper.activation, n * n_ff, up, gate);
  const kernels::Matrix& down = layer.expert_down[expert];
  scratch.activations.assign(context, gate, n, n_ff, n_ff,
                             kernels::wants_quantized_activations(down.type()));
  const kernels::Product product{.weight = &down,
                                 .y = scratch.outputs.data() + first * hyper.n_embd,
                                 .y_stride = hyper.n_embd};
  kernels::matmul(context, scratch.activations, std::span(&product, 1));
}

/// One token, as in decoding: all its experts' gates and ups in one region. Its outputs stand in
/// the order of its choices.
void run_one_token(const HyperParameters& hyper, const LayerWeights& layer,
                   const kernels::Context& context, const kernels::Activations& x,
                   ExpertScratch& scratch) {
  const int64_t n_used = hyper.n_experts_used;
  const int64_t n_ff = hyper.n_ff_expert;
  float* gate = room(scratch.gate, n_used * n_ff);
  float* up = room(scratch.up, n_used * n_ff);
  int32_t* slots = room(scratch.slots, n_used);
  scratch.products.clear();
  for (int64_t r = 0; r < n_used; ++r) {
    const auto expert = static_cast<size_t>(scratch.chosen[static_cast<size_t>(r)]);
    scratch.products.push_back(
        {.weight = &layer.expert_gate[expert], .y = gate + r * n_ff, .y_stride = n_ff});
    scratch.products.push_back(
        {.weight = &layer.expert_up[expert], .y = up + r * n_ff, .y_stride = n_ff});
    slots[r] = static_cast<int32_t>(r);
  }
  kernels::matmul(context, x, scratch.products);
  kernels::gated_activation(context, hyper.activation, n_used * n_ff, up, gate);
  for (int64_t r = 0; r < n_used; ++r) {
    const kernels::Matrix& down =
        layer.expert_down[static_cast<size_t>(scratch.chosen[static_cast<size_t>(r)])];
    scratch.activations.assign(context, gate + r * n_ff, 1, n_ff, n_ff,
                               kernels::wants_quantized_activations(down.type()));
    const kernels::Product product{
        .weight = &down, .y = scratch.outputs.data() + r * hyper.n_embd, .y_stride = hyper.n_embd};
    kernels::matmul(context, scratch.activations, std::span(&product, 1));
  }
}

}  // namespace

void choose_experts(const float* scores, int64_t n, int64_t k, int32_t* chosen) {
  // Insertion into a short sorted list: k is a handful, n at most a few hundred.
  int64_t size = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (size == k && !(scores[i] > scores[chosen[k - 1]])) continue;
    int64_t place = size < k ? size++ : k - 1;
    for (; place > 0 && scores[i] > scores[chosen[place - 1]]; --place)
      chosen[place] = chosen[place - 1];
    chosen[place] = static_cast<int32_t>(i);
  }
}

void run_experts(const HyperParameters& hyper, const LayerWeights& layer,
                 const kernels::Context& context, const kernels::Activations& x,
                 ExpertScratch& scratch, float* out) {
  const int64_t n_tokens = x.n_tokens();
  const int64_t n_used = hyper.n_experts_used;
  const int64_t n_embd = hyper.n_embd;
  const kernels::Product scores{.weight = &layer.router,
                                .y = room(scratch.scores, n_tokens * hyper.n_experts),
                                .y_stride = hyper.n_experts};
  kernels::matmul(context, x, std::span(&scores, 1));
  route(hyper, context, n_tokens, scratch);
  room(scratch.outputs, n_tokens * n_used * n_embd);
  if (n_tokens == 1) {
    run_one_token(hyper, layer, context, x, scratch);
  } else {
    group(hyper, n_tokens, scratch);
    for (size_t e = 0; e < layer.expert_gate.size(); ++e)
      run_expert(hyper, layer, e, context, x, scratch);
  }

  context.pool->parallel_for(n_tokens, 1, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      float* y = out + t * n_embd;
      std::fill_n(y, n_embd, 0.0f);
      for (int64_t r = 0; r < n_used; ++r) {
        const float weight = scratch.weights[static_cast<size_t>(t * n_used + r)];
        const float* part =
            scratch.outputs.data() + scratch.slots[static_cast<size_t>(t * n_used + r)] * n_embd;
        for (int64_t i = 0; i < n_embd; ++i) y[i] += weight * part[i];
      }
    }
  });
}

}  // namespace lantern::arch
