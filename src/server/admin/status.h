// What the service does right now, for those who look after it.
#pragma once

#include "base/json.h"
#include "server/service.h"

namespace lantern::server::admin {

/// docs/schemas/ps.json. Names of users and numbers; no content.
Result<base::OrderedJson> status_document(Service& service);

/// For a record of who asked.
audit::Actor asker_of(const Request& request);

}  // namespace lantern::server::admin
