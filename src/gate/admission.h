// The gate for models: the only maker of format::AdmittedModel, hence the only way to
// weights (invariant 1).
//
// A model is a composition (specs, "Identity"): its id is SHA-256 of "lantern-model-v1\n" and a
// line "<sha256> <size> <path>\n" for every file that the engine may read, sorted by bytes; a
// single file's own digest is its id. Digests of models in the store come with the store's
// receipts; a path's files are hashed at first use and stamped (device, inode, size, times), and
// hashed again where the stamp does not hold. Names of models and files may be logged, content
// never.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "format/checkpoint.h"

namespace lantern::gate {

struct AdmitOptions {
  /// Called while files are hashed, with bytes done and in all; false cancels. May be empty.
  std::function<bool(uint64_t done, uint64_t total)> progress;
  bool paranoid = false;  // hash whatever the receipts and stamps say
};

class Admission {
 public:
  /// `reference`: a name in the store ("smollm2"), a GGUF file (the first of a split one), or a
  /// Hugging Face folder. Errors: kNotFound, kCorrupt, kUnsupported, kDenied where a file is not
  /// what the store recorded, kIo, kCancelled.
  static Result<format::AdmittedModel> admit(std::string_view reference, AdmitOptions options = {});
};

/// A model that may be looked at, not run: `inspect` and `fit`. No digests are computed.
Result<std::shared_ptr<const format::Checkpoint>> inspect(std::string_view reference);

/// One file's part in a composition.
struct ComposedFile {
  base::Digest digest{};
  uint64_t size = 0;
  std::string path;  // relative to the model's folder, '/' between parts
};
/// The id over `files`, in any order; the file's own digest where there is only one.
/// kInvalidArgument for none, a path with a line break, or a path twice.
Result<base::Digest> composition_id(std::vector<ComposedFile> files);

}  // namespace lantern::gate
