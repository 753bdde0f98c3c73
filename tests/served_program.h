// Runs `lantern serve` as a person would and talks to it over real sockets.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace lantern::tests {

/// How long a test waits for what must come.
constexpr auto kPatience = std::chrono::seconds(60);

/// An HTTP/1.1 request after which the other end closes. `headers` are lines, each with its CRLF.
std::string http_request(const std::string& method, const std::string& path,
                         const std::string& body = {}, const std::string& headers = {},
                         const std::string& host = "localhost");
/// Sends what the other end takes.
void send_all(int fd, std::string_view bytes);
/// Reads until the other end closes, or until `enough` came.
std::string read_from(int fd, const std::string& enough = {});
/// The JSON that an HTTP answer carries.
base::OrderedJson body_of(const std::string& answer);
/// The value of a header of an HTTP answer; empty where there is none.
std::string header_of(const std::string& answer, const std::string& name);

/// `lantern serve` on a free port of the loopback, from when it listens until it is stopped.
class ServedProgram {
 public:
  /// `arguments` come after `serve`; --listen, --threads 1 and --json need not be said.
  explicit ServedProgram(const std::vector<std::string>& arguments);
  /// It stops when it is asked to, with exit code 0.
  ~ServedProgram();
  ServedProgram(const ServedProgram&) = delete;
  ServedProgram& operator=(const ServedProgram&) = delete;

  [[nodiscard]] const std::string& url() const { return url_; }
  /// Its Unix socket; empty where it has none.
  [[nodiscard]] const std::string& socket() const { return socket_; }

  /// Asks it to end; its exit code, 128 + n for signal n.
  int stop();
  /// Waits for it to end by itself.
  int wait();
  void hang_up() const;
  [[nodiscard]] pid_t pid() const { return child_; }
  /// What it has said on standard error.
  [[nodiscard]] std::string said() const;

  [[nodiscard]] int connect() const;
  /// Sends these bytes and reads until the other end closes.
  [[nodiscard]] std::string exchange(std::string_view bytes) const;
  [[nodiscard]] std::string get(const std::string& path, const std::string& headers = {}) const {
    return exchange(http_request("GET", path, {}, headers));
  }
  [[nodiscard]] base::OrderedJson get_json(const std::string& path) const {
    return body_of(get(path));
  }
  [[nodiscard]] std::string post(const std::string& path, const std::string& body,
                                 const std::string& headers = {}) const {
    return exchange(http_request("POST", path, body, headers));
  }

 private:
  std::filesystem::path errors_;
  std::string url_, socket_;
  pid_t child_ = -1;
  int exit_code_ = 0;
  uint16_t port_ = 0;
};

}  // namespace lantern::tests
