// An HTTP/1.1 server on one thread: TCP, with TLS or without, and a Unix socket beside it.
// Everything about a client is bounded: bytes of header and body, time to send a request and to
// take an answer, what waits to be sent, connections in all.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "server/http.h"
#include "server/tls.h"

namespace lantern::server {

struct HttpLimits {
  uint32_t header_bytes_max = 16u << 10;
  uint64_t body_bytes_max = 16u << 20;
  size_t connections_max = 1024;
  size_t waiting_bytes_max = 4u << 20;  // to be sent to one client; past that it counts as gone
  std::chrono::seconds idle{75};        // between requests of one connection
  std::chrono::seconds header{10};      // from a request's first byte to its header's end
  std::chrono::seconds body{60};
  std::chrono::seconds write{30};  // for each piece
};

struct ListenAddress {
  std::string host = "127.0.0.1";  // an address; no names, which could mean another one tomorrow
  uint16_t port = 11435;           // 0: any free one
};
/// "127.0.0.1:11435", "[::1]:0". kInvalidArgument.
Result<ListenAddress> parse_listen_address(const std::string& text);
/// 127.0.0.0/8 or ::1.
bool is_loopback(const ListenAddress& address);

/// A Unix socket; whoever connects is known by the kernel's word.
struct SocketPath {
  std::filesystem::path path = {};
  unsigned mode = 0600;  // who may connect
};

struct HttpListen {
  ListenAddress tcp = {};
  TlsContext tls = {};  // for TCP; empty: without
  std::optional<SocketPath> socket = {};
};

/// Answers a request, from any of a few threads; may return before it is answered, may block for
/// short. A Reply that nobody holds any longer is answered 500.
using HttpHandler = std::function<void(Request request, std::shared_ptr<Reply> reply)>;

/// The answer to a request for `target` (empty where it did not come so far) that was not taken.
using FaultShape =
    std::function<Response(std::string_view target, int status, const std::string& message)>;

class HttpServer {
 public:
  /// Listens, without answering yet. A socket that nobody answers on any more is replaced. Errors:
  /// kIo (the address or the socket is taken, say), kInvalidArgument for a path that can be none.
  static Result<std::unique_ptr<HttpServer>> listen(const HttpListen& where,
                                                    const HttpLimits& limits, HttpHandler handler,
                                                    FaultShape shape_fault);
  ~HttpServer();

  /// The address that it got.
  [[nodiscard]] ListenAddress address() const;

  /// Before run(): what SIGHUP calls, on a worker thread.
  void on_hangup(std::function<void()> call);
  // Any thread; for connections and requests that begin from then on.
  void set_tls(const TlsContext& tls);
  void set_limits(const HttpLimits& limits);

  /// Serves until `stop`; then takes no more, lets what is under way end within `drain`, and ends
  /// the rest.
  void run(const std::stop_token& stop, std::chrono::seconds drain);

 private:
  struct Impl;
  explicit HttpServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::server
