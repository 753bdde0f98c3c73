// https: sources over a scripted server on loopback: what arrives, and what each fault says.
#include <signal.h>
#include <sys/resource.h>

#include <thread>

#include "supply/testing/fixture.h"
#include "supply/testing/stub_server.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::hex_of;
using testing::read_all;
using testing::serve_bytes;
using testing::StubReply;
using testing::StubRequest;
using testing::StubServer;

constexpr size_t kModelBytes = 300'000;
const std::string kEtag = "\"v1\"";

class UrlSource : public testing::StoreTest {
 protected:
  Result<Pulled> pull_url(const std::string& url, std::string_view alias = "") {
    return pull(context(), url, alias);
  }
  /// The error of a pull that fails and leaves nothing in the store.
  Error failure(const std::string& url) {
    auto pulled = pull_url(url);
    EXPECT_FALSE(pulled.ok());
    expect_nothing_admitted();
    return pulled.ok() ? Error{} : pulled.error();
  }
  static std::vector<std::string> ranges(const StubServer& server) {
    std::vector<std::string> list;
    for (const auto& request : server.requests()) list.push_back(request.header("range"));
    return list;
  }

  const std::string model_ = gguf_bytes(kModelBytes);
};

TEST_F(UrlSource, DownloadsOneFile) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  auto pulled = pull_url(server.origin() + "/some/Tiny%20Model-Q4_0.gguf?download=true");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->alias, "tiny-model-q4_0");
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  EXPECT_EQ(pulled->model.manifest.files[0].path, "Tiny Model-Q4_0.gguf");
  EXPECT_EQ(pulled->model.manifest.source, server.origin() + "/some/Tiny%20Model-Q4_0.gguf");
  EXPECT_EQ(count("partial"), 0u);
  EXPECT_EQ(server.n_connections(), 1);
}

TEST_F(UrlSource, LooksForASignatureBesideTheFile) {
  StubServer server([&](const StubRequest& request) {
    if (request.target.starts_with("/some/a.gguf?")) return serve_bytes(request, model_, kEtag);
    if (request.target == "/some/model.sig") return StubReply{.body = "{\"found\": true}"};
    return StubReply{.status = 404};
  });
  PullContext judged = context();
  std::string found;
  judged.judge_signature = [&](const FoundSignature* signature,
                               std::span<const ModelFile>) -> Status {
    found = signature == nullptr ? "none" : signature->name + signature->text;
    return {};
  };
  const auto pulled = pull(judged, server.origin() + "/some/a.gguf?download=true", "");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(found, "model.sig{\"found\": true}");
}

TEST_F(UrlSource, DownloadsEveryPartOfASplitModel) {
  StubServer server([&](const StubRequest& request) {
    return serve_bytes(request, gguf_bytes(1000, request.target[2] == '1' ? 1 : 2), "");
  });
  auto pulled = pull_url(server.origin() + "/d/m-00002-of-00002.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  ASSERT_EQ(pulled->model.manifest.files.size(), 2u);
  EXPECT_EQ(server.requests()[0].target, "/d/m-00001-of-00002.gguf");
  EXPECT_EQ(pulled->model.manifest.entry(), "m-00001-of-00002.gguf");
}

TEST_F(UrlSource, ResumesAfterADroppedConnection) {
  int n = 0;
  StubServer server([&](const StubRequest& request) {
    StubReply reply = serve_bytes(request, model_, kEtag);
    if (n++ < 2) reply.drop_after = 100'000;
    return reply;
  });
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  auto asked = ranges(server);
  ASSERT_EQ(asked.size(), 3u);
  EXPECT_EQ(asked[0], "");
  EXPECT_TRUE(asked[1].starts_with("bytes=1")) << asked[1];
  EXPECT_EQ(server.requests()[1].header("if-range"), kEtag);
  ASSERT_FALSE(notices_.empty());
  EXPECT_NE(notices_[0].find("the connection broke off"), std::string::npos) << notices_[0];
  EXPECT_NE(notices_[0].find("; trying again in"), std::string::npos) << notices_[0];
}

TEST_F(UrlSource, ResumesInALaterProcess) {
  std::atomic<bool> broken = true;
  StubServer server([&](const StubRequest& request) {
    StubReply reply = serve_bytes(request, model_, kEtag);
    if (broken) reply.drop_after = request.header("range").empty() ? 120'000 : 0;
    return reply;
  });
  auto error = failure(server.origin() + "/m.gguf");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_NE(error.message.find("the connection broke off"), std::string::npos) << error.message;
  EXPECT_EQ(count("partial"), 2u) << "the file and its validator";
  size_t before = server.requests().size();
  broken = false;
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  EXPECT_EQ(server.requests()[before].header("range"), "bytes=120000-");
  EXPECT_EQ(count("partial"), 0u);
}

TEST_F(UrlSource, AChangedFileIsFetchedFromItsBeginning) {
  std::string other = gguf_bytes(kModelBytes, 2);
  int n = 0;
  StubServer server([&](const StubRequest& request) {
    if (n++ > 0) return serve_bytes(request, other, "\"v2\"");
    StubReply reply = serve_bytes(request, model_, kEtag);
    reply.drop_after = 100'000;
    return reply;
  });
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), other);
}

