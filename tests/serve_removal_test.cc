// Models that leave the store while the service has them: nothing still names them, and whoever
// asks hears that they are not there, whatever was under way.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "program.h"
#include "served_tiny.h"

namespace lantern::tests {
namespace {

using base::OrderedJson;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

std::vector<std::string> listed(const Served& served) {
  std::vector<std::string> out;
  const OrderedJson models = served.get_json("/v1/models");
  for (const OrderedJson& model : models["data"]) out.push_back(model["id"]);
  return out;
}

void expect_unloaded(const Served& served) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!served.models("/api/ps").empty() && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_THAT(served.models("/api/ps"), IsEmpty());
}

TEST(ServeRemoval, AModelThatWasRemovedWhileItWasLoadedIsNotListed) {
  const ScopedHome home("serve-removed");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Served served({}, {}, Served::Named::kNone);
  for (const char* name : {"one", "two"})
    EXPECT_THAT(served.chat_with(name, "Hi"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(run_lantern({"remove", "one"}).exit_code, 0);
  EXPECT_THAT(listed(served), UnorderedElementsAre("two", "three"));
  EXPECT_THAT(served.models("/api/tags"), UnorderedElementsAre("two", "three"));
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(served.exchange(http_request("DELETE", "/api/delete", R"({"model":"two"})")),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(listed(served), ElementsAre("three"));
  expect_unloaded(served);
}

TEST(ServeRemoval, OneThatTheCommandLineNamedGoesToo) {
  const ScopedHome home("serve-removed-named");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Served served({"one", "--only"}, {}, Served::Named::kNone);
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(run_lantern({"remove", "one"}).exit_code, 0);
  EXPECT_THAT(listed(served), IsEmpty());
  const std::string gone = served.chat_with("one", "Hi");
  EXPECT_THAT(gone, StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(body_of(gone)["error"]["code"], "model_not_found");
  EXPECT_THAT(served.get("/v1/models/one"), StartsWith("HTTP/1.1 404"));
  expect_unloaded(served);
  const std::string file = (folder.path() / "one.gguf").string();
  ASSERT_EQ(run_lantern({"pull", file, "--name", "one", "--approve", "again"}).exit_code, 0);
  EXPECT_THAT(listed(served), ElementsAre("one"));
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 200"));
}

/// At every moment of a load the removal may come: each answer is whole, or says that there is no
/// such model, and nothing tells where the store is.
TEST(ServeRemoval, ARemovalThatRacesALoadIsNotFound) {
  const ScopedHome home("serve-removal-race");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const std::string file = (folder.path() / "one.gguf").string();
  const Served served({}, {}, Served::Named::kNone);
  for (int i = 0; i < 24; ++i) {
    SCOPED_TRACE(i);
    std::vector<std::string> answers(4);
    {
      std::vector<std::jthread> threads;
      threads.reserve(answers.size());
      for (std::string& answer : answers)
        threads.emplace_back([&] { answer = served.chat_with("one", "Hi"); });
      std::this_thread::sleep_for(std::chrono::milliseconds(i));
      EXPECT_THAT(served.exchange(http_request("DELETE", "/api/delete", R"({"model":"one"})")),
                  StartsWith("HTTP/1.1 200"));
    }
    for (const std::string& answer : answers) {
      EXPECT_THAT(answer, AnyOf(StartsWith("HTTP/1.1 200"), StartsWith("HTTP/1.1 404")));
      EXPECT_THAT(answer, Not(HasSubstr("sha256/")));
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 200") ||
                  answer.find("is not served here") != std::string::npos)
          << answer;
    }
    ASSERT_EQ(run_lantern({"pull", file, "--name", "one", "--approve", "again"}).exit_code, 0);
  }
}

}  // namespace
}  // namespace lantern::tests
