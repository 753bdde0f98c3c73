// One step of a transformer: the graph itself.
#pragma once

#include <span>

#include "arch/model.h"
#include "arch/network.h"
#include "arch/workspace.h"
#include "base/result.h"

namespace lantern::arch {

/// As Model::forward says.
Status run_step(const Network& network, const kernels::Context& context,
                std::span<const SequenceStep> steps, Workspace::Impl& workspace);

}  // namespace lantern::arch
