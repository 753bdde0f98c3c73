// Who asks over a socket, as far as the machine can tell.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "policy/decide.h"

namespace lantern::gate {

/// What is not known is empty.
struct Caller {
  std::string user = {};             // login name
  std::optional<uint32_t> uid = {};  // of the connecting socket
  std::string program = {};          // path of the program that holds the socket
  std::string key_id = {};           // API key, where one was used
};

/// The two ends of an accepted TCP connection, addresses as text.
struct Connection {
  std::string peer_address = {}, own_address = {};
  uint16_t peer_port = 0, own_port = 0;
};

/// The owner and the program of the other end of a loopback connection, from /proc. Empty where it
/// is no loopback connection, or where the kernel does not say: a program of another account shows
/// its owner, not its path.
Caller loopback_caller(const Connection& connection);

/// The login name, or the number where there is none.
std::string user_name(uid_t uid);
/// Absent where the set is not known whole.
policy::Fact<std::set<std::string>> groups_of(const std::string& user);

}  // namespace lantern::gate
