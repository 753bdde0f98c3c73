// What bounds the service, and how it says so: slow and long requests, users beside one another,
// its own rest; and guesses, which change no answer.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "engine/tiny_model.h"
#include "program.h"
#include "served_program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

const format::TemporaryFolder& folder() {
  static const format::TemporaryFolder made;
  return made;
}

fs::path model(const std::string& name, const engine::TinyModel& tiny = {}) {
  return tiny.write(folder(), name + ".gguf");
}

std::string settings(const std::string& text) {
  static int n = 0;
  const fs::path path = folder().path() / fmt::format("serve-{}.toml", ++n);
  std::ofstream(path) << text;
  return path.string();
}

std::vector<std::string> approved(std::vector<std::string> words) {
  words.insert(words.end(), {"--approve", "made by this test"});
  return words;
}

/// Chat with the model of that file, which ends by itself nowhere.
std::string chat(const std::string& name, int64_t n_tokens, const std::string& more = {}) {
  return fmt::format(
      R"({{"model":"{}.gguf","messages":[{{"role":"user","content":"abc abc abc"}}],)"
      R"("max_tokens":{},"seed":7,"ignore_eos":true{}}})",
      name, n_tokens, more);
}

std::string text_of(const std::string& answer) {
  const OrderedJson body = body_of(answer);
  EXPECT_TRUE(body.contains("choices")) << answer;
  return body.contains("choices") ? body["choices"][0]["message"]["content"].get<std::string>()
                                  : answer;
}

std::string begun_post(const std::string& path, const std::string& length) {
  return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + length + "\r\n\r\n";
}