TEST_F(UrlSource, WithoutAValidatorNothingIsGluedTogether) {
  for (const char* etag : {"", "W/\"weak\""}) {
    int n = 0;
    StubServer server([&](const StubRequest& request) {
      StubReply reply = serve_bytes(request, model_, etag);
      if (n++ == 0) reply.drop_after = 100'000;
      return reply;
    });
    auto pulled = pull_url(server.origin() + "/m.gguf");
    ASSERT_TRUE(pulled.ok()) << pulled.error().message;
    EXPECT_EQ(ranges(server), (std::vector<std::string>{"", ""}));
    ASSERT_TRUE(store_.remove(pulled->alias).ok());
  }
}

TEST_F(UrlSource, A416StartsOver) {
  int n = 0;
  StubServer server([&](const StubRequest& request) {
    if (n++ == 0) {
      StubReply reply = serve_bytes(request, model_, kEtag);
      reply.drop_after = 100'000;
      return reply;
    }
    if (!request.header("range").empty())
      return StubReply{.status = 416, .headers = {{"Content-Range", "bytes */50"}}};
    return serve_bytes(request, model_, kEtag);
  });
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
}

TEST_F(UrlSource, ASecondHalfThatIsAnotherIsRefused) {
  int n = 0;
  StubServer server([&](const StubRequest& request) {
    StubReply reply = serve_bytes(request, model_, kEtag);
    if (n++ == 0)
      reply.drop_after = 100'000;
    else
      reply.headers["Content-Range"] = "bytes 5-299999/300000";
    return reply;
  });
  auto error = failure(server.origin() + "/m.gguf");
  EXPECT_EQ(error.message, server.origin() + ": sends another part of m.gguf than was asked for");
}

TEST_F(UrlSource, AWrongDigestIsDeletedAndSaysBoth) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  std::string pinned = hex_of("something else");
  auto error = failure(server.origin() + "/m.gguf#sha256=" + pinned);
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message, "m.gguf from " + server.origin() +
                               "/m.gguf: wrong content: its SHA-256 is " + hex_of(model_) +
                               " and should be " + pinned + "; it was deleted");
  EXPECT_EQ(count("partial"), 0u);
  EXPECT_TRUE(pull_url(server.origin() + "/m.gguf#sha256=" + hex_of(model_)).ok());
}

