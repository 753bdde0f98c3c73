#include "server/web.h"

#include <algorithm>
#include <string>

#include "base/printable.h"
#include "server/endpoint.h"

namespace lantern::server {
namespace {

// The page runs its own files and speaks to this service, nothing else: were a model's text ever to
// become markup, it could neither run nor load nor send anything. `require-trusted-types-for` makes
// the browser itself refuse to parse a string as HTML.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

/// Whether one of If-None-Match's tags is this one.
bool names_tag(std::string_view list, std::string_view tag) {
  while (!list.empty()) {
    const size_t end = std::min(list.find(','), list.size());
    std::string_view one = list.substr(0, end);
    list.remove_prefix(std::min(end + 1, list.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one.starts_with("W/")) one.remove_prefix(2);
    if (one == tag || one == "*") return true;
  }
  return false;
}

}  // namespace

Response web_response(std::string_view name, const Request& request) {
  const auto files = web_files();
  const auto file =
      std::find_if(files.begin(), files.end(), [&](const WebFile& f) { return f.name == name; });
  if (file == files.end())
    return error_response(Api::kPlain, make_error(ErrorCode::kNotFound, "{}: no such file",
                                                  base::printable(request.path)));
  Response response{.headers = {{"Content-Type", std::string(file->media_type)},
                                {"Content-Security-Policy", std::string(kContentSecurityPolicy)},
                                {"Cross-Origin-Opener-Policy", "same-origin"},
                                {"Cross-Origin-Resource-Policy", "same-origin"},
                                {"Permissions-Policy",
                                 "camera=(), geolocation=(), microphone=(), payment=(), usb=()"},
                                {"Referrer-Policy", "no-referrer"},
                                {"X-Frame-Options", "DENY"},
                                {"ETag", std::string(file->entity_tag)},
                                // Kept, and asked about each time: a new program's page is not
                                // mixed with an old one's scripts.
                                {"Cache-Control", "no-cache"}}};
  const std::string* known = request.headers.find("If-None-Match");
  if (known != nullptr && names_tag(*known, file->entity_tag))
    response.status = 304;
  else
    response.body = file->body;
  return response;
}

}  // namespace lantern::server
