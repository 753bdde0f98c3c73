// OpenAPI 3.1, from the registry of endpoints.
#pragma once

#include "base/json.h"

namespace lantern::server {

base::OrderedJson openapi_document();

}  // namespace lantern::server