TEST_F(UrlSource, ADamagedPartialFileIsFetchedAfresh) {
  std::atomic<bool> broken = true;
  StubServer server([&](const StubRequest& request) {
    StubReply reply = serve_bytes(request, model_, kEtag);
    if (broken) reply.drop_after = request.header("range").empty() ? 120'000 : 0;
    return reply;
  });
  std::string url = server.origin() + "/m.gguf#sha256=" + hex_of(model_);
  failure(url);
  for (const auto& file : fs::directory_iterator(store_.root() / "partial"))
    if (file.path().extension() == ".part")
      testing::write_all(file.path(), std::string(90'000, 'x'));
  broken = false;
  auto pulled = pull_url(url);
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  EXPECT_EQ(notices_.back(), "m.gguf: what an earlier download left is damaged; starting over");
}

TEST_F(UrlSource, StatusesSayWhatToDo) {
  struct Case {
    int status;
    ErrorCode code;
    std::string message;
    int attempts;
  };
  const Case cases[] = {
      {401, ErrorCode::kIo, ": access refused (401): it needs a login", 1},
      {403, ErrorCode::kIo, ": access refused (403): it needs a login", 1},
      {404, ErrorCode::kNotFound, ": not there (404)", 1},
      {400, ErrorCode::kIo, ": the server answered 400", 1},
      {429, ErrorCode::kIo, ": too many requests: try again later", 3},
      {500, ErrorCode::kIo, ": the server answered 500", 3},
      {503, ErrorCode::kIo, ": the server answered 503", 3},
      {416, ErrorCode::kIo, ": the server answered 416", 1},
  };
  for (const auto& c : cases) {
    StubServer server(
        [&](const StubRequest&) { return StubReply{.status = c.status, .body = "no"}; });
    std::string url = server.origin() + "/m.gguf";
    auto error = failure(url);
    EXPECT_EQ(error.message, url + c.message);
    EXPECT_EQ(error.code, c.code) << c.status;
    EXPECT_EQ(server.n_connections(), c.attempts) << c.status;
  }
}

TEST_F(UrlSource, APassingFaultIsWaitedOut) {
  int n = 0;
  StubServer server([&](const StubRequest& request) {
    if (n++ < 2) return StubReply{.status = 503};
    return serve_bytes(request, model_, kEtag);
  });
  EXPECT_TRUE(pull_url(server.origin() + "/m.gguf").ok());
}

TEST_F(UrlSource, FollowsRedirectsToOtherPortsOfThisMachine) {
  StubServer storage(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  StubServer server([&](const StubRequest&) {
    return StubReply{.status = 302, .headers = {{"Location", storage.origin() + "/blob?sig=1"}}};
  });
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
}

TEST_F(UrlSource, RefusesRedirectsToWhatIsNotEncrypted) {
  const std::pair<std::string, std::string> cases[] = {
      {"http://example.org/m.gguf",
       ": redirects to http://example.org, which is not https: refused"},
      {"ftp://example.org/m.gguf", ": redirects to ftp://example.org, which is not https: refused"},
      {"http://169.254.169.254/",
       ": redirects to http://169.254.169.254, which is not https: refused"},
      {"file:///etc/passwd", ": sends an address that cannot be followed: \"file:///etc/passwd\""},
  };
  for (const auto& [target, message] : cases) {
    StubServer server([&](const StubRequest&) {
      return StubReply{.status = 302, .headers = {{"Location", target}}};
    });
    auto error = failure(server.origin() + "/m.gguf");
    EXPECT_EQ(error.code, ErrorCode::kIo);
    EXPECT_EQ(error.message, server.origin() + message);
  }
}

TEST_F(UrlSource, ALoopOfRedirectsEnds) {
  StubServer server([&](const StubRequest&) {
    return StubReply{.status = 302, .headers = {{"Location", "/again.gguf"}}};
  });
  EXPECT_EQ(failure(server.origin() + "/m.gguf").message,
            server.origin() + "/m.gguf: more than 5 redirects");
}

TEST_F(UrlSource, WithoutALengthTheWholeBodyCounts) {
  StubServer server(
      [&](const StubRequest&) { return StubReply{.body = model_, .with_length = false}; });
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
}

TEST_F(UrlSource, ATruncatedBodyIsNoFile) {
  StubServer server(
      [&](const StubRequest&) { return StubReply{.body = model_, .truncate_after = 1000}; });
  auto error = failure(server.origin() + "/m.gguf");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_NE(error.message.find("the connection broke off"), std::string::npos) << error.message;
}

TEST_F(UrlSource, ATruncatedBodyWithoutLengthFailsItsDigest) {
  StubServer server([&](const StubRequest&) {
    return StubReply{.body = model_, .with_length = false, .truncate_after = 1000};
  });
  auto error = failure(server.origin() + "/m.gguf#sha256=" + hex_of(model_));
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_NE(error.message.find(": wrong content: its SHA-256 is "), std::string::npos);
}

TEST_F(UrlSource, SilenceEndsTheAttempt) {
  StubServer server(
      [&](const StubRequest&) { return StubReply{.body = model_, .stall_after = 0}; });
  auto error = failure(server.origin() + "/m.gguf");
  EXPECT_TRUE(error.message.starts_with(server.origin() + ": no answer in time ("))
      << error.message;
}

TEST_F(UrlSource, NobodyListening) {
  std::string origin;
  {
    StubServer server([](const StubRequest&) { return StubReply{}; });
    origin = server.origin();
  }
  auto error = failure(origin + "/m.gguf");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  EXPECT_TRUE(error.message.starts_with(origin + ": no connection (")) << error.message;
}

TEST_F(UrlSource, AnUnknownHostIsNoNetwork) {
  auto error = failure("https://no-such-host.invalid/m.gguf");
  EXPECT_EQ(error.code, ErrorCode::kIo);
  // Behind a proxy, it is the proxy that cannot find it.
  if (!::getenv("https_proxy") && !::getenv("HTTPS_PROXY") && !::getenv("ALL_PROXY")) {
    EXPECT_TRUE(error.message.starts_with(
        "https://no-such-host.invalid: its address cannot be found: is this machine connected?"))
        << error.message;
  }
}

TEST_F(UrlSource, OfflineNeverOpensASocket) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  PullContext offline = context();
  offline.network = NetworkMode::kOffline;
  auto pulled = pull(offline, server.origin() + "/m.gguf", "");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().code, ErrorCode::kIo);
  EXPECT_EQ(pulled.error().message,
            server.origin() + "/m.gguf needs the network, and --offline forbids it");
  EXPECT_EQ(server.n_connections(), 0);
  expect_nothing_admitted();
}

TEST_F(UrlSource, AWebPageIsNoModel) {
  StubServer server([&](const StubRequest&) { return StubReply{.body = "<!DOCTYPE html><html>"}; });
  auto error = failure(server.origin() + "/m.gguf");
  EXPECT_EQ(error.code, ErrorCode::kUnsupported);
  EXPECT_EQ(error.message,
            "m.gguf from " + server.origin() + "/m.gguf: this is a web page, not a GGUF file");
}

TEST_F(UrlSource, NamesOfTheServerCannotLeaveTheStore) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  auto pulled = pull_url(server.origin() + "/x/..%2f..%2f..%2fescape.gguf");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->model.manifest.files[0].path, "escape.gguf");
}

