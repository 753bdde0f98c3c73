#include "served_program.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "json_schema.h"
#include "program.h"

namespace lantern::tests {

using base::OrderedJson;
using Clock = std::chrono::steady_clock;

std::string http_request(const std::string& method, const std::string& path,
                         const std::string& body, const std::string& headers,
                         const std::string& host) {
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n{}", method,
      path, host, body.size(), headers, body);
}

void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return;  // whoever is refused may not even be read
    bytes.remove_prefix(static_cast<size_t>(n));
  }
}

std::string read_from(int fd, const std::string& enough) {
  std::string out;
  std::array<char, 65536> buffer{};
  const auto end = Clock::now() + kPatience;
  while (Clock::now() < end) {
    if (!enough.empty() && out.find(enough) != std::string::npos) return out;
    pollfd poll{fd, POLLIN, 0};
    if (::poll(&poll, 1, 1000) <= 0) continue;
    const ssize_t n = ::recv(fd, buffer.data(), buffer.size(), 0);
    if (n <= 0) return out;
    out.append(buffer.data(), static_cast<size_t>(n));
  }
  ADD_FAILURE() << "no end of: " << out;
  return out;
}

OrderedJson body_of(const std::string& answer) {
  const size_t end = answer.find("\r\n\r\n");
  EXPECT_NE(end, std::string::npos) << answer;
  if (end == std::string::npos) return {};
  const auto json = base::parse_ordered_json(std::string_view(answer).substr(end + 4), "answer");
  EXPECT_TRUE(json.ok()) << answer;
  return json.ok() ? *json : OrderedJson();
}

std::string header_of(const std::string& answer, const std::string& name) {
  const size_t at = answer.find("\r\n" + name + ": ");
  if (at == std::string::npos || at > answer.find("\r\n\r\n")) return {};
  const size_t begin = at + name.size() + 4;
  return answer.substr(begin, answer.find("\r\n", begin) - begin);
}

ServedProgram::ServedProgram(const std::vector<std::string>& arguments) {
  static int n = 0;
  errors_ = scratch_folder() / fmt::format("serve-{}.err", ++n);
  std::vector<std::string> words = {"serve", "--json", "--threads", "1"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  if (std::ranges::find(words, "--listen") == words.end())
    words.insert(words.end(), {"--listen", "127.0.0.1:0"});
  std::array<int, 2> out{-1, -1};
  EXPECT_EQ(::pipe2(out.data(), O_CLOEXEC), 0);
  child_ = ::fork();
  if (child_ == 0) {
    ::dup2(out[1], 1);
    ::dup2(::open(errors_.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600), 2);
    become_lantern(words);
  }
  ::close(out[1]);
  std::string line;
  for (char c = 0; ::read(out[0], &c, 1) == 1 && c != '\n';) line += c;
  ::close(out[0]);
  const auto json = base::parse_ordered_json(line, "stdout");
  EXPECT_TRUE(json.ok()) << line << said();
  if (!json.ok()) return;
  EXPECT_EQ(schema_violations(published_schema("serve"), base::Json::parse(line)), "");
  url_ = (*json)["url"];
  port_ = static_cast<uint16_t>(std::stoi(url_.substr(url_.rfind(':') + 1)));
  if ((*json)["socket"].is_string()) socket_ = (*json)["socket"];
}

ServedProgram::~ServedProgram() { EXPECT_EQ(stop(), 0) << said(); }

int ServedProgram::stop() {
  if (child_ > 0) ::kill(child_, SIGTERM);
  return wait();
}

int ServedProgram::wait() {
  if (child_ <= 0) return exit_code_;
  int status = 0;
  ::waitpid(child_, &status, 0);
  child_ = -1;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

void ServedProgram::hang_up() const { ::kill(child_, SIGHUP); }

std::string ServedProgram::said() const {
  const auto text = base::read_text_file(errors_, 1 << 20);
  return text.ok() ? *text : text.error().message;
}

int ServedProgram::connect() const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port_);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

std::string ServedProgram::exchange(std::string_view bytes) const {
  const int fd = connect();
  send_all(fd, bytes);
  std::string answer = read_from(fd);
  ::close(fd);
  return answer;
}

}  // namespace lantern::tests
