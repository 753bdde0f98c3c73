// The elementary functions over sixteen lanes: operation for operation the trees of
// ref/functions.cc. Included after an instruction set's vector.h, by its files alone.
#pragma once

#include "kernels/functions_constants.h"

namespace lantern::kernels {
namespace {

LANTERN_INLINE Floats canonical_nan(Mask m, Floats x) {
  return select(m, from_bits(broadcast_bits(0x7fc00000)), x);
}

LANTERN_INLINE Floats exp_v(Floats x) {
  Floats magic = broadcast(kRoundMagic);
  Floats y = max(broadcast(kExpLow), x);
  y = min(broadcast(kExpHigh), y);
  Floats t = fma(y, broadcast(kLog2E), magic);
  Floats n = sub(t, magic);
  Floats r = fnma(n, broadcast(kLn2High), y);
  r = fnma(n, broadcast(kLn2Low), r);
  Floats q = fma(r, broadcast(kExpQ4), broadcast(kExpQ3));
  q = fma(r, q, broadcast(kExpQ2));
  q = fma(r, q, broadcast(kExpQ1));
  q = fma(r, q, broadcast(kExpQ0));
  Floats p = add(fma(mul(r, r), q, r), broadcast(1.0f));
  Ints exponent = sub(bits(t), bits(magic));
  Ints half = shift_right<1>(exponent);
  Ints bias = broadcast_bits(127);
  Floats first = from_bits(shift_left<23>(add(half, bias)));
  Floats second = from_bits(shift_left<23>(add(sub(exponent, half), bias)));
  return canonical_nan(is_nan(x), mul(mul(p, first), second));
}

/// A NaN gives a NaN, not the canonical one: in attention it makes the whole row NaN anyway.
LANTERN_INLINE Floats exp2_flushed_v(Floats x) {
  Floats magic = broadcast(kExp2Magic);
  Floats y = max(broadcast(kExp2Low), x);
  Floats t = add(y, magic);
  Floats f = sub(y, sub(t, magic));
  Floats g = fma(f, broadcast(kExp2G5), broadcast(kExp2G4));
  g = fma(f, g, broadcast(kExp2G3));
  g = fma(f, g, broadcast(kExp2G2));
  g = fma(f, g, broadcast(kExp2G1));
  g = fma(f, g, broadcast(kExp2G0));
  Floats p = fma(f, g, broadcast(1.0f));
  return mul(p, from_bits(shift_left<23>(bits(t))));
}

LANTERN_INLINE Floats tanh_v(Floats x) {
  Floats a = abs(x);
  Floats z = mul(a, a);
  Floats t = fma(z, broadcast(kTanhT4), broadcast(kTanhT3));
  t = fma(z, t, broadcast(kTanhT2));
  t = fma(z, t, broadcast(kTanhT1));
  t = fma(z, t, broadcast(kTanhT0));
  Floats small = fma(mul(a, z), t, a);
  Floats one = broadcast(1.0f);
  Floats large = sub(one, div(broadcast(2.0f), add(exp_v(add(a, a)), one)));
  Floats result = select(less(a, broadcast(kTanhSmall)), small, large);
  return canonical_nan(is_nan(x), copy_sign(result, x));
}

LANTERN_INLINE Floats erf_v(Floats x) {
  Floats a = abs(x);
  Floats z = mul(a, a);
  Floats s = fma(z, broadcast(kErfS6), broadcast(kErfS5));
  s = fma(z, s, broadcast(kErfS4));
  s = fma(z, s, broadcast(kErfS3));
  s = fma(z, s, broadcast(kErfS2));
  s = fma(z, s, broadcast(kErfS1));
  s = fma(z, s, broadcast(kErfS0));
  Floats small = fma(a, s, a);
  Floats b = min(broadcast(kErfOne), a);
  Floats u = fma(b, broadcast(kErfU7), broadcast(kErfU6));
  u = fma(b, u, broadcast(kErfU5));
  u = fma(b, u, broadcast(kErfU4));
  u = fma(b, u, broadcast(kErfU3));
  u = fma(b, u, broadcast(kErfU2));
  u = fma(b, u, broadcast(kErfU1));
  u = fma(b, u, broadcast(kErfU0));
  Floats large = sub(broadcast(1.0f), exp_v(u));
  Floats result = select(less(a, broadcast(kErfSmall)), small, large);
  return canonical_nan(is_nan(x), copy_sign(result, x));
}

}  // namespace
}  // namespace lantern::kernels
