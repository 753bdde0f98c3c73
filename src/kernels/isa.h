// Which instruction set runs. All give equal bits (invariant 3); they differ in speed alone.
#pragma once

#include <string_view>

#include "base/result.h"

namespace lantern::kernels {

enum class Isa {
  kRef,      // scalar C++: defines the bits
  kAvx2,     // AVX2, FMA, F16C
  kAvxVnni,  // the same and AVX-VNNI
  kAvx512,   // AVX-512 F, BW, DQ, VL, VNNI
};

std::string_view isa_name(Isa isa);  // "ref", "avx2", "avxvnni", "avx512"
bool isa_supported(Isa isa);         // by this processor and operating system
Isa best_isa();
/// LANTERN_ISA where it is set, else best_isa(). kInvalidArgument for an unknown name,
/// kUnsupported for one that this processor lacks.
Result<Isa> isa_from_environment();

}  // namespace lantern::kernels
