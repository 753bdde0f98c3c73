// The gate for models: the only maker of format::AdmittedModel, hence the only way to
// weights (invariant 1).
//
// A model is a composition: its id (supply::composition_id) covers every file that the engine may
// read. resolve() finds it, authorize() asks the policy and records the answer, watched_standing()
// keeps asking while the model runs. Names of models and files may be logged, content never.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "format/admitted_model.h"
#include "format/checkpoint.h"
#include "gate/authorization.h"
#include "supply/licence_report.h"
#include "supply/sandbox/inspection.h"

namespace lantern::gate {

struct AdmitOptions {
  policy::Action action = policy::Action::kLoad;
  Consent consent = {};  // how an approval that is missing may be given
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();  // of hashing, where it is needed
  bool paranoid = false;                                         // hash whatever receipts say
  std::function<void(std::string_view)> warn = {};  // a sentence: an old policy, a broken glass
};

class Admission {
 public:
  /// `reference`: see locate(). Errors: resolve()'s and authorize()'s.
  static Result<format::AdmittedModel> admit(std::string_view reference,
                                             const AdmitOptions& options = {});
};

/// The same checks and the same record, for what needs no weights: tokenizer and templates.
Result<std::shared_ptr<const format::Checkpoint>> admit_text(std::string_view reference,
                                                             const AdmitOptions& options);

/// A model that may be looked at, not run: `inspect`, `fit`. No digests are computed and nobody is
/// asked. Errors: locate()'s and those of the file.
/// The file is read by a confined child: kInternal, hence exit 3, where that dies.
Result<std::shared_ptr<const format::Checkpoint>> inspect(std::string_view reference);

/// The same for `lantern inspect`: what kind of file it is, and what its header says.
Result<supply::InspectedModel> describe(std::string_view reference);

/// What the file claims of its licence, and what the licence's text beside it is.
Result<supply::LicenceReport> claimed_and_found_licence(const supply::InspectedModel& model);

}  // namespace lantern::gate
