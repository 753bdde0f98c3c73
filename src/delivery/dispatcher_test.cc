// Events on their way: each transport against a receiver that speaks its protocol.
#include "delivery/dispatcher.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "delivery/test_support.h"

namespace lantern::delivery {
namespace {

namespace fs = std::filesystem;
using base::Json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;
using namespace testing;  // NOLINT(google-build-using-namespace)

class DispatcherTest : public ::testing::Test {
 protected:
  [[nodiscard]] Result<std::unique_ptr<Dispatcher>> start(const std::string& toml) {
    auto receivers = parse_receivers(toml, "receivers.toml");
    EXPECT_TRUE(receivers.ok()) << receivers.error().message;
    return Dispatcher::start(
        *std::move(receivers),
        {.folder = folder_.path() / "spools",
         .pause_min = milliseconds(5),
         .pause_max = milliseconds(50),
         .notice = [this](std::string_view receiver, std::string_view message) {
           notices_.add(fmt::format("{}: {}", receiver, message));
         }});
  }
  std::vector<std::string> publish(Dispatcher& dispatcher, int first, int last,
                                   size_t n_bytes = 40) {
    std::vector<Event> events;
    std::vector<std::string> ids;
    for (int i = first; i <= last; ++i) {
      events.push_back(sample_event(i, n_bytes));
      ids.push_back(events.back().id);
    }
    const Status published = dispatcher.publish(events);
    EXPECT_TRUE(published.ok()) << published.error().message;
    return ids;
  }
  [[nodiscard]] std::string notices() const {
    std::string all;
    for (const std::string& notice : notices_.all()) all += notice + "\n";
    return all;
  }

