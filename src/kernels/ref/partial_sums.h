// The reduction of norms and softmax: element i goes to sum i mod 16, the 16 sums fold by a fixed
// tree, which is what a vector of 16 lanes does.
#pragma once

#include <cmath>
#include <cstdint>

namespace lantern::kernels {

class PartialSums {
 public:
  void add(int64_t i, float x) { sums_[i % 16] = sums_[i % 16] + x; }
  void add_product(int64_t i, float x, float y) { sums_[i % 16] = std::fma(x, y, sums_[i % 16]); }
  float fold() {
    for (int half = 8; half > 0; half /= 2)
      for (int i = 0; i < half; ++i) sums_[i] = sums_[i] + sums_[i + half];
    return sums_[0];
  }

 private:
  float sums_[16] = {};
};

}  // namespace lantern::kernels
