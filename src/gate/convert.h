// A model rewritten as one GGUF file. It reads weights, so it passes the gate; what it writes is a
// new model that nobody has approved.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.h"
#include "base/result.h"
#include "gate/authorization.h"
#include "quant/dtype.h"

namespace lantern::gate {

struct ConvertOptions {
  /// The type of matrices; vectors are float32. Absent: each keeps the type it has.
  std::optional<quant::DType> type;
  Consent consent = {};  // to the model that is read
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();
};

struct Converted {
  uint64_t bytes = 0;
  size_t n_tensors = 0;
  std::vector<std::string> notices;  // matrices that kept another type, parts left out
};

/// Reads `reference` (a Hugging Face folder, a GGUF file or a name in the store) and writes `out`,
/// which appears when it is whole. Its descent is recorded: it inherits neither approval nor
/// signature, and a revocation of `reference` falls on it too. kUnsupported for a type that is not
/// written, and the errors of Admission::admit(), the readers and the writer.
Result<Converted> convert(std::string_view reference, const std::filesystem::path& out,
                          const ConvertOptions& options);

}  // namespace lantern::gate
