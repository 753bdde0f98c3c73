// Bytes as they come over a connection, to a server that answers on a Unix socket. The first byte
// says how they are cut into pieces and whether the client closes its end. What is checked besides
// memory: the server never hangs, what it says is HTTP, and a handler is given nothing that passes
// the limits.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include "base/file.h"
#include "server/endpoint.h"
#include "server/http_server.h"
#include "server/origin.h"
#include "server/service.h"

namespace {

using namespace lantern;
using server::HttpLimits;

constexpr int kPatienceMs = 20'000;

void require(bool condition) {
  if (!condition) std::abort();
}

HttpLimits limits() {
  return {.header_bytes_max = 2048,
          .body_bytes_max = 2048,
          .idle = std::chrono::seconds(1),
          .header = std::chrono::seconds(1),
          .body = std::chrono::seconds(1),
          .write = std::chrono::seconds(1)};
}

/// As the service begins with a request; streams where the body says so.
void handle(server::Request request, const std::shared_ptr<server::Reply>& reply) {
  require(request.body.size() <= limits().body_bytes_max && request.target.size() <= 8192);
  require(!request.method.empty() && !request.target.empty());
  size_t header_bytes = 0;
  for (const auto& [name, value] : request.headers) header_bytes += name.size() + value.size();
  require(header_bytes <= limits().header_bytes_max);
  const auto path = server::path_of_target(request.target);
  const Status origin = server::check_origin(request.headers, {.listened = "127.0.0.1"});
  if (!path.ok() || !origin.ok())
    return reply->send(
        server::error_response(server::Api::kOpenAi, path.ok() ? origin.error() : path.error()));
  if (request.body.find("stream") == std::string::npos)
    return reply->send(server::json_response(200, {{"path", *path}}));
  reply->start({.status = 200, .headers = {{"Content-Type", "text/event-stream"}}});
  for (int i = 0; i < 3; ++i) reply->write("data: {}\n\n");
  reply->end();
}

/// Served as long as the process lives.
const std::string& socket_path() {
  static const std::string kPath = [] {
    std::string path = (std::filesystem::temp_directory_path() /
                        ("lantern-http-fuzz-" + std::to_string(::getpid()) + ".sock"))
                           .string();
    auto listening = server::HttpServer::listen(
        {.tcp = {.port = 0}, .socket = server::SocketPath{.path = path}}, limits(),
        [](server::Request request, std::shared_ptr<server::Reply> reply) {
          handle(std::move(request), reply);
        },
        server::fault_response);
    require(listening.ok());
    static const std::unique_ptr<server::HttpServer> kServer = std::move(*listening);
    static std::jthread serving(
        [](const std::stop_token& stop) { kServer->run(stop, std::chrono::seconds(0)); });
    return path;
  }();
  return kPath;
}

base::UniqueFd connected() {
  base::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  const std::string& path = socket_path();
  require(path.size() < sizeof address.sun_path);
  std::copy(path.begin(), path.end(), address.sun_path);
  require(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

/// All that comes until the server closes.
std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (;;) {
    pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
    require(::poll(&poll, 1, kPatienceMs) > 0);
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return out;
    out.append(buffer.data(), static_cast<size_t>(n));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 16384) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const base::UniqueFd fd = connected();
  const size_t step = (data[0] & 0x7F) == 0 ? bytes.size() + 1 : 16u * (data[0] & 0x7F);
  for (; !bytes.empty(); bytes.remove_prefix(std::min(step, bytes.size())))
    // The server may have closed: then there is nothing more to send.
    if (::send(fd.get(), bytes.data(), std::min(step, bytes.size()), MSG_NOSIGNAL) < 0) break;
  // An open end makes the server wait for its limits, a second each: seldom.
  if (data[0] != 0xFF) ::shutdown(fd.get(), SHUT_WR);
  const std::string answer = read_all(fd.get());
  require(answer.empty() || answer.starts_with("HTTP/1."));
  return 0;
}
