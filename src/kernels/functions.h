// Elementary functions with fixed bits: scalar versions, the definition that every
// instruction set's vector version equals. For code outside the hot loops (rope tables,
// sampling) and for the reference kernels.
//
// Errors, in units in the last place, as functions_test.cc measures and bounds them: exp 1.1,
// tanh 2, erf 2, log, sin, cos and pow 0.51. Overflow gives infinity, underflow a denormal or 0.
// A NaN gives the quiet NaN 0x7fc00000 whatever its payload.
#pragma once

namespace lantern::kernels {

float exp_f32(float x);
float log_f32(float x);  // natural; -inf at 0, NaN below
float sin_f32(float x);  // |x| up to 2^30, NaN beyond: a rope's angles are below 2^31 positions
float cos_f32(float x);
float tanh_f32(float x);
float erf_f32(float x);
float pow_f32(float x, float y);  // x > 0, NaN for x < 0; pow(0, y) is 0, 1 or inf

/// 2^x for attention's weights, where x <= 0: results below 2^-126 are 0, which spares the vector
/// versions the second scaling. Error 1.1 ulp. x > 127 is not supported.
float exp2_flushed_f32(float x);

}  // namespace lantern::kernels
