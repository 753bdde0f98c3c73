// A mixture of experts in place of a feed-forward block (Shazeer et al., 2017).
#pragma once

#include <cstdint>

#include "arch/network.h"
#include "arch/workspace.h"
#include "kernels/matrix.h"

namespace lantern::arch {

/// out[n_tokens, n_embd] = the weighted sum of each token's chosen experts, added in the order of
/// their rank, so that neither the batch nor the number of threads changes it. `x` holds the
/// normed activations of n_tokens tokens.
void run_experts(const HyperParameters& hyper, const LayerWeights& layer,
                 const kernels::Context& context, const kernels::Activations& x,
                 ExpertScratch& scratch, float* out);

/// Indices of the k largest of scores[n], best first; equal scores go to the lower index.
void choose_experts(const float* scores, int64_t n, int64_t k, int32_t* chosen);

}  // namespace lantern::arch
