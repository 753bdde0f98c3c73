// Against another's receiver: Debian's rsyslogd, over TLS and TCP. Skipped where it is not
// installed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include "delivery/dispatcher.h"
#include "delivery/test_support.h"

namespace lantern::delivery {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Certificate;
using testing::eventually;
using testing::sample_event;

constexpr const char* kRsyslogd = "/usr/sbin/rsyslogd";

/// Debian's folder of libraries has the processor's name in it.
bool has_tls_driver() {
  std::error_code ignored;
  for (const auto& folder : fs::directory_iterator("/usr/lib", ignored))
    if (fs::exists(folder.path() / "rsyslog/lmnsd_ossl.so", ignored)) return true;
  return false;
}

/// rsyslogd in a folder of its own.
class Rsyslogd {
 public:
  Rsyslogd(fs::path folder, bool with_tls) : folder_(std::move(folder)), with_tls_(with_tls) {}
  ~Rsyslogd() { stop(); }
  Rsyslogd(const Rsyslogd&) = delete;
  Rsyslogd& operator=(const Rsyslogd&) = delete;

  /// At `port`, or at any (0), which it gives.
  int start(int port) {
    const fs::path port_file = folder_ / "port";
    fs::remove(port_file);
    std::ofstream(folder_ / "rsyslog.conf") << config(port);
    pid_ = ::fork();
    if (pid_ == 0) {
      const int log = ::open((folder_ / "rsyslogd.err").c_str(), O_WRONLY | O_CREAT, 0600);
      ::dup2(log, 1);
      ::dup2(log, 2);
      ::execl(kRsyslogd, kRsyslogd, "-n", "-f", (folder_ / "rsyslog.conf").c_str(), "-i",
              (folder_ / "pid").c_str(), nullptr);
      ::_exit(127);
    }
    int found = port;
    if (port != 0) return port;
    EXPECT_TRUE(eventually([&] { return bool(std::ifstream(port_file) >> found) && found > 0; }))
        << std::ifstream(folder_ / "rsyslogd.err").rdbuf();
    return found;
  }
  void stop() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
  }
  [[nodiscard]] std::vector<std::string> lines() const {
    std::ifstream file(folder_ / "out");
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

 private:
  [[nodiscard]] std::string config(int port) const {
    std::string text = fmt::format("global(workDirectory=\"{}\"", folder_.string());
    if (with_tls_)
      text += fmt::format(
          " DefaultNetstreamDriver=\"ossl\" DefaultNetstreamDriverCAFile=\"{0}/ca.pem\" "
          "DefaultNetstreamDriverCertFile=\"{0}/server.pem\" "
          "DefaultNetstreamDriverKeyFile=\"{0}/server.key\"",
          folder_.string());
    text += ")\nmodule(load=\"imtcp\"";
    if (with_tls_)
      text +=
          " StreamDriver.Name=\"ossl\" StreamDriver.Mode=\"1\" "
          "StreamDriver.AuthMode=\"x509/certvalid\"";
    // Each property as rsyslog's own parser reads it.
    return text + fmt::format(
                      ")\ntemplate(name=\"t\" type=\"string\" string=\"%pri%|%msgid%|%app-name%|"
                      "%structured-data%|%msg%\\n\")\n"
                      "ruleset(name=\"r\") {{ action(type=\"omfile\" file=\"{0}/out\" "
                      "template=\"t\") }}\n"
                      "input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{1}\" "
                      "ListenPortFileName=\"{0}/port\" ruleset=\"r\")\n",
                      folder_.string(), port);
  }

  fs::path folder_;
  bool with_tls_;
  pid_t pid_ = -1;
};

class RsyslogTest : public ::testing::TestWithParam<bool> {
 protected:
  testing::TestFolder folder_;
};

TEST_P(RsyslogTest, GetsEveryEventAcrossItsAbsences) {
  const bool with_tls = GetParam();
  if (!fs::exists(kRsyslogd) || (with_tls && !has_tls_driver()))
    GTEST_SKIP() << "rsyslog (with rsyslog-openssl) is not installed";
  const Certificate ca = testing::make_ca();
  const Certificate server({}, &ca), client({.name = "sensor"}, &ca);
  const std::string ca_file = folder_.write("ca.pem", ca.cert_pem()).string();
  folder_.write("server.pem", server.cert_pem());
  folder_.write("server.key", server.key_pem(), 0600);
  const std::string tls_lines =
      fmt::format("ca='{}'\ncertificate='{}'\nkey='{}'\n", ca_file,
                  folder_.write("client.pem", client.cert_pem()).string(),
                  folder_.write("client.key", client.key_pem(), 0600).string());

  Rsyslogd rsyslogd(folder_.path(), with_tls);
  const int port = rsyslogd.start(0);
  rsyslogd.stop();
  auto receivers = parse_receivers(
      fmt::format("[[receivers]]\nname='rsyslog'\nkind='syslog'\naddress='{}://localhost:{}'\n{}",
                  with_tls ? "tls" : "tcp", port, with_tls ? tls_lines : ""),
      "receivers.toml");
  ASSERT_TRUE(receivers.ok()) << receivers.error().message;
  auto dispatcher = Dispatcher::start(*std::move(receivers), {.folder = folder_.path() / "spools",
                                                              .pause_min = milliseconds(5),
                                                              .pause_max = milliseconds(50)})
                        .value();
  std::vector<std::string> ids;
  const auto publish = [&](int n) {
    std::vector<Event> events;
    for (int i = 0; i < n; ++i) {
      Event event = sample_event(static_cast<int>(ids.size()));
      event.params[0].second = "a \"b\" [c] \\d";
      ids.push_back(event.id);
      events.push_back(std::move(event));
    }
    ASSERT_TRUE(dispatcher->publish(events).ok());
  };
  for (int round = 0; round < 3; ++round) {
    publish(600);
    rsyslogd.start(port);
    ASSERT_TRUE(dispatcher->flush(seconds(60))) << dispatcher->states()[0].last_error;
    publish(100);
    ASSERT_TRUE(dispatcher->flush(seconds(60))) << dispatcher->states()[0].last_error;
    // What it has read is its own to keep: its queue is in memory.
    EXPECT_TRUE(eventually([&] { return rsyslogd.lines().size() >= ids.size(); }, seconds(10)))
        << "round " << round << ": " << rsyslogd.lines().size() << " of " << ids.size();
    rsyslogd.stop();
  }
  const auto lines = rsyslogd.lines();
  ASSERT_EQ(lines.size(), ids.size());
  for (size_t i = 0; i < ids.size(); ++i)
    ASSERT_EQ(lines[i],
              fmt::format("108|finding.appeared|lantern|[lantern@32473 runtime=\"a \\\"b\\\" [c\\] "
                          "\\\\d\" number=\"{}\" id=\"{}\"]|\xef\xbb\xbf"
                          "event {} {}",
                          i, ids[i], i, std::string(40, 'x')));
}
INSTANTIATE_TEST_SUITE_P(Transports, RsyslogTest, ::testing::Bool(),
                         [](const auto& one) { return std::string(one.param ? "Tls" : "Tcp"); });

}  // namespace
}  // namespace lantern::delivery
