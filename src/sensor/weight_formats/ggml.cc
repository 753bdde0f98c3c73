// The formats before GGUF: "ggml", "ggjt", "ggmf" and "ggla" as little-endian numbers. whisper.cpp
// writes the first to this day. Their headers have no keys, so nothing is read.
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

bool matches(const FileEnds& ends) {
  return ends.head.starts_with("lmgg") || ends.head.starts_with("tjgg") ||
         ends.head.starts_with("fmgg") || ends.head.starts_with("algg");
}
Status read(const WeightInput&, WeightFacts&) { return {}; }

}  // namespace

extern const WeightFormat k_ggml;
const WeightFormat k_ggml = {.name = "GGML (before GGUF)", .matches = matches, .read = read};

}  // namespace lantern::sensor
