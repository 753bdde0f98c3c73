// TensorFlow Lite: a FlatBuffer with its identifier at offset 4. The graph is not read.
#include <algorithm>

#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

bool matches(const FileEnds& ends) {
  return ends.head.substr(std::min<size_t>(4, ends.head.size()), 4) == "TFL3";
}
Status read(const WeightInput&, WeightFacts&) { return {}; }

}  // namespace

extern const WeightFormat k_tflite;
const WeightFormat k_tflite = {.name = "TensorFlow Lite", .matches = matches, .read = read};

}  // namespace lantern::sensor
