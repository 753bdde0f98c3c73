// Decisions within budgets: the policy's tokens a day and requests a minute, and what an API key
// may of its own. What a denial that time lifts says about how to ask ends in "retry after N s".
#pragma once

#include "base/result.h"
#include "gate/caller.h"
#include "gate/governance.h"
#include "policy/decide.h"

namespace lantern::gate {

/// N of an error by such a denial, or by a queue that is full; 0 for another.
int64_t retry_after_seconds(const Error& error);

/// Whether a decision about this caller depends on what was used: then it stands for one request.
bool is_limited(Governance& governance, const Caller& caller);

/// The policy's word on `facts`, gathered by `governance` for `caller`, with what he has used so
/// far; his key's own limits on top, `model` being the name that it must allow. Errors: the counts
/// cannot be read.
Result<policy::Decision> decide_within_limits(Governance& governance, policy::Facts facts,
                                              const Caller& caller, const std::string& model);

}  // namespace lantern::gate