  TestFolder folder_;
  Received notices_;
};

/// The ids of syslog's messages.
std::vector<std::string> ids_of(const Received& received) {
  std::vector<std::string> ids;
  for (const std::string& message : received.all())
    ids.push_back(read_syslog_message(message).value_or(SyslogRead{}).params["id"]);
  return ids;
}

std::vector<std::string> first_of_each(const std::vector<std::string>& ids) {
  std::vector<std::string> out;
  for (const std::string& id : ids)
    if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
  return out;
}

// ---- JSON lines ----

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream file(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

TEST_F(DispatcherTest, LinesAreAppendedWholeAlsoToARotatedFile) {
  const fs::path log = folder_.write("events.jsonl", "{\"torn\":");
  const fs::path rotated = folder_.path() / "events.jsonl.1";
  auto dispatcher =
      start(fmt::format("[[receivers]]\nname='file'\nkind='json-lines'\npath='{}'", log.string()))
          .value();
  auto ids = publish(*dispatcher, 1, 3);
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  fs::rename(log, rotated);
  ids = publish(*dispatcher, 4, 5);
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  const auto before = lines_of(rotated), after = lines_of(log);
  ASSERT_EQ(before.size(), 4u);
  EXPECT_EQ(before[0], "{\"torn\":");
  EXPECT_EQ(Json::parse(before[3])["number"], 3);
  ASSERT_EQ(after.size(), 2u);
  EXPECT_EQ(Json::parse(after[1])["id"], ids[1]);
  struct stat info {};
  ASSERT_EQ(::stat(log.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0137u, 0u);
  EXPECT_EQ(dispatcher->states()[0].delivered, 5u);
}

TEST_F(DispatcherTest, AFileThatCannotBeWrittenIsToldAndTriedAgain) {
  const fs::path log = folder_.path() / "missing" / "events.jsonl";
  auto dispatcher =
      start(fmt::format("[[receivers]]\nname='file'\nkind='json-lines'\npath='{}'", log.string()))
          .value();
  publish(*dispatcher, 1, 3);
  EXPECT_FALSE(dispatcher->flush(milliseconds(100)));
  const ReceiverState state = dispatcher->states()[0];
  EXPECT_EQ(state.waiting, 3u);
  EXPECT_THAT(state.last_error, HasSubstr("No such file"));
  fs::create_directory(log.parent_path());
  EXPECT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_EQ(lines_of(log).size(), 3u);
  EXPECT_THAT(notices(), HasSubstr("takes events again"));
}

TEST_F(DispatcherTest, AFullDiskLeavesNoHalfLine) {
  const fs::path disk = folder_.path() / "disk";
  fs::create_directory(disk);
  if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
      ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("none", disk.c_str(), "tmpfs", 0, "size=64k") != 0)
    GTEST_SKIP() << "a mount of its own takes root";
  const fs::path log = disk / "events.jsonl", filler = disk / "filler";
  std::ofstream(filler) << std::string(40'000, 'x');
  {
    auto dispatcher =
        start(fmt::format("[[receivers]]\nname='file'\nkind='json-lines'\npath='{}'", log.string()))
            .value();
    publish(*dispatcher, 1, 1, 1000);
    ASSERT_TRUE(dispatcher->flush(seconds(30)));
    publish(*dispatcher, 2, 30, 1000);
    EXPECT_FALSE(dispatcher->flush(milliseconds(200)));
    EXPECT_THAT(dispatcher->states()[0].last_error, HasSubstr("No space left"));
    EXPECT_EQ(lines_of(log).size(), 1u);
    fs::remove(filler);
    ASSERT_TRUE(dispatcher->flush(seconds(30)));
    const auto lines = lines_of(log);
    ASSERT_EQ(lines.size(), 30u);
    for (size_t i = 0; i < lines.size(); ++i) EXPECT_EQ(Json::parse(lines[i])["number"], i + 1);
  }
  ::umount2(disk.c_str(), MNT_DETACH);
}

TEST_F(DispatcherTest, StdoutIsAReceiverToo) {
  const fs::path out = folder_.path() / "stdout";
  const pid_t child = ::fork();
  if (child == 0) {
    const int fd = ::open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(fd, STDOUT_FILENO);
    auto dispatcher = start("[[receivers]]\nname='out'\nkind='json-lines'\npath='-'").value();
    publish(*dispatcher, 1, 3);
    ::_exit(dispatcher->flush(seconds(30)) ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  const auto lines = lines_of(out);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(Json::parse(lines[2])["number"], 3);
}

// ---- syslog ----

class SyslogTest : public DispatcherTest {
 protected:
  [[nodiscard]] std::string config(const SyslogServer& server, const std::string& more = "",
                                   const std::string& host = "localhost") const {
    return fmt::format(
        "[[receivers]]\nname='siem'\nkind='syslog'\naddress='tls://{}:{}'\nca='{}'\n{}\n", host,
        server.port(), ca_file_.string(), more);
  }

  const Certificate ca_ = make_ca();
  const Certificate certificate_ = Certificate({}, &ca_);
  const fs::path ca_file_ = folder_.write("ca.pem", ca_.cert_pem());
};

TEST_F(SyslogTest, MessagesAreWhatRfc5424Asks) {
  SyslogServer server({.certificate = &certificate_});
  server.start();
  auto dispatcher = start(config(server, "enterprise = 4711")).value();
  Event event = sample_event(1);
  event.params = {{"runtime", "a \"b\" [c] \\d"}, {"quant", ""}, {"verdict", "unknown"}};
  event.text = "one\ntwo";
  ASSERT_TRUE(dispatcher->publish(event).ok());
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_TRUE(server.faults().empty());
  ASSERT_EQ(server.received().size(), 1u);
  const auto read = read_syslog_message(server.received().all()[0]);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->priority, 13 * 8 + 4);
  EXPECT_EQ(read->timestamp, "2027-01-15T08:00:00.000001Z");
  EXPECT_EQ(read->app, "lantern");
  EXPECT_EQ(read->name, "finding.appeared");
  EXPECT_EQ(read->element, "lantern@4711");
  EXPECT_EQ(read->params,
            (std::map<std::string, std::string>{
                {"runtime", "a \"b\" [c] \\d"}, {"verdict", "unknown"}, {"id", event.id}}));
  EXPECT_EQ(read->text, "one two");
}

TEST_F(SyslogTest, ALongEventFitsWhatReceiversTake) {
  SyslogServer server({.certificate = &certificate_});  // refuses frames over 8,192 bytes
  server.start();
  auto dispatcher = start(config(server)).value();
  publish(*dispatcher, 1, 2, 20'000);
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  ASSERT_EQ(server.received().size(), 2u);
  EXPECT_EQ(server.received().all()[1].size(), 8192u);
  EXPECT_TRUE(server.received().all()[1].ends_with("..."));
}

TEST_F(SyslogTest, AReceiverThatIsAwayAtTheStartGetsAllInOrder) {
  SyslogServer server({.certificate = &certificate_});
  auto dispatcher = start(config(server)).value();
  const auto ids = publish(*dispatcher, 1, 700);
  EXPECT_TRUE(eventually([&] { return !dispatcher->states()[0].last_error.empty(); }));
  EXPECT_THAT(dispatcher->states()[0].last_error, HasSubstr("no connection"));
  EXPECT_EQ(dispatcher->states()[0].waiting, 700u);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(60)));
  EXPECT_EQ(ids_of(server.received()), ids);
  EXPECT_TRUE(server.faults().empty());
  EXPECT_EQ(dispatcher->states()[0].delivered, 700u);
  EXPECT_TRUE(dispatcher->states()[0].last_error.empty());
}

TEST_F(SyslogTest, AReceiverThatDiesInABatchGetsAllOfItAtLeastOnce) {
  SyslogServer server({.certificate = &certificate_});
  auto dispatcher = start(config(server)).value();
  const auto ids = publish(*dispatcher, 1, 200);
  server.die_after(37);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(60)));
  const auto received = ids_of(server.received());
  EXPECT_EQ(received.size(), 237u) << "the 37 that it had read come again";
  EXPECT_EQ(first_of_each(received), ids);
  EXPECT_TRUE(server.faults().empty());
}

TEST_F(SyslogTest, OverTcpTooAndAnotherMachineOnlyWhereItIsAllowed) {
  SyslogServer server({});
  auto dispatcher = start(fmt::format("[[receivers]]\nname='siem'\nkind='syslog'\n"
                                      "address='tcp://127.0.0.1:{}'",
                                      server.port()))
                        .value();
  const auto ids = publish(*dispatcher, 1, 100);
  server.die_after(10);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(60)));
  EXPECT_EQ(first_of_each(ids_of(server.received())), ids);
  const auto config = [](std::string_view more) {
    return parse_receivers(
        fmt::format("[[receivers]]\nname='a'\nkind='syslog'\naddress='tcp://siem.example:514'\n{}",
                    more),
        "r");
  };
  EXPECT_TRUE(config("insecure = true").ok());
  EXPECT_THAT(config("").error().message, HasSubstr("line 4, column 1: receivers.1.address: tcp is "
                                                    "not encrypted"));
}

