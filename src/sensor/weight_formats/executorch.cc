// ExecuTorch: a FlatBuffer with its identifier at offset 4. The graph is not read.
#include <algorithm>

#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

bool matches(const FileEnds& ends) {
  return ends.head.substr(std::min<size_t>(4, ends.head.size()), 4) == "ET12";
}
Status read(const WeightInput&, WeightFacts&) { return {}; }

}  // namespace

extern const WeightFormat k_executorch;
const WeightFormat k_executorch = {.name = "ExecuTorch", .matches = matches, .read = read};

}  // namespace lantern::sensor
