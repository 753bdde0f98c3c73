// Products of quantized weights by the number of tokens.
#pragma once

#include "kernels/layout.h"
#include "kernels/vector/matmul_few.h"
#include "kernels/vector/matmul_float.h"
#include "kernels/vector/matmul_many.h"

namespace lantern::kernels {
namespace {

template <typename Type>
void quantized_product(const MatmulJob& job) {
  if (job.n_tokens == 1) return few_tokens<Type, 1>(job);
  if (job.n_tokens <= kFewTokens) return few_tokens<Type, kFewTokens>(job);
  constexpr int64_t kVectors = kTileGroups * kVectorsPerGroup;
  const int64_t n_vectors = job.n_groups * kVectorsPerGroup;
  for (int64_t v = 0; v < n_vectors; v += kVectors)
    many_tokens<Type>(job, v, n_vectors - v < kVectors ? n_vectors - v : kVectors);
}

}  // namespace
}  // namespace lantern::kernels
