// JSON from outside: nlohmann's parser behind limits, with errors as Results.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "base/result.h"

namespace lantern::base {

using Json = nlohmann::json;
/// Keeps the order of keys, as templates and tool schemas need it.
using OrderedJson = nlohmann::ordered_json;

struct JsonLimits {
  size_t bytes_max = 256u << 20;
  int depth_max = 128;
};

/// Parses `text`. kCorrupt with line and column where it is no JSON (comments,
/// duplicate keys in one object and invalid UTF-8 included), kTooLarge past a limit.
/// `what` names the source in the message.
Result<Json> parse_json(std::string_view text, std::string_view what, JsonLimits limits = {});
Result<OrderedJson> parse_ordered_json(std::string_view text, std::string_view what,
                                       JsonLimits limits = {});

}  // namespace lantern::base
