#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace lantern::base {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "lantern: internal error at %s:%d: %s\n", file, line, condition);
  std::abort();
}

}  // namespace lantern::base