TEST(ServeLimits, WhatComesTooSlowlyIs408InTheShapeOfItsApi) {
  const ScopedHome home("serve-slow");
  const ServedProgram served({"--config", settings("[limits]\nheader_s = 1\nbody_s = 1\n")});
  const std::string openai = served.exchange(begun_post("/v1/chat/completions", "10") + "{\"a\"");
  EXPECT_THAT(openai, StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(body_of(openai)["error"]["type"], "invalid_request_error");
  const std::string anthropic = served.exchange(begun_post("/v1/messages", "10") + "{");
  EXPECT_THAT(anthropic, StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(body_of(anthropic)["error"]["type"], "timeout_error");
  EXPECT_EQ(body_of(anthropic)["type"], "error");
  const std::string ollama = served.exchange(begun_post("/api/chat", "10"));
  EXPECT_THAT(ollama, StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(body_of(ollama)["error"].is_string());
  // The header itself: the target has come, the rest has not.
  const std::string header = served.exchange("GET /v1/models HTTP/1.1\r\nHost: loc");
  EXPECT_THAT(header, StartsWith("HTTP/1.1 408 "));
  EXPECT_THAT(header, HasSubstr("took too long to arrive"));
  EXPECT_EQ(served.get_json("/healthz")["status"], "ok");
}

TEST(ServeLimits, WhatIsTooLongIsRefusedInTheShapeOfItsApiWhileItStillComes) {
  const ScopedHome home("serve-long");
  const ServedProgram served({"--config", settings("[limits]\nbody_bytes_max = 1024\n")});
  const std::string body(300'000, 'x');
  const std::string anthropic = served.post("/v1/messages", body);
  EXPECT_THAT(anthropic, StartsWith("HTTP/1.1 413 "));
  EXPECT_EQ(body_of(anthropic)["error"]["type"], "request_too_large");
  const std::string openai = served.post("/v1/responses", body);
  EXPECT_THAT(openai, StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(body_of(openai)["error"]["message"].get<std::string>(), HasSubstr("1024 bytes"));
  const std::string target = served.get("/v1/models/" + std::string(9000, 'm'));
  EXPECT_THAT(target, StartsWith("HTTP/1.1 414 "));
  EXPECT_TRUE(body_of(target)["error"].is_object());
}

/// Nanoseconds that its threads ran; 0 where the kernel does not count them.
int64_t time_of(pid_t pid) {
  int64_t all = 0;
  for (const auto& task : fs::directory_iterator(fmt::format("/proc/{}/task", pid))) {
    std::ifstream file(task.path() / "schedstat");
    int64_t ran = 0;
    if (file >> ran) all += ran;
  }
  return all;
}

TEST(ServeLimits, ALoadedModelThatNobodyAsksTakesNextToNoTime) {
  const ScopedHome home("serve-idle");
  const ServedProgram served(approved({model("idle").string()}));
  (void)served.post("/v1/chat/completions", chat("idle", 4));
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const int64_t before = time_of(served.pid());
  if (before == 0) GTEST_SKIP() << "the kernel does not count it";
  std::this_thread::sleep_for(std::chrono::seconds(4));
  // 1.5 % of a core; on a machine that is not busy it is far less.
  EXPECT_LT(time_of(served.pid()) - before, 60'000'000);
}

std::string new_key(const std::string& name, const std::vector<std::string>& more = {}) {
  std::vector<std::string> words = {"key", "create", "--name", name, "--user", name};
  words.insert(words.end(), more.begin(), more.end());
  const Ran ran = run_lantern(words);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  return "Authorization: Bearer " + ran.out.substr(0, ran.out.find('\n')) + "\r\n";
}

TEST(ServeLimits, AUserWhoHoldsAllPlacesDoesNotStarveAnother) {
  const ScopedHome home("serve-places");
  engine::TinyModel tiny;
  tiny.context = 32768;
  const ServedProgram served(
      approved({model("places", tiny).string(), "--sequences", "1", "--require-keys"}));
  const std::string alice = new_key("alice"), bob = new_key("bob"),
                    meter = new_key("meter", {"--scopes", "metrics"});
  auto long_one = std::async(std::launch::async, [&] {
    return served.post("/v1/chat/completions", chat("places", 30000, R"(,"temperature":2)"), alice);
  });
  const auto is_running = [&] {
    const std::string all = served.get("/metrics", meter);
    const size_t line = all.find("\nlantern_answers_running{");
    return line != std::string::npos && all.substr(all.find("} ", line), 4) == "} 1\n";
  };
  while (!is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::string short_one = served.post("/v1/chat/completions", chat("places", 4), bob);
  EXPECT_THAT(short_one, StartsWith("HTTP/1.1 200 "));
  EXPECT_EQ(long_one.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  EXPECT_THAT(long_one.get(), StartsWith("HTTP/1.1 200 "));
}

TEST(ServeLimits, AKeysListOfModelsHasThoseThatItIsFor) {
  const ScopedHome home("serve-key-models");
  const ServedProgram served(
      approved({model("first").string(), model("second").string(), "--require-keys"}));
  const auto listed = [&](const std::string& key) {
    std::vector<std::string> names;
    const OrderedJson all = body_of(served.get("/v1/models", key));
    for (const OrderedJson& one : all["data"]) names.push_back(one["id"]);
    return names;
  };
  const std::string both = new_key("both"), one = new_key("one", {"--models", "second.gguf"});
  EXPECT_EQ(listed(both).size(), 2u);
  EXPECT_EQ(listed(one), std::vector<std::string>{"second.gguf"});
  EXPECT_THAT(served.get("/v1/models/first.gguf", one), StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(served.get("/v1/models/second.gguf", one), StartsWith("HTTP/1.1 200 "));
}

TEST(ServeLimits, GuessesChangeNoAnswer) {
  const ScopedHome home("serve-draft");
  const std::string target = model("target").string();
  engine::TinyModel smaller;
  smaller.window = 64;
  const std::string draft = model("draft", smaller).string();
  const auto ask = [&](const ServedProgram& served, const std::string& more = {}) {
    return text_of(served.post("/v1/chat/completions", chat("target", 200, more)));
  };
  std::string expected, sampled;
  {
    const ServedProgram plain(approved({target, "--speculate", "off"}));
    expected = ask(plain, R"(,"temperature":0)");
    sampled = ask(plain);
  }
  const auto guessed = [](const ServedProgram& served) {
    const std::string all = served.get("/metrics");
    const size_t line = all.find("\nlantern_guessed_tokens_total{");
    return line == std::string::npos ? -1.0 : std::stod(all.substr(all.find("} ", line) + 2));
  };
  {
    const ServedProgram drafted(approved({target, "--draft", draft, "--speculate", "always"}));
    EXPECT_EQ(ask(drafted, R"(,"temperature":0)"), expected);
    EXPECT_EQ(ask(drafted), sampled);
    EXPECT_GT(guessed(drafted), 100);
  }
  const std::string config = settings(fmt::format(
      "speculate = \"off\"\n[model.\"target.gguf\"]\nspeculate = \"always\"\ndraft = \"{}\"\n",
      draft));
  const ServedProgram of_file(approved({target, "--config", config}));
  EXPECT_EQ(ask(of_file), sampled);
  EXPECT_GT(guessed(of_file), 50);
}

TEST(ServeLimits, ADraftOfAnotherVocabularyIsRefusedForTheModelThatNamesItAndLeftOutElsewhere) {
  const ScopedHome home("serve-draft-other");
  const std::string target = model("target").string();
  engine::TinyModel other;
  other.spare = "<|other|>";
  const std::string draft = model("other", other).string();
  const ServedProgram without(approved({target, "--draft", draft}));
  EXPECT_THAT(without.said(), HasSubstr("a draft model needs the same vocabulary"));
  EXPECT_THAT(without.post("/v1/chat/completions", chat("target", 4)), StartsWith("HTTP/1.1 200 "));
  const std::string config =
      settings(fmt::format("[model.\"target.gguf\"]\ndraft = \"{}\"\n", draft));
  const Ran refused = run_lantern(
      {"serve", target, "--listen", "127.0.0.1:0", "--config", config, "--approve", "test"});
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr("a draft model needs the same vocabulary"));
}

/// The same schema again and again: compiled once, and the answers are the same.
TEST(ServeLimits, EqualSchemasGiveEqualAnswers) {
  const ScopedHome home("serve-schemas");
  const ServedProgram served(approved({model("shaped").string()}));
  const std::string format =
      R"(,"temperature":1,"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":)"
      R"({"type":"object","properties":{"a":{"type":"integer","minimum":0,"maximum":99}},"required":["a"],"additionalProperties":false}}})";
  const auto ask = [&] {
    std::string body = chat("shaped", 60, format);
    const std::string ends = ",\"ignore_eos\":true";
    body.erase(body.find(ends), ends.size());
    return served.post("/v1/chat/completions", body);
  };
  const std::string first = text_of(ask());
  EXPECT_TRUE(OrderedJson::parse(first)["a"].is_number_integer()) << first;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(text_of(ask()), first);
  const std::string wrong = served.post(
      "/v1/chat/completions",
      chat(
          "shaped", 4,
          R"(,"response_format":{"type":"json_schema","json_schema":{"schema":{"contains":{}}}})"));
  EXPECT_THAT(wrong, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(body_of(wrong)["error"]["message"].get<std::string>(),
              StartsWith("response_format: "));
}

TEST(ServeLimits, AnthropicSaysWhichStopSequenceItWas) {
  const ScopedHome home("serve-stops");
  const ServedProgram served(approved({model("stops").string()}));
  // Greedy, so that the second answer is the first one until it stops.
  const auto ask = [&](const OrderedJson& stops) {
    return body_of(served.post("/v1/messages",
                               OrderedJson{{"model", "stops.gguf"},
                                           {"max_tokens", 100},
                                           {"temperature", 0},
                                           {"messages", {{{"role", "user"}, {"content", "abc"}}}},
                                           {"stop_sequences", stops}}
                                   .dump()));
  };
  const auto whole = ask({"never to be found"})["content"][0]["text"].get<std::string>();
  // A character of it that JSON writes as it is.
  size_t at = 0;
  while (at < whole.size() && (whole[at] < '0' || whole[at] > 'z' || whole[at] == '\\')) ++at;
  ASSERT_LT(at, whole.size()) << whole;
  const std::string stop(1, whole[at]);
  const OrderedJson answer = ask({"never to be found", stop});
  EXPECT_EQ(answer["stop_reason"], "stop_sequence") << answer;
  EXPECT_EQ(answer["stop_sequence"], stop);
}

}  // namespace
}  // namespace lantern::tests
