// OpenAI's older completions over real sockets: several prompts, token ids, log-probabilities.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "engine/tiny_model.h"
#include "program.h"
#include "served_tiny.h"

namespace lantern::tests {
namespace {

using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::vector<OrderedJson> events_of(std::string_view answer) {
  std::vector<OrderedJson> out;
  for (size_t at = answer.find("data: {"); at != std::string_view::npos;
       at = answer.find("data: {", at + 1)) {
    const auto event =
        base::parse_ordered_json(answer.substr(at + 6, answer.find("\n\n", at) - at - 6), "event");
    EXPECT_TRUE(event.ok()) << answer;
    if (event.ok()) out.push_back(*event);
  }
  return out;
}

class ServeCompletions : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    home_ = new ScopedHome("serve-completions");
    served_ = new Served;
  }
  static void TearDownTestSuite() {
    delete served_;
    delete home_;
  }
  static std::string ask(const std::string& prompt, const std::string& more = {}) {
    return served_->post("/v1/completions",
                         fmt::format(R"({{"model":"{}","prompt":{},"max_tokens":12,"seed":7{}}})",
                                     served_->name_, prompt, more));
  }
  static std::vector<std::string> texts(const std::string& answer) {
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
    std::vector<std::string> out;
    const OrderedJson body = body_of(answer);
    for (const OrderedJson& choice : body["choices"]) {
      EXPECT_EQ(choice["index"], out.size());
      out.push_back(choice["text"]);
    }
    return out;
  }
  /// What the events of a stream come to, by choice.
  static std::map<size_t, OrderedJson> joined(const std::string& answer) {
    std::map<size_t, OrderedJson> out;
    for (const OrderedJson& event : events_of(answer))
      for (const OrderedJson& choice : event["choices"]) {
        OrderedJson& to = out.try_emplace(choice["index"], OrderedJson::object()).first->second;
        to["text"] = to.value("text", "") + choice["text"].get<std::string>();
        if (!choice["finish_reason"].is_null()) to["finish_reason"] = choice["finish_reason"];
        if (choice["logprobs"].is_null()) continue;
        for (const auto& [name, values] : choice["logprobs"].items())
          for (const OrderedJson& value : values) to["logprobs"][name].push_back(value);
      }
    return out;
  }

 private:
  static inline ScopedHome* home_ = nullptr;
  static inline Served* served_ = nullptr;
};

TEST_F(ServeCompletions, ChoicesOfEachPromptComeOneAfterAnother) {
  const std::string answer = ask(R"(["the","x","the"])", R"(,"n":2,"temperature":2)");
  const std::vector<std::string> all = texts(answer);
  ASSERT_EQ(all.size(), 6u);
  EXPECT_EQ(texts(ask(R"("the")", R"(,"n":2,"temperature":2)")),
            std::vector(all.begin(), all.begin() + 2))
      << "the first prompt's are those it has alone";
  EXPECT_NE(all[0], all[4]) << "equal prompts draw apart";
  EXPECT_EQ(texts(ask(R"(["the","x","the"])", R"(,"n":2,"temperature":2)")), all);
  const OrderedJson usage = body_of(answer)["usage"];
  EXPECT_EQ(usage["prompt_tokens"], 6);  // a beginning of text and one token, three times
  EXPECT_EQ(usage["total_tokens"],
            usage["prompt_tokens"].get<int>() + usage["completion_tokens"].get<int>());

  const std::string events =
      ask(R"(["the","x","the"])", R"(,"n":2,"temperature":2,"stream":true,)"
                                  R"("stream_options":{"include_usage":true})");
  const auto streamed = joined(events);
  ASSERT_EQ(streamed.size(), 6u);
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(streamed.at(i).at("text"), all[i]);
    EXPECT_EQ(streamed.at(i).at("finish_reason"), body_of(answer)["choices"][i]["finish_reason"]);
  }
  for (const char* count : {"prompt_tokens", "completion_tokens", "total_tokens"})
    EXPECT_EQ(events_of(events).back()["usage"][count], usage[count]) << count;
  EXPECT_THAT(events, HasSubstr("data: [DONE]"));
}

