// What the writers of bills of materials share.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "supply/bom/bom.h"

namespace lantern::supply {

/// "Apache-2.0 OR MIT" is an expression, "MIT" is an id of one licence.
inline bool is_single_licence(std::string_view expression) {
  return expression.find(' ') == std::string_view::npos;
}

/// What is no UTF-8 is replaced; a line break at the end.
inline std::string dump_document(const base::OrderedJson& document) {
  return document.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n";
}

/// A member that is a text, else empty.
inline std::string text_of(const base::Json& object, const char* key) {
  const auto at = object.is_object() ? object.find(key) : object.end();
  return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

}  // namespace lantern::supply
