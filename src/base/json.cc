#include "base/json.h"

#include <set>
#include <vector>

namespace lantern::base {
namespace {

template <typename J>
Result<J> parse(std::string_view text, std::string_view what, JsonLimits limits) {
  if (text.size() > limits.bytes_max)
    return make_error(ErrorCode::kExhausted, "{}: {} bytes of JSON, at most {} are read", what,
                      text.size(), limits.bytes_max);
  std::vector<std::set<std::string>> keys;
  std::string problem;
  ErrorCode code = ErrorCode::kCorrupt;
  auto callback = [&](int depth, typename J::parse_event_t event, J& parsed) {
    using Event = typename J::parse_event_t;
    if (depth > limits.depth_max && problem.empty()) {
      problem = fmt::format("nested deeper than {} levels", limits.depth_max);
      code = ErrorCode::kExhausted;
      throw std::length_error(problem);
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end && !keys.empty()) keys.pop_back();
    if (event == Event::key && !keys.empty()) {
      const auto& name = parsed.template get_ref<const std::string&>();
      if (!keys.back().insert(name).second) {
        problem = fmt::format("key \"{}\" stands twice in one object", name);
        throw std::length_error(problem);
      }
    }
    return true;
  };
  try {
    return J::parse(text.begin(), text.end(), callback);
  } catch (const std::length_error&) {
    return make_error(code, "{}: {}", what, problem);
  } catch (const std::exception& e) {
    // nlohmann's text begins with "[json.exception...] "; a person needs what follows.
    std::string_view message = e.what();
    if (auto end = message.find("] "); end != std::string_view::npos) message.remove_prefix(end + 2);
    return make_error(ErrorCode::kCorrupt, "{}: not valid JSON: {}", what, message);
  }
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
