// What commands see of the store. (cli/ and server/ include gate/ alone; the store's types
// come along.)
#pragma once

#include <memory>
#include <string_view>

#include "audit/event.h"
#include "base/result.h"
#include "supply/pull.h"
#include "supply/store.h"

namespace lantern::gate {

/// The store of this user; it need not exist yet.
inline Result<supply::Store> open_store() { return supply::Store::of_user(); }

/// Removes a name, and with its last one the model, in the log first: the one way out of the store.
/// Errors: Store::find()'s, Store::remove()'s, Governance::open()'s.
Result<supply::Store::Removed> remove_stored(std::string_view name, const audit::Actor& actor);

}  // namespace lantern::gate
