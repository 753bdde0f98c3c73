#include "kernels/isa.h"

#include <array>
#include <cstdlib>

namespace lantern::kernels {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
};

// From the widest down: best_isa() takes the first that runs.
constexpr std::array<IsaRow, 4> kIsas = {{{Isa::kAvx512, "avx512"},
                                          {Isa::kAvxVnni, "avxvnni"},
                                          {Isa::kAvx2, "avx2"},
                                          {Isa::kRef, "ref"}}};

}  // namespace

std::string_view isa_name(Isa isa) {
  for (const auto& row : kIsas)
    if (row.isa == isa) return row.name;
  return "unknown";
}

// The compiler's own look at CPUID asks XGETBV too, so a set whose registers the
// operating system does not save counts as absent.
bool isa_supported(Isa isa) {
  if (isa == Isa::kRef) return true;
#if defined(__x86_64__)
  __builtin_cpu_init();
  bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("f16c") && __builtin_cpu_supports("bmi2");
  if (!avx2) return false;
  switch (isa) {
    case Isa::kRef:
    case Isa::kAvx2:
      return true;
    case Isa::kAvxVnni:
      return __builtin_cpu_supports("avxvnni");
    case Isa::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
             __builtin_cpu_supports("avx512vnni");
  }
#endif
  return false;
}

Isa best_isa() {
  for (const auto& row : kIsas)
    if (isa_supported(row.isa)) return row.isa;
  return Isa::kRef;
}

Result<Isa> isa_from_environment() {
  const char* wanted = std::getenv("LANTERN_ISA");
  if (wanted == nullptr || *wanted == '\0') return best_isa();
  for (const auto& row : kIsas) {
    if (row.name != wanted) continue;
    if (!isa_supported(row.isa))
      return make_error(ErrorCode::kUnsupported,
                        "LANTERN_ISA: this processor has no {}; unset it to take {}", row.name,
                        isa_name(best_isa()));
    return row.isa;
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "LANTERN_ISA: \"{}\" is none of ref, avx2, avxvnni, avx512", wanted);
}

}  // namespace lantern::kernels
