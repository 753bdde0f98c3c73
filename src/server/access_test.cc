// Keys at the door: who needs one, what each refusal is called, and that an answer ends with its
// key.
#include "server/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "gate/usage.h"

namespace lantern::server {
namespace {

using ::testing::HasSubstr;

/// A state of its own.
class AccessTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* old = std::getenv("LANTERN_HOME")) before_ = old;  // NOLINT: one thread
    std::string folder =
        (std::filesystem::temp_directory_path() / "lantern-access-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder.data()), nullptr);
    folder_ = folder;
    ::setenv("LANTERN_HOME", folder.c_str(), 1);  // NOLINT: one thread
  }
  void TearDown() override {
    before_ ? ::setenv("LANTERN_HOME", before_->c_str(), 1)  // NOLINT: one thread
            : ::unsetenv("LANTERN_HOME");                    // NOLINT: one thread
    std::filesystem::remove_all(folder_);
  }
  static std::unique_ptr<Access> open(bool keys_required) {
    auto keys = gate::ApiKeys::open();
    auto usage = gate::Usage::of_user();
    EXPECT_TRUE(keys.ok() && usage.ok());
    auto access = Access::start(std::move(*keys), std::move(*usage), keys_required);
    EXPECT_TRUE(access.ok()) << access.error().message;
    return access.ok() ? std::move(*access) : nullptr;
  }
  static std::string make_key(const std::string& name, std::vector<std::string> scopes = {}) {
    const auto made = gate::create_api_key(
        {.name = name, .user = "alice", .scopes = std::move(scopes), .requests_a_minute = 9});
    EXPECT_TRUE(made.ok()) << made.error().message;
    return made.ok() ? made->key : "";
  }

  std::filesystem::path folder_;
  std::optional<std::string> before_;
};

class Kept final : public Reply {
 public:
  void send(Response) override {}
  void start(Response) override {}
  void write(std::string) override {}
  void end() override {}
  [[nodiscard]] std::stop_token gone() const override { return gone_.get_token(); }
  std::stop_source gone_;
};

Endpoint endpoint_of(Scope scope, Api api = Api::kOpenAi) {
  return {.method = "GET",
          .path = "/x",
          .scope = scope,
          .audit = AuditClass::kNone,
          .api = api,
          .summary = "",
          .handle = nullptr};
}

/// The status, 0 where it may go on; the caller and the body are the last check's.
struct Asked {
  std::unique_ptr<Access> access;
  gate::Caller caller = {};
  std::string body = {};
  std::shared_ptr<Reply> reply = {};

  int check(Scope scope, const Headers& headers, bool on_socket = false, bool is_admin = false) {
    Request request{.headers = headers,
                    .identify = [] { return gate::Caller{.user = "bob", .program = "/usr/bin/x"}; },
                    .on_socket = on_socket,
                    .peer_is_admin = is_admin};
    reply = std::make_shared<Kept>();
    const auto refused = access->check(endpoint_of(scope), request, reply);
    body = refused ? refused->body : "";
    caller = refused ? gate::Caller() : request.identify();
    return refused ? refused->status : 0;
  }
};

Headers bearer(const std::string& key) { return {{"Authorization", "Bearer " + key}}; }

TEST_F(AccessTest, WithoutRequiredKeysAnybodyMayAsk) {
  Asked asked{.access = open(false)};
  EXPECT_EQ(asked.check(Scope::kAnswers, {}), 0);
  EXPECT_EQ(asked.caller.user, "bob");
  EXPECT_NE(asked.caller.usage, nullptr) << "what is used is counted";
  EXPECT_EQ(asked.check(Scope::kAnswers, bearer("none")), 0) << "clients insist on sending one";
  EXPECT_EQ(asked.check(Scope::kAnswers, bearer("lantern_wrong")), 401) << "that is meant as one";
  EXPECT_THAT(asked.body, HasSubstr("lantern.key"));
}