TEST_F(SyslogTest, CertificatesThatAreNotRightAreToldAndNothingIsSent) {
  const Certificate other_ca = make_ca("another CA");
  const Certificate expired({.begins_s = -7200, .ends_s = -60}, &ca_);
  const Certificate other_name({.alternative = "DNS:elsewhere.example,IP:127.0.0.2"}, &ca_);
  const Certificate other_issuer({}, &other_ca);
  struct Case {
    const Certificate& certificate;
    const char* host;
    const char* why;
  };
  const Case cases[] = {{expired, "localhost", "certificate has expired"},
                        {other_name, "localhost", "hostname mismatch"},
                        {other_name, "127.0.0.1", "IP address mismatch"},
                        {other_issuer, "localhost", "unable to get local issuer certificate"}};
  int n = 0;
  for (const Case& one : cases) {
    SyslogServer server({.certificate = &one.certificate});
    server.start();
    std::string toml = config(server, "", one.host);
    toml.replace(toml.find("siem"), 4, fmt::format("siem{}", ++n));
    auto dispatcher = start(toml).value();
    publish(*dispatcher, 1, 3);
    EXPECT_TRUE(eventually([&] { return !dispatcher->states()[0].last_error.empty(); }));
    EXPECT_THAT(dispatcher->states()[0].last_error, HasSubstr(one.why));
    EXPECT_EQ(dispatcher->states()[0].waiting, 3u);
    EXPECT_EQ(server.received().size(), 0u);
  }
}

