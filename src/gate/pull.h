// A model comes into the store: the policy is asked before anything is read or downloaded, and what
// came is scanned and stays in quarantine until it is approved. (cli/ and server/ include gate/
// alone; the types come along.)
#pragma once

#include <string_view>

#include "base/result.h"
#include "gate/decisions.h"
#include "supply/pull.h"

namespace lantern::gate {

/// What is known of `source` (as `pull` takes it) before it is here: the catalog's word, or the
/// store's for a model that it has, and the organisation that a Hub repository's name claims.
/// Everything else is not known, so a deny rule about it applies.
Result<policy::Facts> import_facts(Governance& governance, std::string_view source);

struct PulledModel {
  supply::Pulled pulled = {};
  ImportSignature signature = {};
  TakenIn taken = {};
};
/// Asks the policy for Action::kImport, pulls, judges the signature that came along (by `required`,
/// where that is not empty), and takes in. Errors: kDenied by the policy, with nothing read,
/// downloaded or stored; those of supply::pull(), judge_import_signature() and take_in();
/// kInvalidArgument where a signature is required of a model that was here already.
Result<PulledModel> pull_model(std::string_view source, supply::PullOptions options,
                               supply::TrustedSigners required, const Consent& consent);

}  // namespace lantern::gate
