// OpenAI's older completions: what the answers to several prompts become.
#include "server/openai/completions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace lantern::server {
namespace {

using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::Not;

class Kept final : public Reply {
 public:
  void send(Response response) override {
    status = response.status;
    body = std::move(response.body);
  }
  void start(Response response) override { send(std::move(response)); }
  void write(std::string piece) override { body += piece; }
  void end() override { ended = true; }
  [[nodiscard]] std::stop_token gone() const override { return client.get_token(); }
  std::stop_source client;
  int status = 0;
  std::string body;
  bool ended = false;
};

gate::Answer answer(const std::vector<std::string>& texts) {
  gate::Answer out;
  for (const std::string& text : texts)
    out.choices.push_back({.text = text, .ids = {1, 2}, .prompt_tokens = 3});
  return out;
}

Error full() { return make_error(ErrorCode::kExhausted, "the queue is full"); }

class CompletionSinks : public ::testing::Test {
 protected:
  auto sinks(openai::CompletionOptions options) {
    return openai::completion_sinks(std::move(options), reply_, cancel_);
  }
  OrderedJson body() { return base::parse_ordered_json(reply_->body, "body").value(); }

  const std::shared_ptr<Kept> reply_ = std::make_shared<Kept>();
  std::stop_source cancel_;
};

TEST_F(CompletionSinks, WaitForAllPromptsHoweverTheyEnd) {
  const auto all = sinks({.n_prompts = 2, .n_choices = 2});
  all[1]->on_done(answer({"c", "d"}));
  EXPECT_EQ(reply_->status, 0);
  all[0]->on_done(answer({"a", "b"}));
  EXPECT_EQ(reply_->status, 200);
  const OrderedJson whole = body();
  std::string texts;
  for (const OrderedJson& choice : whole["choices"]) texts += choice["text"].get<std::string>();
  EXPECT_EQ(texts, "abcd");
  EXPECT_EQ(whole["usage"]["prompt_tokens"], 6) << "each prompt once";
  EXPECT_EQ(whole["usage"]["completion_tokens"], 8);
}

TEST_F(CompletionSinks, OnePromptsErrorIsTheResponseAndEndsTheOthers) {
  const auto all = sinks({.n_prompts = 3});
  all[0]->on_done(answer({"a"}));
  all[1]->on_done(full());
  EXPECT_EQ(reply_->status, 429);
  EXPECT_TRUE(cancel_.stop_requested());
  all[2]->on_done(make_error(ErrorCode::kCancelled, "ended"));
  EXPECT_EQ(body()["error"]["message"], "the queue is full");
}

TEST_F(CompletionSinks, AStreamThatFailsSaysSoAndIsNotDone) {
  const auto all = sinks({.stream = true, .n_prompts = 2});
  all[0]->on_text(0, "some");
  all[1]->on_done(full());
  all[0]->on_text(0, "more");
  all[0]->on_done(answer({"somemore"}));
  EXPECT_TRUE(reply_->ended);
  EXPECT_THAT(reply_->body, HasSubstr("the queue is full"));
  EXPECT_THAT(reply_->body, Not(HasSubstr("more")));
  EXPECT_THAT(reply_->body, Not(HasSubstr("[DONE]")));
}

TEST_F(CompletionSinks, AClientThatWentEndsAll) {
  const auto all = sinks({.n_prompts = 2});
  EXPECT_FALSE(cancel_.stop_requested());
  reply_->client.request_stop();
  EXPECT_TRUE(cancel_.stop_requested());
}

TEST_F(CompletionSinks, PartsOfACharacterAreSpelledAsBytesAtItsPlace) {
  const std::vector<std::string> pieces = {"\xC3", "\xA9", "x"};
  const auto all = sinks(
      {.piece = [&](int32_t id) { return std::string_view(pieces.at(static_cast<size_t>(id))); }});
  all[0]->on_prompt("\xC3\xA9:");
  const std::vector<engine::TokenLogprob> top = {{.id = 2, .logprob = -0.5f}};
  for (int32_t id = 0; id < 3; ++id)
    all[0]->on_token(0, {.id = id,
                         .bytes = pieces[static_cast<size_t>(id)],
                         .logprob = id == 2 ? -0.5f : -1.0f,
                         .top = top});
  all[0]->on_done(answer({"\xC3\xA9x"}));
  const OrderedJson logprobs = body()["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], OrderedJson::array({R"(bytes:\xc3)", R"(bytes:\xa9)", "x"}));
  EXPECT_EQ(logprobs["text_offset"], OrderedJson::array({2, 2, 3}));
  EXPECT_EQ(logprobs["token_logprobs"], OrderedJson::array({-1.0, -1.0, -0.5}));
  EXPECT_EQ(logprobs["top_logprobs"][0], (OrderedJson{{"x", -0.5}, {R"(bytes:\xc3)", -1.0}}));
  EXPECT_EQ(logprobs["top_logprobs"][2], (OrderedJson{{"x", -0.5}})) << "once";
}

}  // namespace
}  // namespace lantern::server