TEST_F(SyslogTest, AClientsCertificateIsShownAndItsLackIsToldAsTheReceiverSaysIt) {
  const Certificate client({.name = "sensor"}, &ca_);
  SyslogServer server({.certificate = &certificate_, .client_ca = &ca_});
  server.start();
  {
    auto dispatcher = start(config(server)).value();
    publish(*dispatcher, 1, 1);
    // TLS 1.3 tells it only after the client's first bytes.
    EXPECT_TRUE(eventually([&] {
      return dispatcher->states()[0].last_error.find("certificate required") != std::string::npos;
    })) << dispatcher->states()[0].last_error;
    EXPECT_EQ(server.received().size(), 0u);
  }
  const std::string key = folder_.write("client.key", client.key_pem(), 0600).string();
  const std::string more = fmt::format(
      "certificate='{}'\nkey='{}'", folder_.write("client.pem", client.cert_pem()).string(), key);
  auto dispatcher = start(config(server, more)).value();
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_EQ(server.received().size(), 1u);
  dispatcher.reset();
  fs::permissions(key, fs::perms(0640));
  EXPECT_THAT(start(config(server, more)).error().message,
              HasSubstr("receiver siem: " + key + ": others than its owner may use this secret"));
}

TEST_F(SyslogTest, WithoutCloseNotifyNothingIsDeliveredUnlessTheKernelsWordIsTaken) {
  SyslogServer server({.certificate = &certificate_, .answers_close = false});
  server.start();
  {
    auto dispatcher = start(config(server, "timeout_s = 1")).value();
    publish(*dispatcher, 1, 3);
    EXPECT_TRUE(eventually([&] { return !dispatcher->states()[0].last_error.empty(); }));
    EXPECT_EQ(dispatcher->states()[0].waiting, 3u);
  }
  SyslogServer other({.certificate = &certificate_, .answers_close = false});
  other.start();
  auto dispatcher = start(config(other, "timeout_s = 1\nacknowledge = 'kernel'")).value();
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_TRUE(eventually([&] { return other.received().size() == 3; }));
}

TEST_F(DispatcherTest, ALocalDaemonGetsADatagramAnEvent) {
  const fs::path path = folder_.path() / "log";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.string().copy(address.sun_path, sizeof address.sun_path - 1);
  auto dispatcher = start(fmt::format("[[receivers]]\nname='local'\nkind='syslog'\n"
                                      "address='unix:{}'",
                                      path.string()))
                        .value();
  const auto ids = publish(*dispatcher, 1, 300);  // more than a socket's queue holds
  EXPECT_TRUE(eventually([&] { return !dispatcher->states()[0].last_error.empty(); }));
  const base::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  Received received;
  while (received.size() < ids.size()) {
    char bytes[16384];
    const ssize_t n = ::recv(fd.get(), bytes, sizeof bytes, 0);
    ASSERT_GT(n, 0);
    received.add(std::string(bytes, static_cast<size_t>(n)));
  }
  EXPECT_EQ(ids_of(received), ids);
  EXPECT_TRUE(dispatcher->flush(seconds(30)));
}

// ---- HTTP ----

class HttpTest : public DispatcherTest {
 protected:
  static std::string config(const HttpServer& server, const std::string& more = "") {
    return fmt::format("[[receivers]]\nname='lake'\nkind='http'\nurl='{}'\n{}\n", server.url(),
                       more);
  }
  /// Keeps the numbers of the events in it.
  std::string take(const HttpAsked& asked) {
    for (const Json& event : Json::parse(asked.body))
      numbers_.add(std::to_string(event["unmapped"]["number"].get<int>()));
    return "204 No Content";
  }
  [[nodiscard]] static std::vector<std::string> range(int first, int last) {
    std::vector<std::string> numbers;
    for (int i = first; i <= last; ++i) numbers.push_back(std::to_string(i));
    return numbers;
  }
  Received numbers_;
};

