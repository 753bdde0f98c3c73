// Files of weights, told by their content whatever they are called, and what their headers say.
//
// This reads models that Lantern does not run, too: any architecture, any tensor type. A header
// that is damaged is still a finding, so its fault is a fact among others, never an error.
//
// One file a format: weight_formats/<name>.cc defines `extern const WeightFormat k_<name>`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/result.h"
#include "format/source.h"

namespace lantern::sensor {

/// Smaller files are no models of language worth an alert, and every library is that small.
inline constexpr uint64_t kWeightBytesMin = 8u << 20;

struct TypeShare {
  std::string type = {};  // "Q4_K", "BF16"
  uint64_t elements = 0;
};

struct WeightFacts {
  std::string format = {};  // "GGUF"
  // The file's own claims; empty: it makes none.
  std::string architecture = {}, name = {}, licence = {}, publisher = {}, source = {};
  std::string quantization = {};   // "Q4_K_M"
  uint64_t context = 0;            // 0: not said
  uint32_t part = 0, n_parts = 0;  // of a split model; 0: whole
  // Counted from the tensor table.
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  std::vector<TypeShare> mix = {};  // by elements, largest first
  /// Of the first `header_bytes` of the file, tensor table included: equal headers, and equal
  /// sizes, are the same model but for whoever changed weights in place.
  std::optional<base::Digest> header_digest = {};
  uint64_t header_bytes = 0;
  std::string fault = {};  // what is wrong with the header, one printable line

  /// "Q4_K 82 %, Q6_K 18 %", by parameters, those under half a percent left out.
  [[nodiscard]] std::string mix_text() const;
  /// "llama 8.0B Q4_K_M", for a table.
  [[nodiscard]] std::string summary() const;
};

/// What a collector looks at before it hands a file on: nothing is parsed.
struct FileEnds {
  std::string_view head = {};  // up to 64 bytes
  std::string_view tail = {};  // the last 22, of files that are longer
  uint64_t size = 0;
};
inline constexpr size_t kHeadBytes = 64;
inline constexpr size_t kTailBytes = 22;

/// What of a file there is to read: `have` bytes from its front.
struct WeightInput {
  const format::Source& source;
  uint64_t have = 0;
};

struct WeightFormat {
  std::string_view name;
  bool (*matches)(const FileEnds& ends);
  /// Adds to `facts` until something is wrong, which it returns.
  Status (*read)(const WeightInput& input, WeightFacts& facts);
};
std::span<const WeightFormat* const> weight_formats();

/// The format that a file seems to have, null for none.
const WeightFormat* find_weight_format(const FileEnds& ends);
/// Nothing where the file is none of weights after all (a zip archive of something else).
std::optional<WeightFacts> read_weights(const WeightInput& input);

/// For formats: what a header's own strings may be long; more is cut.
inline constexpr size_t kClaimBytesMax = 256;
std::string claim(std::string_view text);
/// The same of what went through claim() once already, in a process that may lie: unchanged where
/// it did.
std::string claimed(std::string_view text);
/// For formats: adds `elements` of `type` to the mix and the counts.
void count_tensor(WeightFacts& facts, std::string_view type, uint64_t elements);
/// For formats: the SHA-256 of the first `bytes`.
Result<base::Digest> digest_of_front(const format::Source& source, uint64_t bytes);
/// For formats: reads GGUF's header, also inside another file.
Status read_gguf(const WeightInput& input, WeightFacts& facts);

/// As a confined child answers, and its parent reads it: every text is bounded and made printable,
/// kCorrupt where something else stands there.
base::Json weights_to_json(const WeightFacts& facts);
Result<WeightFacts> weights_from_json(const base::Json& json);

}  // namespace lantern::sensor