TEST_F(UrlSource, TooLittleDiskIsSaidBeforehand) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  PullContext full = context();
  full.free_bytes = [](const fs::path&) -> Result<uint64_t> { return uint64_t{1'200'000}; };
  auto pulled = pull(full, server.origin() + "/m.gguf", "");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().code, ErrorCode::kExhausted);
  EXPECT_EQ(
      pulled.error().message,
      store_.root().string() +
          ": 300.0 kB are needed and 1.2 MB are free: free some space, or set LANTERN_HOME to a "
          "folder on another disk");
  expect_nothing_admitted();
}

TEST_F(UrlSource, ADiskThatFillsUpMidwayLeavesNoModel) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  // A limit on the size of files fails the same write as a full disk does, without one.
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  rlimit small = before;
  small.rlim_cur = 150'000;
  auto old = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  auto pulled = pull_url(server.origin() + "/m.gguf");
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, old);
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().code, ErrorCode::kExhausted);
  EXPECT_NE(
      pulled.error().message.find("the disk is full (or a quota or size limit is reached): free "
                                  "some space and run it again"),
      std::string::npos)
      << pulled.error().message;
  expect_nothing_admitted();
}

TEST_F(UrlSource, AnInterruptionKeepsWhatCameForTheNextTime) {
  std::atomic<bool> stall = true;
  StubServer server([&](const StubRequest& request) {
    StubReply reply = serve_bytes(request, model_, kEtag);
    if (stall) reply.stall_after = 200'000;
    return reply;
  });
  PullContext patient = context();
  patient.http.stall_timeout_s = 30;
  std::jthread interrupter([&] {
    while (server.n_connections() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    stop_.request_stop();
  });
  auto pulled = pull(patient, server.origin() + "/m.gguf", "");
  interrupter.join();
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(pulled.error().message, "interrupted");
  expect_nothing_admitted();

  stall = false;
  stop_ = std::stop_source();
  ASSERT_TRUE(pull_url(server.origin() + "/m.gguf").ok());
  EXPECT_EQ(server.requests().back().header("range"), "bytes=200000-");
}

TEST_F(UrlSource, TwoPullsOfOneFileAtOnceDownloadItOnce) {
  StubServer server([&](const StubRequest& request) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return serve_bytes(request, model_, kEtag);
  });
  std::string url = server.origin() + "/m.gguf#sha256=" + hex_of(model_);
  PullContext other = context();
  other.notice = {};
  std::optional<Result<Pulled>> second;
  std::jthread thread([&] { second = pull(other, url, ""); });
  while (server.n_connections() == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  auto first = pull_url(url);
  thread.join();
  ASSERT_TRUE(first.ok()) << first.error().message;
  ASSERT_TRUE(second->ok()) << second->error().message;
  EXPECT_EQ(notices_.front(), "another lantern is downloading this file; waiting for it");
  EXPECT_EQ(server.n_connections(), 1);
  EXPECT_EQ(read_all(first->model.entry()), model_);
  EXPECT_EQ(count("partial"), 0u);
}

TEST_F(UrlSource, ACompressedAnswerIsRefused) {
  StubServer server([&](const StubRequest&) {
    return StubReply{.body = model_, .headers = {{"Content-Encoding", "gzip"}}};
  });
  EXPECT_EQ(failure(server.origin() + "/m.gguf").message,
            server.origin() + ": sends m.gguf compressed on the way, which was not asked for");
}

TEST_F(UrlSource, NamesOfTheCatalogAreNotTaken) {
  StubServer server(
      [&](const StubRequest& request) { return serve_bytes(request, model_, kEtag); });
  auto pulled = pull_url(server.origin() + "/smollm2.gguf");
  ASSERT_TRUE(pulled.ok());
  EXPECT_EQ(pulled->alias, "smollm2-" + hex_of(model_).substr(0, 6));
  auto stolen = pull_url(server.origin() + "/smollm2.gguf", "smollm2");
  EXPECT_EQ(stolen.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(pull_url(server.origin() + "/smollm2.gguf", "mine")->alias, "mine");
}

}  // namespace
}  // namespace lantern::supply
