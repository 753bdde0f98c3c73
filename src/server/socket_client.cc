#include "server/socket_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "base/file.h"
#include "base/printable.h"

namespace lantern::server {
namespace {

constexpr size_t kHeadBytesMax = 64u << 10, kBodyBytesMax = 64u << 20;
constexpr size_t kChunkBytesMax = 64u << 20;
/// How often a stop is looked for while nothing comes.
constexpr int kLookAgainMs = 100;

Error corrupt(std::string_view fault) {
  return make_error(ErrorCode::kCorrupt, "the service's socket: {}", fault);
}

Result<base::UniqueFd> connect_to(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string& name = path.native();
  if (name.empty() || name.size() >= sizeof address.sun_path)
    return make_error(ErrorCode::kInvalidArgument, "{}: a socket's path has at most 107 bytes",
                      name);
  std::memcpy(address.sun_path, name.data(), name.size());
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return base::errno_error(errno, "socket");
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return fd;
  const int why = errno;
  if (why == EACCES || why == EPERM)
    return make_error(ErrorCode::kDenied,
                      "denied by rule lantern.socket: {}: this account may not use the service's "
                      "socket",
                      name);
  return make_error(ErrorCode::kNotFound,
                    "the service is not running: nobody answers at {} (lantern serve, or systemctl "
                    "start lantern)",
                    name);
}

Status send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    // Whoever refuses a long body may close before all of it is there: his answer says why.
    if (n < 0 && errno == EPIPE) return {};
    if (n <= 0) return base::errno_error(errno, "the service's socket");
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

/// What came; empty at the end.
Result<std::string> receive(int fd, const std::stop_token& stop) {
  for (;;) {
    if (stop.stop_requested()) return make_error(ErrorCode::kCancelled, "stopped");
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = ::poll(&poll, 1, kLookAgainMs);
    if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    if (ready < 0) return base::errno_error(errno, "the service's socket");
    std::string bytes(65536, '\0');
    const ssize_t n = ::recv(fd, bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::errno_error(errno, "the service's socket");
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }
}

bool equals_lower(std::string_view name, std::string_view lower) {
  return std::equal(name.begin(), name.end(), lower.begin(), lower.end(), [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a + 32) : a) == b;
  });
}

template <typename T>
bool whole_number(std::string_view text, T& out, int base = 10) {
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return fault == std::errc() && end == text.data() + text.size() && !text.empty();
}

}  // namespace

Result<AnswerHead> parse_answer_head(std::string_view head) {
  AnswerHead out;
  const size_t first = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, first);
  if (!line.starts_with("HTTP/1.1 ") || line.size() < 12 ||
      !whole_number(line.substr(9, 3), out.status) || out.status < 100)
    return corrupt("no answer in HTTP");
  head.remove_prefix(std::min(first + 2, head.size()));
  while (!head.empty()) {
    const size_t end = std::min(head.find("\r\n"), head.size());
    const std::string_view field = head.substr(0, end);
    head.remove_prefix(std::min(end + 2, head.size()));
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view value = field.substr(colon + 1);
    value.remove_prefix(std::min(value.find_first_not_of(' '), value.size()));
    if (equals_lower(field.substr(0, colon), "transfer-encoding"))
      out.chunked = equals_lower(value, "chunked");
    size_t length = 0;
    if (equals_lower(field.substr(0, colon), "content-length")) {
      if (!whole_number(value, length)) return corrupt("a Content-Length that is no number");
      out.length = length;
    }
  }
  if (out.chunked) out.length.reset();
  return out;
}

Result<std::string> ChunkReader::take(std::string_view bytes) {
  std::string out;
  waiting_ += bytes;
  size_t at = 0;
  while (!ended_) {
    if (left_ > 0) {
      const size_t n = std::min(left_, waiting_.size() - at);
      // The line break at its end is no content.
      const size_t content = left_ > 2 ? std::min(n, left_ - 2) : 0;
      out.append(waiting_, at, content);
      at += n;
      left_ -= n;
      if (left_ > 0) break;
      continue;
    }
    const size_t end = waiting_.find("\r\n", at);
    if (end == std::string::npos) {
      if (waiting_.size() - at > 1024) return corrupt("a chunk without a length");
      break;
    }
    std::string_view length = std::string_view(waiting_).substr(at, end - at);
    length = length.substr(0, length.find(';'));
    size_t n = 0;
    if (!whole_number(length, n, 16) || n > kChunkBytesMax)
      return corrupt("a chunk whose length is none");
    at = end + 2;
    if (n == 0) ended_ = true;
    left_ = n == 0 ? 0 : n + 2;
  }
  waiting_.erase(0, at);
  return out;
}

