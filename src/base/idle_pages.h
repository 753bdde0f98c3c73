// For a process that does little for a long time: what starting it touched need not stay.
#pragma once

#include "base/result.h"

namespace lantern::base {

/// Unmaps the pages of programs and libraries that this process has not changed. They stay in the
/// page cache, and whichever is used again is mapped again (about a microsecond each). Where memory
/// holds changes (relocations, variables) nothing is touched. kIo where the kernel does not say.
Status unmap_idle_pages();

}  // namespace lantern::base
