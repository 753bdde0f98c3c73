// Elementary functions with fixed bits: scalar versions, the definition that every
// instruction set's vector version equals. For code outside the hot loops (rope tables,
// sampling) and for the reference kernels.
#pragma once

namespace lantern::kernels {

float exp_f32(float x);
float log_f32(float x);  // natural; -inf at 0, NaN below
float sin_f32(float x);  // |x| up to 2^24 reduced exactly enough: error at most 2 ulp
float cos_f32(float x);
float tanh_f32(float x);
float erf_f32(float x);
float pow_f32(float x, float y);  // x > 0

}  // namespace lantern::kernels