TEST_F(HttpTest, EventsArriveAsArraysOfOcsf) {
  Received heads;
  HttpServer server([&](const HttpAsked& asked) {
    heads.add(asked.head);
    EXPECT_LE(Json::parse(asked.body).size(), 20u);
    EXPECT_EQ(Json::parse(asked.body)[0]["class_uid"], 2004);
    return take(asked);
  });
  const std::string file =
      folder_.write("headers", "# ours\nAuthorization: Bearer s3cret\n\nX-Tenant: 7\n", 0600)
          .string();
  auto dispatcher =
      start(config(server, fmt::format("batch = 20\nheaders_file = '{}'", file))).value();
  publish(*dispatcher, 1, 100);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_EQ(numbers_.all(), range(1, 100));
  for (const std::string& head : heads.all()) {
    EXPECT_TRUE(head.starts_with("POST /events HTTP/1.1\r\n"));
    EXPECT_THAT(head, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(head, HasSubstr("Authorization: Bearer s3cret\r\nX-Tenant: 7\r\n"));
  }
  EXPECT_EQ(notices().find("s3cret"), std::string::npos);
  dispatcher.reset();
  fs::permissions(file, fs::perms(0644));
  EXPECT_THAT(start(config(server, fmt::format("headers_file = '{}'", file))).error().message,
              HasSubstr("chmod 600"));
}

TEST_F(HttpTest, OneEventThatIsRefusedDoesNotHoldUpTheOthers) {
  HttpServer server([&](const HttpAsked& asked) -> std::string {
    for (const Json& event : Json::parse(asked.body))
      if (event["unmapped"]["number"] == 42) return "400 Bad Request";
    return take(asked);
  });
  auto dispatcher = start(config(server)).value();
  const auto ids = publish(*dispatcher, 1, 100);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  auto expected = range(1, 100);
  expected.erase(expected.begin() + 41);
  EXPECT_EQ(numbers_.all(), expected);
  const ReceiverState state = dispatcher->states()[0];
  EXPECT_EQ(state.delivered, 99u);
  EXPECT_EQ(state.refused, 1u);
  EXPECT_THAT(notices(), HasSubstr(fmt::format("refused event {} for good", ids[41])));
}

TEST_F(HttpTest, WhatPassesIsTriedAgain) {
  std::atomic<int> n{0};
  const std::string faults[] = {"500 Internal Server Error", "503 Service Unavailable",
                                "301 Moved Permanently\r\nLocation: http://127.0.0.1:1/",
                                "401 Unauthorized", ""};
  HttpServer server([&](const HttpAsked& asked) -> std::string {
    if (n < 5) return faults[n++];
    return take(asked);
  });
  server.start();
  auto dispatcher = start(config(server)).value();
  publish(*dispatcher, 1, 1);
  ASSERT_TRUE(eventually([&] { return dispatcher->states()[0].delivered == 1; }));
  EXPECT_EQ(n, 5);
  EXPECT_EQ(numbers_.all(), range(1, 1));
  EXPECT_EQ(dispatcher->states()[0].refused, 0u);
}

TEST_F(HttpTest, RetryAfterIsKeptEvenByAFlush) {
  std::atomic<int> n{0};
  std::atomic<std::chrono::steady_clock::time_point> first, second;
  HttpServer server([&](const HttpAsked& asked) -> std::string {
    if (n++ == 0) {
      first = std::chrono::steady_clock::now();
      return "429 Too Many Requests\r\nRetry-After: 1";
    }
    second = std::chrono::steady_clock::now();
    return take(asked);
  });
  server.start();
  auto dispatcher = start(config(server)).value();
  publish(*dispatcher, 1, 1);
  ASSERT_TRUE(eventually([&] { return n > 0; }));
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_GE(second.load() - first.load(), milliseconds(990));
}

TEST_F(HttpTest, AnotherMachineIsAskedOverTlsAlone) {
  const auto config = [](std::string_view url, std::string_view more = "") {
    return parse_receivers(
        fmt::format("[[receivers]]\nname='a'\nkind='http'\nurl='{}'\n{}", url, more), "r");
  };
  EXPECT_TRUE(config("https://siem.example/in").ok());
  EXPECT_TRUE(config("http://[::1]:80/in").ok());
  EXPECT_TRUE(config("http://siem.example/in", "insecure = true").ok());
  EXPECT_THAT(config("http://siem.example/in").error().message, HasSubstr("not encrypted"));
  EXPECT_THAT(config("https://a:b@siem.example/in").error().message, HasSubstr("a password"));
  EXPECT_THAT(config("ftp://siem.example/in").error().message, HasSubstr("https:// is needed"));
  EXPECT_EQ(config("https://siem.example:444/in?token=x").value()[0].target,
            "https://siem.example:444/in");
}

TEST_F(HttpTest, TheReceiversCertificateIsVerified) {
  const Certificate ca = make_ca(), other_ca = make_ca("another CA");
  const std::string ca_file = folder_.write("ca.pem", ca.cert_pem()).string();
  const auto config = [&](const HttpServer& server, const std::string& host, int n) {
    return fmt::format("[[receivers]]\nname='lake{}'\nkind='http'\nurl='{}'\nca='{}'", n,
                       server.url(host), ca_file);
  };
  const Certificate good({}, &ca), expired({.begins_s = -7200, .ends_s = -60}, &ca),
      other_name({.alternative = "DNS:elsewhere.example,IP:127.0.0.2"}, &ca),
      other_issuer({}, &other_ca);
  int n = 0;
  for (const Certificate* bad : {&expired, &other_name, &other_issuer}) {
    HttpServer server([&](const HttpAsked& asked) { return take(asked); }, bad);
    server.start();
    auto dispatcher = start(config(server, "localhost", ++n)).value();
    publish(*dispatcher, 1, 3);
    EXPECT_TRUE(eventually([&] { return !dispatcher->states()[0].last_error.empty(); }));
    EXPECT_THAT(dispatcher->states()[0].last_error, HasSubstr("SSL"));
    EXPECT_EQ(dispatcher->states()[0].waiting, 3u);
  }
  EXPECT_EQ(numbers_.size(), 0u);
  for (const char* host : {"localhost", "127.0.0.1"}) {
    HttpServer server([&](const HttpAsked& asked) { return take(asked); }, &good);
    server.start();
    auto dispatcher = start(config(server, host, ++n)).value();
    publish(*dispatcher, 1, 3);
    EXPECT_TRUE(dispatcher->flush(seconds(30))) << dispatcher->states()[0].last_error;
  }
  EXPECT_EQ(numbers_.size(), 6u);
}

TEST_F(HttpTest, AReceiverThatRefusesEverythingBlocksNothing) {
  HttpServer server([](const HttpAsked&) { return std::string("413 Content Too Large"); });
  server.start();
  auto dispatcher = start(config(server)).value();
  publish(*dispatcher, 1, 20);
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  EXPECT_EQ(dispatcher->states()[0].refused, 20u);
  EXPECT_EQ(dispatcher->states()[0].delivered, 0u);
}

// ---- Several ----

TEST_F(DispatcherTest, ASlowReceiverDelaysNoOther) {
  std::atomic<bool> is_slow{true};
  HttpServer slow([&](const HttpAsked&) {
    while (is_slow) std::this_thread::sleep_for(milliseconds(5));
    return std::string("200 OK");
  });
  slow.start();
  const fs::path log = folder_.path() / "events.jsonl";
  auto dispatcher = start(fmt::format("[[receivers]]\nname='slow'\nkind='http'\nurl='{}'\n"
                                      "[[receivers]]\nname='file'\nkind='json-lines'\npath='{}'",
                                      slow.url(), log.string()))
                        .value();
  publish(*dispatcher, 1, 50);
  EXPECT_TRUE(eventually([&] { return dispatcher->states()[1].delivered == 50; }));
  EXPECT_EQ(dispatcher->states()[0].delivered, 0u);
  is_slow = false;
  EXPECT_TRUE(dispatcher->flush(seconds(30)));
}

TEST_F(DispatcherTest, StoppingDoesNotWaitForAReceiver) {
  SyslogServer silent({});  // connections wait in its queue for nobody
  silent.start();
  HttpServer slow([&](const HttpAsked&) {
    std::this_thread::sleep_for(seconds(3));
    return std::string("200 OK");
  });
  slow.start();
  auto dispatcher =
      start(fmt::format("[[receivers]]\nname='tls'\nkind='syslog'\naddress='tls://127.0.0.1:{}'\n"
                        "[[receivers]]\nname='http'\nkind='http'\nurl='{}'",
                        silent.port(), slow.url()))
          .value();
  publish(*dispatcher, 1, 5);
  ASSERT_TRUE(eventually([&] { return silent.n_connections() > 0; }));
  const auto begin = std::chrono::steady_clock::now();
  dispatcher->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(2500));
  for (const ReceiverState& state : dispatcher->states()) EXPECT_EQ(state.waiting, 5u);
}

