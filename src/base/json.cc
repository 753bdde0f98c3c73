#include "base/json.h"

#include "base/json_builder.h"

namespace lantern::base {
namespace {

template <typename J>
Result<J> parse(std::string_view text, std::string_view what, JsonLimits limits) {
  JsonBuilder<J> builder(limits.depth_max);
  LANTERN_TRY(build_json(text, what, limits, builder));
  return builder.take();
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  return parse<Json>(text, what, limits);
}

Result<OrderedJson> parse_ordered_json(std::string_view text, std::string_view what,
                                       JsonLimits limits) {
  return parse<OrderedJson>(text, what, limits);
}

}  // namespace lantern::base