TEST_F(AccessTest, RequiredKeysAreRequiredOfWhatIsNotPublic) {
  Asked asked{.access = open(true)};
  EXPECT_EQ(asked.check(Scope::kPublic, {}), 0);
  for (const Scope scope :
       {Scope(Scope::kAnswers), Scope(Scope::kModels), Scope(Scope::kMetrics)}) {
    EXPECT_EQ(asked.check(scope, {}), 401);
    EXPECT_EQ(asked.check(scope, bearer("none")), 401);
    EXPECT_EQ(asked.check(scope, {}, true), 0) << "the kernel says who calls on the socket";
  }
  asked.access->require_keys(false);
  EXPECT_EQ(asked.check(Scope::kAnswers, {}), 0);
}

TEST_F(AccessTest, AKeySpeaksForItsUserWhereItIsFor) {
  const std::string key = make_key("ci");
  Asked asked{.access = open(true)};
  for (const Headers& headers :
       {bearer(key), Headers{{"x-api-key", key}}, Headers{{"authorization", "bearer   " + key}},
        Headers{{"Authorization", "Bearer none"}, {"X-Api-Key", key}}}) {
    EXPECT_EQ(asked.check(Scope::kAnswers, headers), 0);
    EXPECT_EQ(asked.caller.user, "alice");
    ASSERT_NE(asked.caller.grant, nullptr);
    EXPECT_EQ(asked.caller.grant->requests_a_minute, 9);
    EXPECT_EQ(asked.caller.key_id, asked.caller.grant->id);
    EXPECT_EQ(asked.caller.program, "/usr/bin/x");
  }
  EXPECT_EQ(asked.check(Scope::kMetrics, bearer(key)), 403);
  EXPECT_THAT(asked.body, HasSubstr("lantern.key-scope"));
  std::string wrong = key;
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(asked.check(Scope::kAnswers, bearer(wrong)), 401);
  EXPECT_EQ(asked.check(Scope::kAnswers, Headers{{"Authorization", "Basic " + key}}), 401);
}

TEST_F(AccessTest, TheAdminSocketAnswersItsOwnAccountAlone) {
  const std::string key = make_key("ci", {"answers", "models", "metrics"});
  Asked asked{.access = open(false)};
  EXPECT_EQ(asked.check(Scope::kAdmin, {}), 403);
  EXPECT_EQ(asked.check(Scope::kAdmin, bearer(key)), 403);
  EXPECT_EQ(asked.check(Scope::kAdmin, {}, true), 403);
  EXPECT_EQ(asked.check(Scope::kAdmin, {}, true, true), 0);
}

TEST_F(AccessTest, AnAnswerEndsWithinASecondOfItsKeysRevocation) {
  const std::string key = make_key("ci"), other = make_key("other");
  Asked asked{.access = open(true)};
  ASSERT_EQ(asked.check(Scope::kAnswers, bearer(other)), 0);
  const auto stays = asked.reply;
  ASSERT_EQ(asked.check(Scope::kAnswers, bearer(key)), 0);
  const auto ends = asked.reply;
  const std::stop_token gone = ends->gone();
  EXPECT_FALSE(gone.stop_requested());
  ASSERT_TRUE(gate::revoke_api_key("ci").ok());
  EXPECT_EQ(asked.check(Scope::kAnswers, bearer(key)), 401) << "at once for the next request";
  for (int i = 0; i < 100 && !gone.stop_requested(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(gone.stop_requested());
  EXPECT_FALSE(stays->gone().stop_requested()) << "another key's";
}

TEST_F(AccessTest, AClientThatGoesIsGoneUnderAKeyToo) {
  const std::string key = make_key("ci");
  const auto access = open(true);
  Request request{.headers = bearer(key)};
  const auto client = std::make_shared<Kept>();
  std::shared_ptr<Reply> reply = client;
  ASSERT_FALSE(access->check(endpoint_of(Scope::kAnswers), request, reply).has_value());
  ASSERT_NE(reply, client);
  EXPECT_FALSE(reply->gone().stop_requested());
  client->gone_.request_stop();
  EXPECT_TRUE(reply->gone().stop_requested());
}

}  // namespace
}  // namespace lantern::server
