// Withdraws what was admitted when the decision changes: a revocation, an expired approval, another
// policy. Takes effect within a second, in every process.
#pragma once

#include <memory>

#include "format/admitted_model.h"
#include "gate/governance.h"

namespace lantern::gate {

/// A standing that a thread of its own keeps watching until the last holder lets go. The thread
/// opens the machine's state itself; where it cannot read it any longer, it withdraws. kExhausted
/// where there is no thread to be had.
Result<std::shared_ptr<const format::Standing>> watched_standing(Composition model,
                                                                 policy::Action action);

}  // namespace lantern::gate
