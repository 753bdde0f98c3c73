// A scripted HTTP/1.1 server on this machine's loopback, for tests of downloads: it speaks what the
// real ones speak, and misbehaves where a test says so. Header-only, so that tests of any room can
// use it.
#pragma once

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lantern::supply::testing {

struct StubRequest {
  std::string method, target;                  // target as sent, query included
  std::map<std::string, std::string> headers;  // names in lower case

  [[nodiscard]] std::string header(const std::string& name) const {
    auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct StubReply {
  int status = 200;
  std::string body = {};
  std::map<std::string, std::string> headers = {};
  bool with_length = true;                    // Content-Length; else the end is the connection's
  std::optional<size_t> drop_after = {};      // bytes of body, then the connection is reset
  std::optional<size_t> truncate_after = {};  // the same, but closed in order
  std::optional<size_t> stall_after = {};     // then silence, until the server stops
};

/// Serves one connection after the other, one request each.
class StubServer {
 public:
  using Handler = std::function<StubReply(const StubRequest&)>;

  explicit StubServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    ::bind(listener_, generic, size);
    ::listen(listener_, 64);
    ::getsockname(listener_, generic, &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~StubServer() {
    stopping_ = true;
    thread_.join();
    ::close(listener_);
  }
  StubServer(const StubServer&) = delete;
  StubServer& operator=(const StubServer&) = delete;

  [[nodiscard]] std::string origin() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::vector<StubRequest> requests() const {
    std::lock_guard lock(mutex_);
    return requests_;
  }
  [[nodiscard]] int n_connections() const { return n_connections_; }

 private:
  void serve() {
    while (!stopping_) {
      pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
      if (::poll(&waiting, 1, 20) <= 0) continue;
      int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (connection < 0) continue;
      ++n_connections_;
      if (auto request = read_request(connection)) {
        {
          std::lock_guard lock(mutex_);
          requests_.push_back(*request);
        }
        answer(connection, handler_(*request));
      }
      ::close(connection);
    }
  }

  static std::optional<StubRequest> read_request(int connection) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == std::string::npos) {
      ssize_t n = ::recv(connection, buffer, sizeof buffer, 0);
      if (n <= 0) return std::nullopt;
      text.append(buffer, static_cast<size_t>(n));
    }
    StubRequest request;
    size_t line_end = text.find("\r\n");
    std::string first = text.substr(0, line_end);
    size_t space = first.find(' ');
    request.method = first.substr(0, space);
    request.target = first.substr(space + 1, first.rfind(' ') - space - 1);
    for (size_t at = line_end + 2; at < text.size() && text.compare(at, 2, "\r\n") != 0;) {
      size_t end = text.find("\r\n", at), colon = text.find(": ", at);
      if (end == std::string::npos) break;
      if (colon < end) {
        std::string name = text.substr(at, colon - at);
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        request.headers[name] = text.substr(colon + 2, end - colon - 2);
      }
      at = end + 2;
    }
    return request;
  }

  static void send_all(int connection, std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t n = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
  }

  void answer(int connection, const StubReply& reply) {
    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
    for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
    if (reply.with_length) head += "Content-Length: " + std::to_string(reply.body.size()) + "\r\n";
    head += "Connection: close\r\n\r\n";
    send_all(connection, head);
    std::string_view body = reply.body;
    if (auto cut = reply.drop_after ? reply.drop_after : reply.truncate_after) {
      send_all(connection, body.substr(0, *cut));
      if (reply.drop_after) {
        // Time for the client to take what was sent, which a reset would discard.
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        linger now{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(connection, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      }
      return;
    }
    if (reply.stall_after) {
      send_all(connection, body.substr(0, *reply.stall_after));
      char buffer[64];
      while (!stopping_) {  // until the client gives up
        pollfd waiting{.fd = connection, .events = POLLIN, .revents = 0};
        if (::poll(&waiting, 1, 20) > 0 && ::recv(connection, buffer, sizeof buffer, 0) <= 0)
          return;
      }
      return;
    }
    send_all(connection, body);
    // Closing with unread input would reset the connection before the client has read the answer.
    ::shutdown(connection, SHUT_WR);
    char buffer[256];
    pollfd waiting{.fd = connection, .events = POLLIN, .revents = 0};
    while (::poll(&waiting, 1, 500) > 0 && ::recv(connection, buffer, sizeof buffer, 0) > 0) {
    }
  }

  Handler handler_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> n_connections_{0};
  mutable std::mutex mutex_;
  std::vector<StubRequest> requests_;
  std::thread thread_;
};

/// The reply of a server that has `content` under a strong ETag and understands Range and If-Range.
inline StubReply serve_bytes(const StubRequest& request, const std::string& content,
                             const std::string& etag) {
  StubReply reply{.body = content};
  if (!etag.empty()) reply.headers["ETag"] = etag;
  std::string range = request.header("range"), condition = request.header("if-range");
  if (!range.starts_with("bytes=") || (!condition.empty() && condition != etag)) return reply;
  size_t first = 0;
  std::from_chars(range.data() + 6, range.data() + range.size(), first);
  if (first >= content.size()) {
    reply.status = 416;
    reply.body.clear();
    reply.headers["Content-Range"] = "bytes */" + std::to_string(content.size());
    return reply;
  }
  reply.status = 206;
  reply.body = content.substr(first);
  reply.headers["Content-Range"] = "bytes " + std::to_string(first) + "-" +
                                   std::to_string(content.size() - 1) + "/" +
                                   std::to_string(content.size());
  return reply;
}

}  // namespace lantern::supply::testing
