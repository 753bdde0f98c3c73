// The gate for models: the only maker of format::AdmittedModel, hence the only way to
// weights (invariant 1).
//
// A model is a composition: its id (supply::composition_id) covers every file that the engine may
// read. Files of models in the store are compared with the store's receipts; the files behind a
// path are hashed where they lie at first use and recorded, and hashed again where their inode
// looks different. Names of models and files may be logged, content never.
#pragma once

#include <memory>
#include <stop_token>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "format/checkpoint.h"
#include "format/describe.h"

namespace lantern::gate {

struct AdmitOptions {
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();  // of hashing, where it is needed
  bool paranoid = false;                                         // hash whatever receipts say
};

class Admission {
 public:
  /// `reference`: a name or the first digits of an id in the store ("smollm2"), a GGUF file (any
  /// part of a split one), or a Hugging Face folder. Errors: kNotFound, kCorrupt (the file's own
  /// faults, and a file that is not what the store recorded), kUnsupported, kInvalidArgument for
  /// what must be pulled first, kIo, kCancelled.
  static Result<format::AdmittedModel> admit(std::string_view reference,
                                             const AdmitOptions& options = {});
};

/// A model that may be looked at, not run: `inspect`, `fit`, `tokenize`. No digests are computed.
/// Errors as above.
Result<std::shared_ptr<const format::Checkpoint>> inspect(std::string_view reference);

/// The same for `lantern inspect`: what kind of file it is, and what its header says.
Result<format::Description> describe(std::string_view reference);

}  // namespace lantern::gate
