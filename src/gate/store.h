// What commands see of the store. (cli/ and server/ include gate/ alone; the store's types
// come along.)
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "supply/pull.h"
#include "supply/store.h"

namespace lantern::gate {

/// The store of this user; it need not exist yet.
inline Result<supply::Store> open_store() { return supply::Store::of_user(); }

}  // namespace lantern::gate
