#include "engine/session.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/testing.h"

namespace lantern::engine {
namespace {

const GenerateOptions kOptions = {
    .sampler = {.temperature = 1.0f, .top_k = 0, .top_p = 1, .min_p = 0, .seed = 5},
    .max_tokens = 40,
    .ignore_end = true};
// Where the model's id lies in a saved session.
constexpr size_t kModelAt = 8 + 12 + 8;

class SessionTest : public ::testing::Test {
 protected:
  Engine load(EngineOptions options = {}, const TinyModel& model = {}) {
    auto engine = load_for_test(model.write(folder_), std::move(options));
    EXPECT_TRUE(engine.ok()) << engine.error().message;
    return std::move(engine).value();
  }
  static std::string say(Conversation& conversation, const std::string& text) {
    auto answer = conversation.say(text, kOptions);
    EXPECT_TRUE(answer.ok()) << answer.error().message;
    return answer.ok() ? answer->text : std::string();
  }
  format::TemporaryFolder folder_;
};

TEST_F(SessionTest, ARestoredConversationGoesOnWithTheSameBits) {
  for (const kernels::KvType kv :
       {kernels::KvType::kF32, kernels::KvType::kF16, kernels::KvType::kQ8_0}) {
    for (const int64_t window : {0, 64}) {
      const TinyModel model{.window = window};
      Engine engine = load({.threads = 1, .kv_type = kv}, model);
      Conversation first(engine);
      first.set_system("Be brief.");
      (void)say(first, std::string(300, 'x') + " the first turn");
      const std::string saved = first.save();
      const std::string expected = say(first, "and the second");

      Engine later = load({.threads = 2, .kv_type = kv}, model);
      Conversation second(later);
      const Status restored = second.restore(saved, "saved");
      ASSERT_TRUE(restored.ok()) << restored.error().message;
      // A window's passed pages may be given back earlier.
      if (window == 0) {
        EXPECT_EQ(second.save(), saved);
      }
      const auto answer = second.say("and the second", kOptions);
      ASSERT_TRUE(answer.ok());
      EXPECT_EQ(answer->text, expected) << "window " << window;
      EXPECT_GT(answer->cached_tokens, 300);
      EXPECT_EQ(second.messages(), first.messages());
    }
  }
}

TEST_F(SessionTest, TakesNothingThatSomethingElseMade) {
  Engine engine = load({.threads = 1});
  Conversation conversation(engine);
  (void)say(conversation, "Hello");
  const std::string saved = conversation.save();
  auto refused = [&](std::string bytes, Conversation& by) {
    const Status status = by.restore(bytes, "saved");
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(by.tokens(), 0);
    EXPECT_TRUE(by.messages().empty());
    return status.ok() ? Error{} : status.error();
  };
  std::string other = saved;
  other[kModelAt] = static_cast<char>(other[kModelAt] ^ 1);
  EXPECT_EQ(refused(other, conversation).code, ErrorCode::kInvalidArgument);
  other = saved;
  other[8] = static_cast<char>(other[8] + 1);  // the arithmetic's version
  EXPECT_EQ(refused(other, conversation).code, ErrorCode::kInvalidArgument);
  Engine f32 = load({.threads = 1, .kv_type = kernels::KvType::kF32});
  Conversation with_f32(f32);
  EXPECT_EQ(refused(saved, with_f32).code, ErrorCode::kInvalidArgument);
  Engine small = load({.threads = 1, .context = 16});
  Conversation in_little(small);
  EXPECT_EQ(refused(saved, in_little).code, ErrorCode::kInvalidArgument);
  EXPECT_TRUE(conversation.restore(saved, "saved").ok());
}

TEST_F(SessionTest, EveryCutIsAnError) {
  Engine engine = load({.threads = 1});
  Conversation conversation(engine);
  (void)say(conversation, "Hello");
  const std::string saved = conversation.save();
  for (size_t n = 0; n < saved.size(); n += n < 2000 ? 1 : 997) {
    const auto session = read_session(std::string_view(saved).substr(0, n), "saved");
    ASSERT_FALSE(session.ok()) << n;
    EXPECT_EQ(session.error().message.find('\n'), std::string::npos);
  }
  EXPECT_EQ(read_session(saved + "x", "saved").error().code, ErrorCode::kCorrupt);
}

TEST_F(SessionTest, SizesOfPagesThatAreNotThereTakeNoMemory) {
  Engine engine = load({.threads = 1});
  Conversation conversation(engine);
  (void)say(conversation, "Hello");
  const std::string saved = conversation.save();
  auto session = read_session(saved, "saved");
  ASSERT_TRUE(session.ok());
  for (Session::LayerBytes& layer : session->layers) layer.keys = uint64_t{1} << 60;
  for (Session::Pages& pages : session->pages) pages = {};
  const std::string written = write_session(*session);
  EXPECT_LT(written.size(), saved.size());
  EXPECT_TRUE(read_session(written, "written").ok());
  EXPECT_FALSE(conversation.restore(written, "written").ok());
}

}  // namespace
}  // namespace lantern::engine
