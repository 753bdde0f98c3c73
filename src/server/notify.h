// sd_notify(3)'s protocol: a datagram to the socket that NOTIFY_SOCKET names.
#pragma once

#include <string_view>

namespace lantern::server {

/// "READY=1", "STOPPING=1". Does nothing where no service manager asks for it, and never blocks.
void notify_service_manager(std::string_view state);

}  // namespace lantern::server