TEST_F(ServeCompletions, TokenIdsAreRunAsTheyAre) {
  const int beginning = engine::TinyModel::kBos;
  const std::string the = fmt::format("[{},257]", beginning);  // what "the" becomes
  const std::vector<std::string> expected = texts(ask(R"("the")"));
  EXPECT_EQ(texts(ask(the)), expected);
  EXPECT_EQ(texts(ask(fmt::format("[{}]", the))), expected);
  EXPECT_EQ(texts(ask(fmt::format("[{},[120]]", the))).size(), 2u);
  EXPECT_EQ(texts(ask("[257]", R"(,"echo":true)"))[0].substr(0, 3), "the");
  EXPECT_EQ(body_of(ask("[257]"))["usage"]["prompt_tokens"], 1);
  for (const char* wrong : {"[264]", "[[0],[264]]", "[-1]", "[1.5]", "[0,\"a\"]", "[[0],[\"a\"]]",
                            "[]", "[[]]", "{}", "7"})
    EXPECT_THAT(ask(wrong), StartsWith("HTTP/1.1 400")) << wrong;
}

TEST_F(ServeCompletions, LogprobsSayWhereEachTokenStands) {
  const std::string more = R"(,"temperature":0,"logprobs":2)";
  const std::string answer = ask(R"(["the é","x"])", more);
  ASSERT_THAT(answer, StartsWith("HTTP/1.1 200"));
  const OrderedJson choices = body_of(answer)["choices"];
  const auto streamed = joined(ask(R"(["the é","x"])", more + R"(,"stream":true)"));
  for (size_t i = 0; i < 2; ++i) {
    const OrderedJson& of = choices[i]["logprobs"];
    EXPECT_EQ(streamed.at(i).at("logprobs"), of) << i;
    const size_t n = of["tokens"].size();
    ASSERT_GT(n, 0u);
    for (const char* name : {"token_logprobs", "top_logprobs", "text_offset"})
      ASSERT_EQ(of[name].size(), n) << name;
    EXPECT_EQ(of["text_offset"][0], i == 0 ? 5 : 1) << "characters of the prompt come first";
    for (size_t t = 0; t < n; ++t) {
      const OrderedJson& top = of["top_logprobs"][t];
      ASSERT_EQ(top.size(), 2u) << "greedy takes one of the best";
      EXPECT_EQ(top.front(), of["token_logprobs"][t]);
      EXPECT_EQ(top.begin().key(), of["tokens"][t]);
      EXPECT_LE(of["token_logprobs"][t], 0);
    }
  }
  const OrderedJson drawn =
      body_of(ask(R"("the")", R"(,"temperature":2,"logprobs":0)"))["choices"][0]["logprobs"];
  ASSERT_FALSE(drawn["tokens"].empty());
  EXPECT_EQ(drawn["top_logprobs"][0].size(), 1u) << "the token itself";
  EXPECT_TRUE(body_of(ask(R"("the")"))["choices"][0]["logprobs"].is_null());
}

TEST_F(ServeCompletions, EchoesEachPromptOnce) {
  const std::vector<std::string> plain = texts(ask(R"(["the","x"])", R"(,"n":2)"));
  const std::vector<std::string> echoed = texts(ask(R"(["the","x"])", R"(,"n":2,"echo":true)"));
  const auto streamed = joined(ask(R"(["the","x"])", R"(,"n":2,"echo":true,"stream":true)"));
  for (size_t i = 0; i < plain.size(); ++i) {
    EXPECT_EQ(echoed[i], (i < 2 ? "the" : "x") + plain[i]);
    EXPECT_EQ(streamed.at(i).at("text"), echoed[i]);
  }
}

TEST_F(ServeCompletions, NamesWhatItCannotDo) {
  std::string many = "\"x\"";
  for (int i = 1; i < 128; ++i) many += ",\"x\"";
  const std::vector<std::tuple<std::string, std::string, const char*>> wrong = {
      {"\"x\"", R"(,"logprobs":6)", "logprobs: a whole number from 0 to 5"},
      {"\"x\"", R"(,"logprobs":1,"echo":true)", "logprobs: not together with echo"},
      {"\"x\"", R"(,"suffix":"y")", "suffix: not supported"},
      {"\"x\"", R"(,"best_of":3,"n":2)", "best_of: more than n is not supported"},
      {"\"x\"", R"(,"best_of":1,"n":2)", "best_of: at least n is needed"},
      {"[" + many + ",\"x\"]", "", "prompt: at most 128"},
      {"[" + many + "]", R"(,"n":2)", "prompt: 128 prompts of 2 choices"},
  };
  for (const auto& [prompt, more, message] : wrong) {
    const std::string answer = ask(prompt, more);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 400")) << more;
    EXPECT_THAT(answer, HasSubstr(message)) << more;
  }
  EXPECT_EQ(texts(ask("\"x\"", R"(,"best_of":2,"n":2,"suffix":"")")).size(), 2u);
  EXPECT_EQ(texts(ask("[" + many + "]")).size(), 128u);
}

}  // namespace
}  // namespace lantern::tests
