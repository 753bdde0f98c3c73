// One HTTP request to a listener on this machine, bounded in time and size.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>

#include "base/file.h"
#include "sensor/procfs_host.h"

namespace lantern::sensor {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAskedMax{1500};
constexpr size_t kAnswerMax = 256u << 10;  // names of models, some thousands

/// Waits for the socket; false once the time is over.
bool wait_for(int fd, short events, Clock::time_point deadline) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd waiting{.fd = fd, .events = events, .revents = 0};
  return left > 0 && ::poll(&waiting, 1, static_cast<int>(left)) > 0;
}

Error no_answer(uint16_t port) {
  return make_error(ErrorCode::kIo, "127.0.0.1:{}: no answer", port);
}

/// Many servers leave the connection open all the same: then the length says where the answer ends.
bool is_whole(std::string_view answer) {
  const size_t end = answer.find("\r\n\r\n");
  if (end == std::string_view::npos) return false;
  std::string head(answer.substr(0, end + 2));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::string_view kLength = "\r\ncontent-length:";
  const size_t at = head.find(kLength);
  if (at == std::string::npos) return false;
  const size_t digits = head.find_first_not_of(' ', at + kLength.size());
  size_t length = 0;
  const auto [stop, code] =
      std::from_chars(head.data() + digits, head.data() + head.size(), length);
  return code == std::errc() && *stop == '\r' && answer.size() - (end + 4) >= length;
}

}  // namespace

Result<std::string> ask_loopback(uint16_t port, std::string_view path) {
  const auto deadline = Clock::now() + kAskedMax;
  const base::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return base::errno_error(errno, "socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
      errno != EINPROGRESS)
    return base::errno_error(errno, "127.0.0.1");
  // HTTP/1.0, so that the answer is in one piece.
  const std::string request =
      fmt::format("GET {} HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n", path);
  if (!wait_for(fd.get(), POLLOUT, deadline) ||
      ::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) !=
          static_cast<ssize_t>(request.size()))
    return no_answer(port);
  std::string answer, buffer(16u << 10, '\0');
  bool ended = false;
  while (!ended && wait_for(fd.get(), POLLIN, deadline)) {
    const ssize_t n = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    answer.append(buffer, 0, static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (answer.size() > kAnswerMax)
      return make_error(ErrorCode::kTooLarge, "127.0.0.1:{}: too long an answer", port);
    ended = n <= 0 || is_whole(answer);
  }
  if (!ended || !answer.starts_with("HTTP/1.")) return no_answer(port);
  const size_t body = answer.find("\r\n\r\n");
  if (body == std::string::npos || answer.size() < 12 || answer.substr(8, 4) != " 200")
    return make_error(ErrorCode::kCorrupt, "127.0.0.1:{}: no answer of status 200", port);
  return answer.substr(body + 4);
}

}  // namespace lantern::sensor
