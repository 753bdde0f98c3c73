// The service from outside, over real sockets: what it answers, what it refuses, what it survives,
// and that an answer is the same alone, among others and after a restart.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/json.h"
#include "engine/tiny_model.h"
#include "program.h"
#include "served_tiny.h"

namespace lantern::tests {
namespace {

using base::OrderedJson;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

class Serve : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    home_ = new ScopedHome("serve");
    served_ = new Served;
  }
  static void TearDownTestSuite() {
    delete served_;
    delete home_;
  }
  static Served& service() { return *served_; }

 private:
  static inline ScopedHome* home_ = nullptr;
  static inline Served* served_ = nullptr;
};

TEST_F(Serve, SaysThatItIsThere) {
  EXPECT_THAT(service().get("/"), HasSubstr("Lantern is running"));
  EXPECT_EQ(service().get_json("/healthz")["status"], "ok");
  EXPECT_EQ(service().get_json("/readyz")["status"], "ready");
  const OrderedJson api = service().get_json("/openapi.json");
  EXPECT_TRUE(api["paths"].contains("/v1/chat/completions"));
  EXPECT_THAT(service().exchange("HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"),
              EndsWith("\r\n\r\n"));
}

/// An environment variable, for what is started meanwhile.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() {
    if (before_)
      ::setenv(name_, before_->c_str(), 1);
    else
      ::unsetenv(name_);
  }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

constexpr const char* kBrowser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n";

