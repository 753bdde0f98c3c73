#include "gate/caller.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/file.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// The kernel's table is one line a socket; more than this is no machine of one person.
constexpr uint64_t kTableBytesMax = 16u << 20;
/// Descriptors looked at for the one that is the socket.
constexpr int kDescriptorsMax = 200'000;

/// An address as /proc/net/tcp and tcp6 spell it: words of 32 bits in the machine's own order.
std::string proc_address(const std::string& text, uint16_t port) {
  std::array<unsigned char, 16> bytes{};
  size_t n = 0;
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1)
    n = 4;
  else if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1)
    n = 16;
  std::string out;
  for (size_t i = 0; i < n; i += 4) {
    uint32_t word = 0;
    std::memcpy(&word, bytes.data() + i, sizeof word);
    out += fmt::format("{:08X}", word);
  }
  return out + fmt::format(":{:04X}", port);
}

struct SocketOwner {
  uid_t uid = 0;
  std::string inode = {};
};

std::string_view next_word(std::string_view& line) {
  const size_t begin = std::min(line.find_first_not_of(' '), line.size());
  const size_t end = std::min(line.find(' ', begin), line.size());
  const std::string_view word = line.substr(begin, end - begin);
  line.remove_prefix(end);
  return word;
}

std::optional<SocketOwner> owner_in(const char* table, const Connection& connection) {
  const auto text = base::read_text_file(table, kTableBytesMax);
  if (!text.ok()) return {};
  const std::string local = proc_address(connection.peer_address, connection.peer_port);
  const std::string remote = proc_address(connection.own_address, connection.own_port);
  std::string_view rest = *text;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find('\n'), rest.size() - 1);
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + 1);
    // sl local rem st tx:rx tr:tm retrnsmt uid timeout inode
    next_word(line);
    if (next_word(line) != local || next_word(line) != remote) continue;
    for (int skipped = 0; skipped < 4; ++skipped) next_word(line);
    SocketOwner owner;
    const std::string_view uid = next_word(line);
    if (std::from_chars(uid.data(), uid.data() + uid.size(), owner.uid).ec != std::errc())
      return {};
    next_word(line);
    owner.inode = next_word(line);
    return owner;
  }
  return {};
}

/// The program that has the socket open, among those of its owner.
std::string program_of(const SocketOwner& owner) {
  const std::string wanted = fmt::format("socket:[{}]", owner.inode);
  std::error_code fault;
  int n_seen = 0;
  for (fs::directory_iterator process("/proc", fault), end; !fault && process != end;
       process.increment(fault)) {
    const std::string name = process->path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    struct stat info {};
    if (::stat(process->path().c_str(), &info) != 0 || info.st_uid != owner.uid) continue;
    std::error_code inner;
    for (fs::directory_iterator fd(process->path() / "fd", inner), last; !inner && fd != last;
         fd.increment(inner)) {
      if (++n_seen > kDescriptorsMax) return {};
      std::error_code gone;
      if (fs::read_symlink(fd->path(), gone) != wanted) continue;
      const fs::path program = fs::read_symlink(process->path() / "exe", gone);
      return gone ? std::string() : program.string();
    }
  }
  return {};
}

}  // namespace

std::string user_name(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_name;
  return std::to_string(uid);
}

policy::Fact<std::set<std::string>> groups_of(const std::string& user) {
  std::vector<char> buffer(16384);
  passwd entry{}, *found = nullptr;
  if (::getpwnam_r(user.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0 ||
      found == nullptr)
    return {};
  int count = 4096;
  std::vector<gid_t> ids(static_cast<size_t>(count));
  if (::getgrouplist(user.c_str(), found->pw_gid, ids.data(), &count) < 0) return {};
  std::set<std::string> names;
  for (int i = 0; i < count; ++i) {
    group one{}, *is = nullptr;
    std::vector<char> space(65536);
    // A group without a name may be one that a rule names: then the set is not known whole.
    if (::getgrgid_r(ids[static_cast<size_t>(i)], &one, space.data(), space.size(), &is) != 0)
      return {};
    names.insert(is != nullptr ? is->gr_name : std::to_string(ids[static_cast<size_t>(i)]));
  }
  return names;
}

Caller loopback_caller(const Connection& connection) {
  const bool v6 = connection.peer_address.find(':') != std::string::npos;
  const auto owner = owner_in(v6 ? "/proc/net/tcp6" : "/proc/net/tcp", connection);
  if (!owner) return {};
  return {.user = user_name(owner->uid), .uid = owner->uid, .program = program_of(*owner)};
}

Caller socket_caller(uid_t uid, pid_t pid) {
  Caller caller{.user = user_name(uid), .uid = uid};
  std::error_code fault;
  const fs::path program = fs::read_symlink(fmt::format("/proc/{}/exe", pid), fault);
  if (!fault) caller.program = program.string();
  return caller;
}

}  // namespace lantern::gate
