#include "server/origin.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/printable.h"

namespace lantern::server {
namespace {

/// "name:port" or "[address]:port" without the port.
std::string_view name_of(std::string_view host) {
  if (!host.empty() && host.front() == '[') {
    const size_t end = host.find(']');
    return end == std::string_view::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

/// 127.0.0.0/8 as four decimal numbers, nothing shorter or cleverer.
bool is_loopback_v4(std::string_view name) {
  if (!name.starts_with("127.")) return false;
  int parts = 0;
  while (true) {
    const size_t end = std::min(name.find('.'), name.size());
    const std::string_view part = name.substr(0, end);
    int value = -1;
    const auto [stop, fault] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (fault != std::errc() || stop != part.data() + part.size() || value < 0 || value > 255)
      return false;
    ++parts;
    if (end == name.size()) return parts == 4;
    name.remove_prefix(end + 1);
  }
}

bool is_address(const std::string& name) {
  in6_addr out{};
  return ::inet_pton(AF_INET, name.c_str(), &out) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), &out) == 1;
}

bool is_own_name(std::string_view name, const OwnNames& own) {
  if (own.any) return true;
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "localhost" || lower == "::1" || is_loopback_v4(lower) || lower == own.listened ||
         (own.any_address && is_address(lower)) ||
         std::find(own.names.begin(), own.names.end(), lower) != own.names.end();
}

}  // namespace

Status check_origin(const Headers& headers, const OwnNames& own) {
  const std::string* host = headers.find("Host");
  if (headers.count("Host") != 1)
    return make_error(ErrorCode::kInvalidArgument, "exactly one Host header is needed");
  if (!is_own_name(name_of(*host), own))
    return make_error(ErrorCode::kDenied,
                      "denied by rule lantern.host: Host \"{}\" is not this service; call it "
                      "localhost, by its address or by a name that --host gives",
                      base::printable(*host));
  const std::string* origin = headers.find("Origin");
  if (origin != nullptr && *origin != "http://" + *host && *origin != "https://" + *host)
    return make_error(ErrorCode::kDenied,
                      "denied by rule lantern.origin: pages of \"{}\" may not use this service",
                      base::printable(*origin));
  const std::string* site = headers.find("Sec-Fetch-Site");
  if (site != nullptr && (*site == "cross-site" || *site == "same-site"))
    return make_error(ErrorCode::kDenied,
                      "denied by rule lantern.origin: pages of other sites may not use this "
                      "service");
  return {};
}

}  // namespace lantern::server
