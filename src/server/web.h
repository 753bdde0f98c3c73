// The chat page: files compiled into the program (cmake/Web.cmake), and what a browser is told to
// let them do.
#pragma once

#include <span>
#include <string_view>

#include "server/http.h"

namespace lantern::server {

struct WebFile {
  std::string_view name;  // "main.js"
  std::string_view media_type;
  std::string_view entity_tag;  // of its bytes, quoted
  std::string_view body;
};

std::span<const WebFile> web_files();

/// The file, or 304 where the request has it already; kNotFound for no such name.
Response web_response(std::string_view name, const Request& request);

}  // namespace lantern::server