TEST_F(DispatcherTest, AfterAKillTheSameEventsArriveWithTheSameIds) {
  SyslogServer server({});
  const std::string toml = fmt::format(
      "[[receivers]]\nname='siem'\nkind='syslog'\naddress='tcp://127.0.0.1:{}'", server.port());
  int pipe_fds[2];
  ASSERT_EQ(::pipe(pipe_fds), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    auto dispatcher = start(toml);
    for (int i = 1; dispatcher.ok(); ++i) {
      const Event event = sample_event(i);
      if (!(*dispatcher)->publish(event).ok()) break;
      if (::write(pipe_fds[1], event.id.data(), event.id.size()) < 0) break;
    }
    ::_exit(1);
  }
  ::close(pipe_fds[1]);
  std::vector<std::string> ids;
  std::string id(36, ' ');
  while (ids.size() < 50 && ::read(pipe_fds[0], id.data(), id.size()) == 36) ids.push_back(id);
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  while (::read(pipe_fds[0], id.data(), id.size()) == 36) ids.push_back(id);
  ::close(pipe_fds[0]);
  ASSERT_GE(ids.size(), 50u);
  server.start();
  auto dispatcher = start(toml).value();
  ASSERT_TRUE(dispatcher->flush(seconds(30)));
  auto received = ids_of(server.received());
  if (received.size() == ids.size() + 1) received.pop_back();  // durable, and not yet told
  EXPECT_EQ(received, ids);
}

