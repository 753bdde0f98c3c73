#include "base/loopback.h"

#include <arpa/inet.h>

#include <string>

namespace lantern::base {

bool is_loopback_host(std::string_view host) {
  if (host == "localhost") return true;
  std::string plain(host);
  if (plain.size() > 2 && plain.front() == '[' && plain.back() == ']')
    plain = plain.substr(1, plain.size() - 2);
  in_addr v4{};
  if (::inet_pton(AF_INET, plain.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  return ::inet_pton(AF_INET6, plain.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

}  // namespace lantern::base
