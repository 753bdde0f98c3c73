// `lantern pull`: from a reference to a model in the store.
//
//   plan the files → check the disk → fetch them into a staging folder → compare every digest and
//   size that is known beforehand → have the signature beside them judged → admit them in one step
//
// Until the last step nothing of it can be found in the store. What an interrupted download has
// written is kept as a partial file and resumed by the next pull; what fails a check is deleted.
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "supply/source.h"
#include "supply/store.h"

namespace lantern::supply {

struct PullOptions {
  std::string alias = {};  // empty: made from the model's name
  NetworkMode network = NetworkMode::kOnline;
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();
  std::function<void(std::string_view)> notice = {};  // a line for the person, now and then
  SignatureJudge judge_signature = {};                // empty: signatures are not looked for
  std::function<Status(const Error&)> on_wrong_content = {};  // as PullContext has it
};

struct Pulled {
  StoredModel model = {};
  std::string alias = {};  // the name to use from now on
  bool was_here_already = false;
};

/// Pulls `reference` (see reference.h). An alias is looked up in the store, then in the catalog,
/// whose sources are tried in order; names of the catalog belong to the catalog's digests alone.
///
/// Errors: kInvalidArgument, kNotFound, kUnsupported; kCorrupt for a wrong digest or size; kIo for
/// the network and for a token that is missing or refused; kExhausted for the disk; kCancelled.
Result<Pulled> pull(const Store& store, std::string_view reference, const PullOptions& options);
/// The same with every knob, for tests and for other endpoints than the environment's.
Result<Pulled> pull(const PullContext& context, std::string_view reference, std::string_view alias);

}  // namespace lantern::supply