TEST_F(Serve, GivesBrowsersAPageThatMayDoLittle) {
  const std::string page = service().get("/", kBrowser);
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(header_of(page, "Content-Type"), StartsWith("text/html"));
  EXPECT_EQ(header_of(page, "Vary"), "Accept");
  EXPECT_EQ(header_of(page, "X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(header_of(page, "Referrer-Policy"), "no-referrer");
  EXPECT_EQ(header_of(page, "X-Frame-Options"), "DENY");
  const std::string policy = header_of(page, "Content-Security-Policy");
  for (const char* part : {"default-src 'none'", "script-src 'self'", "connect-src 'self'",
                           "frame-ancestors 'none'", "require-trusted-types-for 'script'"})
    EXPECT_THAT(policy, HasSubstr(part));
  EXPECT_THAT(policy, Not(HasSubstr("unsafe")));
  EXPECT_THAT(policy, Not(HasSubstr("http")));
}

TEST_F(Serve, ServesAllThatThePageAsksFor) {
  std::vector<std::string> waiting = {service().get("/", kBrowser)};
  std::set<std::string> seen;
  // Addresses in attributes, imports and style sheets; every one is this service's own.
  const std::regex address(R"(["'(](/web/[^"')]+))");
  while (!waiting.empty()) {
    const std::string text = waiting.back();
    waiting.pop_back();
    for (std::sregex_iterator it(text.begin(), text.end(), address), end; it != end; ++it) {
      const std::string path = (*it)[1];
      if (!seen.insert(path).second) continue;
      const std::string file = service().get(path);
      EXPECT_THAT(file, StartsWith("HTTP/1.1 200")) << path;
      EXPECT_EQ(header_of(file, "X-Content-Type-Options"), "nosniff") << path;
      if (!path.ends_with("marked.umd.min.js")) waiting.push_back(file);
    }
  }
  EXPECT_TRUE(seen.contains("/web/main.js"));
  EXPECT_TRUE(seen.contains("/web/markdown.js"));
  EXPECT_TRUE(seen.contains("/web/marked.umd.min.js"));
  EXPECT_TRUE(seen.contains("/web/style.css"));
  EXPECT_THAT(service().get("/web/none.js"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(service().get("/web/..%2Findex.html"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(service().get("/web/index.html", "Origin: http://evil.example\r\n"),
              StartsWith("HTTP/1.1 403"));
}

TEST_F(Serve, OpensTheBrowserWhereAsked) {
  const format::TemporaryFolder folder;
  const std::filesystem::path opened = folder.path() / "opened";
  const std::filesystem::path opener = folder.path() / "xdg-open";
  std::ofstream(opener) << "#!/bin/sh\nprintf %s \"$1\" >" << opened.string() << ".part\nmv "
                        << opened.string() << ".part " << opened.string() << "\n";
  std::filesystem::permissions(opener, std::filesystem::perms::owner_all);
  const ScopedVariable path("PATH", folder.path().string() + ":" + std::getenv("PATH"));
  const ScopedVariable display("DISPLAY", ":99");
  const Served served({"--open"});
  const auto end = Clock::now() + kPatience;
  while (!std::filesystem::exists(opened) && Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  std::string url;
  std::getline(std::ifstream(opened), url);
  EXPECT_THAT(url, StartsWith("http://127.0.0.1:"));
}

TEST_F(Serve, SendsAFileOfThePageOnce) {
  const std::string tag = header_of(service().get("/web/main.js"), "ETag");
  ASSERT_EQ(tag.size(), 34u);
  const std::string again =
      service().get("/web/main.js", fmt::format("If-None-Match: \"x\", W/{}\r\n", tag));
  EXPECT_THAT(again, StartsWith("HTTP/1.1 304"));
  EXPECT_THAT(again, EndsWith("\r\n\r\n"));
  EXPECT_EQ(header_of(again, "ETag"), tag);
  EXPECT_THAT(again, Not(HasSubstr("Content-Length")));
  EXPECT_THAT(service().get("/web/main.js", "If-None-Match: \"x\"\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(Serve, RefusesOtherSitesPages) {
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "localhost.evil.example",
                           "10.0.0.1", "127.1", "0.0.0.0", "[::]:80", ""}) {
    const std::string answer = service().exchange(
        fmt::format("GET /v1/models HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403")) << host;
    EXPECT_THAT(answer, HasSubstr("lantern.host")) << host;
  }
  EXPECT_THAT(service().get("/v1/models", "Host: localhost\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(service().exchange("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  for (const char* origin : {"https://evil.example", "null", "http://localhost:3000"}) {
    const std::string answer = service().get("/v1/models", fmt::format("Origin: {}\r\n", origin));
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 403")) << origin;
    EXPECT_THAT(answer, Not(HasSubstr("Access-Control"))) << origin;
  }
  EXPECT_THAT(service().get("/v1/models", "Origin: http://localhost\r\n"),
              StartsWith("HTTP/1.1 200"));
}

TEST_F(Serve, AnswersErrorsInTheShapeOfEachApi) {
  const OrderedJson openai = body_of(service().post("/v1/chat/completions", "{}"));
  EXPECT_EQ(openai["error"]["type"], "invalid_request_error");
  EXPECT_EQ(openai["error"]["param"], "model");
  const OrderedJson anthropic = body_of(service().post("/v1/messages", "[]"));
  EXPECT_EQ(anthropic["type"], "error");
  EXPECT_EQ(anthropic["error"]["type"], "invalid_request_error");
  const OrderedJson ollama = body_of(service().post("/api/chat", "nonsense"));
  EXPECT_TRUE(ollama["error"].is_string());
  const std::string method = service().get("/v1/chat/completions");
  EXPECT_THAT(method, StartsWith("HTTP/1.1 405"));
  EXPECT_TRUE(body_of(method)["error"]["code"].is_null()) << method;
  EXPECT_THAT(service().get("/v1/nothing"), StartsWith("HTTP/1.1 404"));
  EXPECT_TRUE(body_of(service().get("/v1/nothing"))["error"]["code"].is_null());
  EXPECT_EQ(body_of(service().get("/v1/models/nobody"))["error"]["code"], "model_not_found");
  EXPECT_THAT(service().get("/%zz"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(service().get("/v1/models/%00"), StartsWith("HTTP/1.1 400"));
}

TEST_F(Serve, NamesTheFieldThatIsWrong) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"(,"temperature":"hot")", "temperature: a number from 0 to 2 is needed, not a string"},
      {R"(,"n":0)", "n: a whole number from 1 to 16"},
      {R"(,"stream":1)", "stream: true or false"},
      {R"(,"stop":[1])", "stop: an array of strings"},
      {R"(,"tools":[{}])", "tools[0].function: an object"},
      {R"(,"tools":[{"type":"function","function":{"name":"f"}}])",
       "tools: this model cannot be given tools: its chat template does not show tools"},
      {R"(,"response_format":{"type":"xml"})", "response_format.type: text, json_object"},
      {R"(,"response_format":{"type":"json_schema","json_schema":{"schema":{"contains":1}}})",
       "contains"},
      {R"(,"guided_regex":"(")", "guided_regex: "},
      {R"(,"surprise":1)", "surprise"},
  };
  for (const auto& [more, message] : wrong) {
    const std::string answer = service().chat("Hi", more);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << more;
    EXPECT_THAT(answer, HasSubstr(message)) << more;
  }
}

TEST_F(Serve, AnswersFollowASchema) {
  const std::string answer =
      service().chat("Hi", R"(,"response_format":{"type":"json_schema","json_schema":{"name":"x",
      "schema":{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"],
      "additionalProperties":false}}})");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200")) << answer;
  EXPECT_TRUE(answer.find(R"({\"ok\":)") != std::string::npos) << answer;
  EXPECT_THAT(service().chat("Hi", R"(,"guided_choice":["blue"])"),
              HasSubstr(R"("content":"blue")"));
}

TEST_F(Serve, BoundsWhatItReads) {
  EXPECT_THAT(service().exchange("GET /" + std::string(40000, 'a') + " HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_THAT(service().get("/" + std::string(9000, 'a')), StartsWith("HTTP/1.1 414"));
  EXPECT_THAT(service().get("/", "X: " + std::string(20000, 'a') + "\r\n"),
              StartsWith("HTTP/1.1 431"));
  EXPECT_THAT(service().exchange("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                                 "Content-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(service().post("/v1/chat/completions", std::string(5000, '[')),
              HasSubstr("nested deeper"));
  EXPECT_THAT(service().exchange("NONSENSE\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(service().exchange("GET / HTTP/9.9\r\nHost: localhost\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  // Two lengths, or a length and chunks: where one request ends must not be a matter of taste.
  EXPECT_THAT(service().post("/v1/messages", "{}", "Content-Length: 1\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(service().post("/v1/messages", "{}", "Transfer-Encoding: chunked\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(service().exchange("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
                                 "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(service().get_json("/healthz")["status"], "ok") << "and it lives on";
}

TEST_F(Serve, AnswersPipelinedRequestsInOrder) {
  const std::string one = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
  const std::string last =
      "GET /api/version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const std::string answers = service().exchange(one + one + last);
  size_t n = 0;
  for (size_t at = answers.find("HTTP/1.1 200"); at != std::string::npos;
       at = answers.find("HTTP/1.1 200", at + 1))
    ++n;
  EXPECT_EQ(n, 3u) << answers;
  EXPECT_THAT(answers, EndsWith("\"}\n"));
}

TEST_F(Serve, StreamsTheTextThatItAlsoAnswersWhole) {
  const std::string whole = Served::text_of(service().chat("Hello"));
  const std::string events = service().chat("Hello", R"(,"stream":true)");
  EXPECT_THAT(events, HasSubstr("Content-Type: text/event-stream"));
  EXPECT_THAT(events, HasSubstr("data: [DONE]"));
  std::string streamed;
  for (size_t at = events.find("data: {"); at != std::string::npos;
       at = events.find("data: {", at + 1)) {
    const auto event = base::parse_ordered_json(
        std::string_view(events).substr(at + 6, events.find("\n\n", at) - at - 6), "event");
    ASSERT_TRUE(event.ok()) << event.error().message;
    streamed += (*event)["choices"][0]["delta"].value("content", "");
  }
  EXPECT_EQ(streamed, whole);
}

TEST_F(Serve, TheSameRequestHasTheSameAnswerAloneAmongOthersAndAfterARestart) {
  const std::string alone = Served::text_of(service().chat("Who are you?"));
  ASSERT_FALSE(alone.empty());
  std::array<std::string, 16> answers;
  {
    std::vector<std::jthread> threads;
    threads.reserve(answers.size());
    for (size_t i = 0; i < answers.size(); ++i)
      threads.emplace_back([&answers, i] {
        answers[i] = Served::text_of(
            service().chat(i == 7 ? "Who are you?" : std::string(3 * i + 1, 'x') + " and more"));
      });
  }
  EXPECT_EQ(answers[7], alone);
  EXPECT_EQ(Served::text_of(service().chat("Who are you?")), alone) << "after others";
  const Served again;
  EXPECT_EQ(Served::text_of(again.chat("Who are you?")), alone) << "after a restart";
}

TEST_F(Serve, AnAnswerWhoseReaderWentIsEnded) {
  // Without an end token it would go on to the context's end.
  const std::string body = fmt::format(
      R"({{"model":"{}","messages":[{{"role":"user","content":"x"}}],"ignore_eos":true,)"
      R"("stream":true}})",
      service().name_);
  const double before = service().metric("lantern_generated_tokens_total");
  std::vector<int> readers;
  for (int i = 0; i < 4; ++i) {
    readers.push_back(service().connect());
    send_all(readers.back(), fmt::format("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
                                         "Content-Length: {}\r\n\r\n{}",
                                         body.size(), body));
  }
  for (int fd : readers) ::close(fd);
  const auto end = Clock::now() + kPatience;
  double running = -1;
  while (Clock::now() < end && (running = service().metric("lantern_answers_running")) +
                                       service().metric("lantern_answers_waiting") !=
                                   0)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(running, 0);
  EXPECT_LT(service().metric("lantern_generated_tokens_total") - before, 4 * 900);
}

TEST_F(Serve, CountsWhatItDoes) {
  (void)service().chat("Count me");
  EXPECT_GE(service().metric("lantern_http_requests_total{http_route=\"/v1/chat/completions\""), 1);
  const std::string all = service().get("/metrics");
  for (const char* name :
       {"gen_ai_server_time_to_first_token_seconds_bucket", "gen_ai_client_token_usage_sum",
        "gen_ai_server_time_per_output_token_seconds_count", "lantern_kv_cache_bytes"})
    EXPECT_THAT(all, HasSubstr(name));
  EXPECT_THAT(all, Not(HasSubstr("Count me")));
}

TEST_F(Serve, RecordsEachAnswerWithoutItsContent) {
  EXPECT_NE(Served::text_of(service().chat("a prompt that nobody should read")), "");
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_EQ(log.exit_code, 0) << log.err;
  EXPECT_THAT(log.out, HasSubstr("\"chat\""));
  EXPECT_THAT(log.out, HasSubstr("completion_tokens"));
  EXPECT_THAT(log.out, Not(HasSubstr("nobody should read")));
  EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
}

TEST_F(Serve, EmbedsTheSameAloneAmongOthersAndInEachApi) {
  const auto ask = [&](const std::string& input, const std::string& more = {}) {
    return service().post("/v1/embeddings", fmt::format(R"({{"model":"{}","input":{}{}}})",
                                                        service().name_, input, more));
  };
  const std::string whole = ask(R"("a text")");
  EXPECT_THAT(whole, HasSubstr("Warning: 299 "));
  const OrderedJson alone = body_of(whole);
  const OrderedJson vector = alone["data"][0]["embedding"];
  ASSERT_EQ(vector.size(), static_cast<size_t>(engine::TinyModel::kEmbd)) << whole;
  double squares = 0;
  for (const OrderedJson& x : vector) squares += x.get<double>() * x.get<double>();
  EXPECT_NEAR(squares, 1.0, 1e-6);
  EXPECT_EQ(alone["usage"]["prompt_tokens"], 7);  // six bytes and the beginning of a text

  const OrderedJson many =
      body_of(ask(R"(["x","a text",")" + std::string(700, 'y') + R"(","a text"])"));
  ASSERT_EQ(many["data"].size(), 4u);
  EXPECT_EQ(many["data"][1]["embedding"], vector);
  EXPECT_EQ(many["data"][3]["embedding"], vector);
  EXPECT_NE(many["data"][0]["embedding"], vector);
  std::string beside;
  {
    const std::jthread other([] { (void)service().chat("Somebody else asks"); });
    beside = ask(R"("a text")");
  }
  EXPECT_EQ(body_of(beside)["data"][0]["embedding"], vector);

  const OrderedJson first = body_of(ask(R"("a text")", R"(,"dimensions":1)"));
  EXPECT_EQ(std::abs(first["data"][0]["embedding"][0].get<double>()), 1.0);
  EXPECT_EQ(body_of(ask(R"([259,97])"))["usage"]["prompt_tokens"], 2);
  const OrderedJson ollama = body_of(service().post(
      "/api/embed", fmt::format(R"({{"model":"{}","input":["a text"]}})", service().name_)));
  EXPECT_EQ(ollama["embeddings"][0], vector);
  const OrderedJson older = body_of(service().post(
      "/api/embeddings", fmt::format(R"({{"model":"{}","prompt":"a text"}})", service().name_)));
  EXPECT_EQ(older["embedding"], vector);

  for (const char* wrong : {R"([])", R"([""," ",{}])", R"([-1])", R"([99999])", R"({})", "7"})
    EXPECT_THAT(ask(wrong), StartsWith("HTTP/1.1 400")) << wrong;
  EXPECT_THAT(ask(R"("a")", R"(,"dimensions":65)"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask("\"" + std::string(3000, 'z') + "\""), HasSubstr("context"));
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"embed\""));
  EXPECT_THAT(log.out, Not(HasSubstr("a text")));
}

TEST_F(Serve, AResponseIsKeptOnlyWhereItIsAskedFor) {
  const auto ask = [&](const std::string& input, const std::string& more = {}) {
    return service().post(
        "/v1/responses",
        fmt::format(R"({{"model":"{}","input":{},"max_output_tokens":8,"seed":7{}}})",
                    service().name_, input, more));
  };
  const OrderedJson plain = body_of(ask(R"("Hello")"));
  EXPECT_EQ(plain["store"], false);
  EXPECT_EQ(plain["output"][0]["content"][0]["type"], "output_text");
  const std::string id = plain["id"];
  const auto expect_missing = [](const std::string& answer) {
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 404"));
    const OrderedJson error = body_of(answer)["error"];
    EXPECT_EQ(error["type"], "invalid_request_error") << answer;
    EXPECT_TRUE(error["code"].is_null()) << "no model is what is missing: " << answer;
  };
  expect_missing(service().get("/v1/responses/" + id));

  const OrderedJson kept = body_of(ask(R"("Hello")", R"(,"store":true)"));
  const std::string kept_id = kept["id"];
  EXPECT_EQ(kept["output"][0]["content"], plain["output"][0]["content"]);
  EXPECT_EQ(service().get_json("/v1/responses/" + kept_id), kept);
  const OrderedJson next =
      body_of(ask(R"("And?")", fmt::format(R"(,"previous_response_id":"{}")", kept_id)));
  EXPECT_GT(next["usage"]["input_tokens"], kept["usage"]["input_tokens"]);
  const std::string no_previous = ask(R"("And?")", R"(,"previous_response_id":"resp_unknown")");
  EXPECT_THAT(no_previous, StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(body_of(no_previous)["error"]["code"], "previous_response_not_found");
  EXPECT_EQ(body_of(no_previous)["error"]["param"], "previous_response_id");
  const std::string to_delete = http_request("DELETE", "/v1/responses/" + kept_id, "");
  EXPECT_THAT(service().exchange(to_delete), HasSubstr("\"deleted\":true"));
  expect_missing(service().get("/v1/responses/" + kept_id));
  expect_missing(service().exchange(to_delete));
}

TEST_F(Serve, AResponseStreamsTheEventsOfItsText) {
  const std::string body = fmt::format(
      R"({{"model":"{}","input":"Hello","max_output_tokens":8,"seed":7,"stream":true}})",
      service().name_);
  const std::string events = service().post("/v1/responses", body);
  std::string text, done;
  std::vector<std::string> types;
  for (size_t at = events.find("data: {"); at != std::string::npos;
       at = events.find("data: {", at + 1)) {
    const auto event = base::parse_ordered_json(
        std::string_view(events).substr(at + 6, events.find("\n\n", at) - at - 6), "event");
    ASSERT_TRUE(event.ok()) << event.error().message;
    EXPECT_EQ((*event)["sequence_number"], types.size());
    types.push_back((*event)["type"]);
    if (types.back() == "response.output_text.delta") text += (*event)["delta"];
    if (types.back() == "response.output_text.done") done = (*event)["text"];
  }
  ASSERT_GE(types.size(), 8u) << events;
  EXPECT_EQ(types.front(), "response.created");
  EXPECT_THAT(types.back(), ::testing::AnyOf("response.completed", "response.incomplete"));
  EXPECT_EQ(text, done);
  EXPECT_THAT(service().post("/v1/responses",
                             fmt::format(R"({{"model":"{}","input":[{{"role":"user","content":)"
                                         R"([{{"type":"input_image","image_url":"x"}}]}}]}})",
                                         service().name_)),
              HasSubstr("images cannot be read"));
}

TEST(ServeAlone, ListensWhereOthersReachItOnlyWithKeys) {
  const ScopedHome home("serve-open");
  const Ran ran = run_lantern({"serve", "nothing", "--listen", "0.0.0.0:0"});
  EXPECT_EQ(ran.exit_code, 4);
  EXPECT_THAT(ran.err, HasSubstr("lantern.listen"));
  EXPECT_EQ(run_lantern({"serve", "nothing", "--listen", "example.org:80"}).exit_code, 2);
}

TEST(ServeAlone, ARevocationEndsWhatItAnswers) {
  const ScopedHome home("serve-revoked");
  const Served served;
  const std::string id = served.get_json("/v1/models")["data"][0]["digest"];
  EXPECT_THAT(served.chat("Hi"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(run_lantern({"revoke", id, "--reason", "test"}).exit_code, 0);
  const std::string answer = served.chat("Hi");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(answer, HasSubstr("lantern.revoked"));
}

TEST(ServeModels, LoadsWhatIsAskedForAndDropsWhatIdlesLongest) {
  const ScopedHome home("serve-models");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Served served({"--models-max", "2"}, {}, Served::Named::kNone);
  using ::testing::ElementsAre;
  using ::testing::UnorderedElementsAre;
  EXPECT_THAT(served.models("/api/ps"), ElementsAre());
  EXPECT_THAT(served.models("/api/tags"), UnorderedElementsAre("one", "two", "three"));

  std::array<std::string, 8> answers;
  {
    std::vector<std::jthread> threads;
    threads.reserve(answers.size());
    for (std::string& answer : answers)
      threads.emplace_back([&] { answer = served.chat_with("one", "Hi"); });
  }
  for (const std::string& answer : answers)
    EXPECT_EQ(Served::text_of(answer), Served::text_of(answers[0]));
  EXPECT_THAT(served.models("/api/ps"), ElementsAre("one"));
  EXPECT_THAT(served.chat_with("two:latest", "Hi"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.models("/api/ps"), UnorderedElementsAre("one", "two"));
  EXPECT_THAT(served.chat_with("three", "Hi"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.models("/api/ps"), UnorderedElementsAre("two", "three"));
  EXPECT_EQ(Served::text_of(served.chat_with("one", "Hi")), Served::text_of(answers[0]))
      << "loaded again";

  const std::string unloaded =
      served.post("/api/generate", R"({"model":"one","keep_alive":0,"stream":false})");
  EXPECT_EQ(body_of(unloaded)["done_reason"], "unload");
  const auto end = Clock::now() + kPatience;
  while (Clock::now() < end && served.models("/api/ps") != std::vector<std::string>{"three"})
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_THAT(served.models("/api/ps"), ElementsAre("three"));
}

TEST(ServeModels, RefusesWhatIsUnknownOrNotApprovedInTheShapeOfEachApi) {
  const ScopedHome home("serve-refused");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Served served({}, {}, Served::Named::kNone);
  const std::string unknown = served.chat_with("nobody", "Hi");
  EXPECT_THAT(unknown, StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(body_of(unknown)["error"]["code"], "model_not_found");
  EXPECT_THAT(served.chat_with(folder.path() / "one.gguf", "Hi"), StartsWith("HTTP/1.1 404"))
      << "a path is no name";
  const std::string refused = served.chat_with("four", "Hi");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(refused, HasSubstr("lantern.approvers"));
  EXPECT_EQ(body_of(refused)["error"]["type"], "permission_error");
  const std::string question = R"("messages":[{"role":"user","content":"Hi"}],"max_tokens":4})";
  EXPECT_EQ(body_of(served.post("/v1/messages", R"({"model":"four",)" + question))["error"]["type"],
            "permission_error");
  const std::string ollama = served.post("/api/show", R"({"model":"four"})");
  EXPECT_THAT(ollama, StartsWith("HTTP/1.1 403"));
  EXPECT_TRUE(body_of(ollama)["error"].is_string());
  const OrderedJson shown = body_of(served.post("/api/show", R"({"model":"one"})"));
  EXPECT_EQ(shown["model_info"]["llama.context_length"], 640) << "without loading it";
  EXPECT_TRUE(served.models("/api/ps").empty());

  const std::string id = served.get_json("/v1/models/one")["digest"];
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.chat_with("two", "Hi"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(run_lantern({"revoke", id, "--reason", "test"}).exit_code, 0);
  const std::string revoked = served.chat_with("one", "Hi");
  EXPECT_THAT(revoked, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(revoked, HasSubstr("lantern.revoked"));
  EXPECT_THAT(served.chat_with("two", "Hi"), StartsWith("HTTP/1.1 200")) << "others go on";
}

TEST(ServeModels, HonoursWhatOllamasClientsAskOfModels) {
  const ScopedHome home("serve-ollama");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Served served({}, {}, Served::Named::kNone);
  const auto chat = [&](const std::string& options) {
    return served.post("/api/chat", R"({"model":"one","stream":false,"messages":[{"role":"user",)"
                                    R"("content":"Hi"}],"options":)" +
                                        options + "}");
  };
  const OrderedJson cut = body_of(chat(R"({"num_ctx":40,"seed":1})"));
  EXPECT_LE(cut["prompt_eval_count"].get<int>() + cut["eval_count"].get<int>(), 40);
  const std::string large = chat(R"({"num_ctx":4096})");
  EXPECT_THAT(large, StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(large, HasSubstr("num_ctx: 4096 is more than the context of 640"));
  EXPECT_THAT(chat(R"({"num_ctx":4})"), HasSubstr("num_ctx: the prompt has"));

  for (const char* wrong : {"\"x\"", "\"5 parsecs\"", "true", "\"\"", "\"1h-2m\""})
    EXPECT_THAT(
        served.post("/api/generate", fmt::format(R"({{"model":"one","keep_alive":{}}})", wrong)),
        HasSubstr("keep_alive"))
        << wrong;
  (void)served.post("/api/generate", R"({"model":"one","keep_alive":"1h30m"})");
  EXPECT_THAT(served.get_json("/api/ps")["models"][0]["expires_at"].get<std::string>(),
              Not(StartsWith("9999")));
  (void)served.post("/api/generate", R"({"model":"one","keep_alive":-1})");
  EXPECT_THAT(served.get_json("/api/ps")["models"][0]["expires_at"].get<std::string>(),
              StartsWith("9999"));

  EXPECT_THAT(served.post("/api/pull", R"({"model":"/etc/passwd"})"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(served.post("/api/pull", R"({"model":"https://localhost/x.gguf"})"),
              StartsWith("HTTP/1.1 400"));
  const std::string there = served.post("/api/pull", R"({"model":"two","stream":true})");
  EXPECT_THAT(there, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(there, HasSubstr(R"({"status":"success"})"));
  EXPECT_THAT(served.post("/api/pull", R"({"model":"four","stream":false})"),
              StartsWith("HTTP/1.1 403"))
      << "it stays in quarantine";

  EXPECT_THAT(served.exchange(http_request("DELETE", "/api/delete", R"({"model":"one"})")),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(served.exchange(http_request("DELETE", "/api/delete", R"({"model":"one"})")),
              StartsWith("HTTP/1.1 404"));
}

TEST(ServeModels, WhatIsRefusedHasNoSayInHowLongAModelStays) {
  const ScopedHome home("serve-keep-alive");
  const format::TemporaryFolder folder;
  pull_models(folder);
  const Ran made = run_lantern({"key", "create", "--name", "k", "--models", "two"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const std::string bearer =
      "Authorization: Bearer " + made.out.substr(0, made.out.find('\n')) + "\r\n";
  const Served served({}, {}, Served::Named::kNone);
  ASSERT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 200"));
  const auto stays_for_ever = [&] {
    const OrderedJson loaded = served.get_json("/api/ps");
    return loaded["models"][0]["expires_at"].get<std::string>().starts_with("9999");
  };
  const auto chat = [&](const char* more) {
    return served.post("/api/chat",
                       fmt::format(R"({{"model":"one","stream":false,"keep_alive":-1,"messages":)"
                                   R"([{{"role":"user","content":"Hi"}}]{}}})",
                                   more));
  };
  EXPECT_THAT(chat(R"(,"options":{"num_ctx":4096})"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(chat(R"(,"tools":[{"type":"function","function":{"name":"f"}}])"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(served.post("/api/generate", R"({"model":"one","keep_alive":-1})", bearer),
              StartsWith("HTTP/1.1 403"))
      << "a key for another model";
  EXPECT_FALSE(stays_for_ever());
  EXPECT_THAT(chat(R"(,"options":{"num_predict":2})"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(stays_for_ever());
  EXPECT_THAT(served.chat_with("one", "Hi"), StartsWith("HTTP/1.1 200"));
  EXPECT_TRUE(stays_for_ever()) << "until a request says otherwise";
}

TEST(ServeAlone, AModelOfTheCommandLineStaysWhateverIsSaid) {
  const ScopedHome home("serve-stays");
  const Served served;
  const auto ask = [&](const char* more) {
    return served.post(
        "/api/generate",
        fmt::format(R"({{"model":"{}","keep_alive":0,"stream":false{}}})", served.name_, more));
  };
  EXPECT_THAT(ask(R"(,"prompt":"Hi","options":{"num_predict":2})"), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(body_of(ask(""))["done_reason"], "load");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  EXPECT_THAT(served.models("/api/ps"), ::testing::ElementsAre(served.name_));
}

TEST(ServeModels, AHeaderThatCouldNotBeReadIsReadAgain) {
  const ScopedHome home("serve-header");
  const format::TemporaryFolder folder;
  pull_models(folder);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(home.path())) {
    std::array<char, 4> magic{};
    if (std::ifstream(entry.path()).read(magic.data(), magic.size()) &&
        std::string_view(magic.data(), magic.size()) == "GGUF")
      files.push_back(entry.path());
  }
  ASSERT_GE(files.size(), 3u);
  const auto aside = [&](const std::filesystem::path& file) {
    return folder.path() / file.filename();
  };
  for (const std::filesystem::path& file : files) {
    std::filesystem::rename(file, aside(file));
    std::ofstream(file) << "no model";
  }
  const Served served({}, {}, Served::Named::kNone);
  const auto families = [&] {
    std::string all;
    const OrderedJson tags = served.get_json("/api/tags");
    for (const OrderedJson& model : tags["models"])
      all += model["details"]["family"].get<std::string>() + " ";
    return all;
  };
  EXPECT_EQ(families(), "   ");
  for (const std::filesystem::path& file : files) std::filesystem::rename(aside(file), file);
  EXPECT_EQ(families(), "llama llama llama ");
}

TEST(ServeAlone, AFullQueueSaysWhenToComeBack) {
  const ScopedHome home("serve-full");
  const Served served({"--sequences", "1", "--queue", "1"});
  std::vector<std::string> answers(12);
  {
    std::vector<std::jthread> threads;
    threads.reserve(answers.size());
    for (std::string& answer : answers)
      threads.emplace_back([&] {
        // Long enough for all to come before the first has ended.
        answer = served.post(
            "/v1/completions",
            fmt::format(R"({{"model":"{}","prompt":"x","max_tokens":900,"ignore_eos":true}})",
                        served.name_));
      });
  }
  int n_refused = 0;
  for (const std::string& answer : answers)
    if (answer.starts_with("HTTP/1.1 429")) {
      ++n_refused;
      EXPECT_THAT(answer, HasSubstr("Retry-After: "));
      EXPECT_THAT(answer, HasSubstr("1 answers are under way and 1 requests wait"));
      EXPECT_EQ(body_of(answer)["error"]["code"], "queue_full");
    } else {
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    }
  EXPECT_GT(n_refused, 0);
  EXPECT_LT(n_refused, 12);
}

TEST(ServeAlone, LetsAnswersUnderWayEndBeforeItDoes) {
  const ScopedHome home("serve-drain");
  Served served;
  std::string answer;
  std::jthread asking([&] { answer = served.chat("x", R"(,"ignore_eos":true)"); });
  while (served.metric("lantern_answers_running") < 1 &&
         served.metric("gen_ai_client_token_usage_count") < 1)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(served.stop(), 0);
  asking.join();
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
}

TEST(ServeAlone, WhoWaitsLongerThanItDrainsHearsThatHisAnswerIsCut) {
  const ScopedHome home("serve-cut");
  engine::TinyModel tiny;
  tiny.context = 32'768;
  Served served({"--drain", "0"}, tiny);
  const auto ask = [&](const char* more) {
    return served.post("/v1/completions",
                       fmt::format(R"({{"model":"{}","prompt":"x","max_tokens":32000,)"
                                   R"("ignore_eos":true{}}})",
                                   served.name_, more));
  };
  std::string whole, streamed;
  std::jthread asks_whole([&] { whole = ask(""); });
  std::jthread asks_streamed([&] { streamed = ask(R"(,"stream":true)"); });
  while (served.metric("lantern_answers_running") < 2)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_EQ(served.stop(), 0);
  asks_whole.join();
  asks_streamed.join();
  EXPECT_THAT(whole, StartsWith("HTTP/1.1 503")) << whole.substr(0, 300);
  EXPECT_THAT(streamed, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(streamed, HasSubstr("the service ends"));
}

}  // namespace
}  // namespace lantern::tests