Status SocketClient::reach() const {
  const auto fd = connect_to(path_);
  return fd.ok() ? Status() : Status(fd.error());
}

Result<SocketAnswer> SocketClient::ask(std::string_view method, std::string_view target,
                                       std::string_view body,
                                       const std::function<Status(std::string_view)>& on_piece,
                                       const std::stop_token& stop) const {
  LANTERN_ASSIGN(const base::UniqueFd fd, connect_to(path_));
  LANTERN_TRY(
      send_all(fd.get(), fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                                     "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                                     method, target, body.size())));
  LANTERN_TRY(send_all(fd.get(), body));
  std::string head;
  size_t end = std::string::npos;
  while (end == std::string::npos) {
    LANTERN_ASSIGN(const std::string bytes, receive(fd.get(), stop));
    if (bytes.empty()) return corrupt("it closed without an answer");
    head += bytes;
    end = head.find("\r\n\r\n");
    if (end == std::string::npos && head.size() > kHeadBytesMax)
      return corrupt("an endless header");
  }
  LANTERN_ASSIGN(const AnswerHead parsed, parse_answer_head(std::string_view(head).substr(0, end)));
  SocketAnswer answer{.status = parsed.status};
  const bool in_pieces = on_piece && parsed.status == 200;
  ChunkReader chunks;
  size_t n_body = 0;
  std::string bytes = head.substr(end + 4);
  for (bool more = true; more;) {
    n_body += bytes.size();
    std::string piece = std::move(bytes);
    if (parsed.chunked) {
      LANTERN_ASSIGN(piece, chunks.take(piece));
    }
    if (in_pieces) {
      LANTERN_TRY(on_piece(piece));
    } else {
      answer.body += piece;
      if (answer.body.size() > kBodyBytesMax)
        return make_error(ErrorCode::kTooLarge,
                          "the service's socket: an answer of more than {} "
                          "bytes",
                          kBodyBytesMax);
    }
    more = parsed.chunked ? !chunks.ended() : !parsed.length || n_body < *parsed.length;
    if (!more) break;
    LANTERN_ASSIGN(bytes, receive(fd.get(), stop));
    if (!bytes.empty()) continue;
    if (parsed.chunked || parsed.length) return corrupt("the answer broke off");
    more = false;
  }
  return answer;
}

Error error_of(const SocketAnswer& answer) {
  std::string message = base::printable(answer.body, 500);
  if (const auto json = base::parse_ordered_json(answer.body, "answer");
      json.ok() && json->is_object() && json->contains("error")) {
    const base::OrderedJson& error = (*json)["error"];
    if (error.is_string()) message = error.get<std::string>();
    if (error.is_object() && error.contains("message") && error["message"].is_string())
      message = error["message"].get<std::string>();
  }
  const ErrorCode code = answer.status == 401 || answer.status == 403 ? ErrorCode::kDenied
                         : answer.status == 404                       ? ErrorCode::kNotFound
                         : answer.status == 429                       ? ErrorCode::kExhausted
                         : answer.status < 500                        ? ErrorCode::kInvalidArgument
                                                                      : ErrorCode::kIo;
  return error_of(std::move(message), code);
}

Error error_of(std::string message, ErrorCode otherwise) {
  const bool is_refusal = message.find("denied by rule ") != std::string::npos;
  return Error{is_refusal ? ErrorCode::kDenied : otherwise, std::move(message)};
}

Result<base::OrderedJson> SocketClient::ask_json(std::string_view method, std::string_view target,
                                                 const base::OrderedJson& body) const {
  const std::string text =
      body.is_null() ? std::string()
                     : body.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace);
  LANTERN_ASSIGN(const SocketAnswer answer, ask(method, target, text));
  if (answer.status != 200) return error_of(answer);
  return base::parse_ordered_json(answer.body, "the service's answer");
}

}  // namespace lantern::server
