// The entries of a table MatmulKernels, in the order of WeightKind.
#define LANTERN_VECTOR_PRODUCTS                                                         \
  float_product<F32>, float_product<F16>, float_product<Bf16>, quantized_product<Q4_0>, \
      quantized_product<Q4_1>, quantized_product<Q5_0>, quantized_product<Q5_1>,        \
      quantized_product<Q8_0>, quantized_product<Q2K>, quantized_product<Q3K>,          \
      quantized_product<Q4K>, quantized_product<Q5K>, quantized_product<Q6K>,           \
      quantized_product<Iq4Nl>, quantized_product<Iq4Xs>, quantized_product<Mxfp4>
