// Which variables Jinja's compiler makes a scope's own.
//
// Jinja decides once, when it compiles, where a name lives. A scope that writes a name before
// it reads it owns that name from its beginning, unless a scope around it knows the name
// too; until it is written the name is undefined, even where the caller passed a
// variable so called. That shows where a macro or an inner block reads the name earlier.
#pragma once

#include "text/jinja/ast.h"

namespace lantern::text::jinja {

/// Fills in `unset` of every scope: the names that are undefined when it begins.
void find_unset_names(Template& source);

}  // namespace lantern::text::jinja
