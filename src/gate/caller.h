// Who asks over a socket, as far as the machine can tell.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "policy/decide.h"

namespace lantern::gate {

class Usage;  // gate/usage.h

/// What an API key allows; of one that was presented and found good.
struct KeyGrant {
  std::string id = {}, name = {}, user = {};
  std::set<std::string> scopes = {};
  std::vector<std::string> models = {};             // empty: any that the policy lets it
  int64_t tokens_a_day = 0, requests_a_minute = 0;  // 0: no limit of its own
  std::optional<base::UtcTime> expires = {};
};

/// What is not known is empty.
struct Caller {
  std::string user = {};                       // login name
  std::optional<uint32_t> uid = {};            // of the connecting socket
  std::string program = {};                    // path of the program that holds the socket
  std::string key_id = {};                     // API key, where one was used
  std::shared_ptr<const KeyGrant> grant = {};  // likewise: then `user` is the key's
  std::shared_ptr<Usage> usage = {};           // where what he uses is counted, if it is
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

/// The other end of a Unix socket, by its peer credentials. The program is that of process `pid` as
/// of now, where this account may see it.
Caller socket_caller(uid_t uid, pid_t pid);

/// The login name, or the number where there is none.
std::string user_name(uid_t uid);
/// Absent where the set is not known whole.
policy::Fact<std::set<std::string>> groups_of(const std::string& user);

}  // namespace lantern::gate
