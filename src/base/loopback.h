// Which hosts are this machine itself.
#pragma once

#include <string_view>

namespace lantern::base {

/// Whether `host` is this machine itself: localhost, 127.0.0.0/8 or ::1, with or without brackets.
bool is_loopback_host(std::string_view host);

}  // namespace lantern::base
