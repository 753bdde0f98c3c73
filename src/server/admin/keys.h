// API keys over the service's socket: for machines where the service owns the state.
#pragma once

#include <string>

#include "base/json.h"
#include "gate/api_keys.h"
#include "server/fields.h"

namespace lantern::server::admin {

/// A key without its secret (docs/schemas/key.json).
base::OrderedJson key_document(const supply::ApiKeyRecord& key);

/// As `lantern key create` sends it. kInvalidArgument.
Result<gate::ApiKeyRequest> parse_key_request(std::string_view body);
base::OrderedJson key_request_document(const gate::ApiKeyRequest& request);

}  // namespace lantern::server::admin