TEST_F(DispatcherTest, EventsOfAReceiverThatIsConfiguredNoMoreAreTold) {
  const auto config = [this](std::string_view name) {
    return fmt::format("[[receivers]]\nname='{}'\nkind='json-lines'\npath='{}/no/such'", name,
                       folder_.path().string());
  };
  publish(*start(config("old")).value(), 1, 3);
  publish(*start(config("new")).value(), 4, 4);
  EXPECT_THAT(notices(), HasSubstr("old.json-lines: 3 events wait here"));
  EXPECT_EQ(notices().find("new.json-lines"), std::string::npos);
}

TEST_F(DispatcherTest, AnOverflowIsToldToTheReceiverInItsOwnForm) {
  SyslogServer server({});
  auto dispatcher = start(fmt::format("[[receivers]]\nname='siem'\nkind='syslog'\nspool_mib = 1\n"
                                      "address='tcp://127.0.0.1:{}'",
                                      server.port()))
                        .value();
  std::vector<Event> events;
  for (int i = 1; i <= 1000; ++i) events.push_back(sample_event(i, 4000));
  ASSERT_TRUE(dispatcher->publish(events).ok());
  const uint64_t lost = dispatcher->states()[0].lost;
  ASSERT_GT(lost, 0u);
  server.start();
  ASSERT_TRUE(dispatcher->flush(seconds(60)));
  int n_gaps = 0;
  for (const std::string& message : server.received().all()) {
    auto read = read_syslog_message(message);
    ASSERT_TRUE(read);
    if (read->name != "delivery.gap") continue;
    ++n_gaps;
    EXPECT_EQ(read->params["lost"], std::to_string(lost));
    EXPECT_EQ(read->priority, 13 * 8 + 3);
  }
  EXPECT_EQ(n_gaps, 1);
  EXPECT_EQ(server.received().size(), 1000 - lost + 1);
  EXPECT_THAT(notices(), HasSubstr("its spool is full"));
}

TEST(ReceiverConfig, FaultsHaveTheirPlace) {
  const auto fault = [](std::string_view toml) {
    auto read = parse_receivers(toml, "r.toml");
    return read.ok() ? std::string() : read.error().message;
  };
  EXPECT_EQ(fault(""), "");
  EXPECT_THAT(fault("[[receivers]]\nkind='http'\n"),
              HasSubstr("line 1, column 1: receivers.1.name"));
  EXPECT_THAT(fault("[[receivers]]\nname='A'\nkind='http'\n"), HasSubstr("a name of"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='smtp'\n"),
              HasSubstr("there are http, json-lines, syslog"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='json-lines'\npath='log'\n"),
              HasSubstr("line 4, column 1: receivers.1.path: an absolute path"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='json-lines'\npath='-'\nca='/c'\n"),
              HasSubstr("receivers.1.ca: unknown key"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='json-lines'\npath='-'\n"
                    "[[receivers]]\nname='a'\nkind='json-lines'\npath='-'\n"),
              HasSubstr("another receiver has this name"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='syslog'\naddress='tls://h'\nkey='/k'\n"),
              HasSubstr("certificate and key go together"));
  EXPECT_THAT(fault("[[receivers]]\nname='a'\nkind='syslog'\naddress='udp://h:514'\n"),
              HasSubstr("tls://host:port"));
}

}  // namespace
}  // namespace lantern::delivery
