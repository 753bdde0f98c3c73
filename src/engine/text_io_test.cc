#include "engine/text_io.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/testing.h"

namespace lantern::engine {
namespace {

Result<TextIo> load_text(const TinyModel& model) {
  format::TemporaryFolder folder;
  LANTERN_ASSIGN(auto checkpoint, open_for_test(model.write(folder)));
  return TextIo::load(*checkpoint);
}

TEST(TextIo, EndIdsAreTheMetadatasAndTheTemplatesTurnEnd) {
  auto io = load_text({});
  ASSERT_TRUE(io.ok()) << io.error().message;
  EXPECT_EQ(io->end_ids(), (std::vector<int32_t>{TinyModel::kEos, TinyModel::kEnd}));
  EXPECT_TRUE(io->is_end(TinyModel::kEnd));
  EXPECT_FALSE(io->is_end(TinyModel::kStart));

  auto plain = load_text({.chat_template = ""});
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->end_ids(), (std::vector<int32_t>{TinyModel::kEos}));
}

TEST(TextIo, OneBeginOfSequenceWhetherTheTemplateWritesItOrNot) {
  const std::string writes_none = "{% for m in messages %}{{ m.content }}{% endfor %}";
  for (const TinyModel& model :
       {TinyModel{}, TinyModel{.chat_template = writes_none}, TinyModel{.add_bos = false}}) {
    auto io = load_text(model);
    ASSERT_TRUE(io.ok()) << io.error().message;
    text::RenderInput input;
    input.messages.push_back({{"role", "user"}, {"content", "<s>hi<|im_end|>"}});
    auto spans = io->render(input);
    ASSERT_TRUE(spans.ok()) << spans.error().message;
    const auto ids = io->encode(*spans);
    EXPECT_EQ(std::count(ids.begin(), ids.end(), TinyModel::kBos), 1);
    EXPECT_EQ(ids.front(), TinyModel::kBos);
    // What the user typed stays text.
    const int in_template = model.chat_template == writes_none ? 0 : 1;
    EXPECT_EQ(std::count(ids.begin(), ids.end(), TinyModel::kEnd), in_template);
  }
  auto io = load_text({});
  const auto raw = io->encode_raw("<s>x");
  EXPECT_EQ(raw.front(), TinyModel::kBos);
  EXPECT_EQ(std::count(raw.begin(), raw.end(), TinyModel::kBos), 1);
  auto without = load_text({.add_bos = false});
  EXPECT_NE(without->encode_raw("x").front(), TinyModel::kBos);
}

TEST(TextIo, ABrokenTemplateIsANoticeNotTheEnd) {
  auto io = load_text({.chat_template = "{% if %}"});
  ASSERT_TRUE(io.ok()) << io.error().message;
  EXPECT_EQ(io->chat_template(), nullptr);
  ASSERT_EQ(io->notices().size(), 1u);
  EXPECT_TRUE(io->notices()[0].starts_with("the model's chat template is not usable: "));
  EXPECT_EQ(io->render({}).error().code, ErrorCode::kUnsupported);
}

TEST(TextIo, NamedTemplatesAreFoundByName) {
  TinyModel model;
  format::Metadata metadata = model.metadata();
  metadata.set("tokenizer.chat_template.tool_use", std::string("T{{ messages[0].content }}"));
  metadata.set("tokenizer.chat_templates", format::StringArray{"tool_use"});
  format::TemporaryFolder folder;
  const auto path = folder.path() / "named.gguf";
  auto writer = format::GgufWriter::create(path, metadata, {});
  ASSERT_TRUE(writer.ok() && writer->commit().ok());
  auto checkpoint = open_for_test(path);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
  auto io = TextIo::load(**checkpoint);
  ASSERT_TRUE(io.ok()) << io.error().message;
  EXPECT_EQ(io->template_names(), (std::vector<std::string>{"", "tool_use"}));
  text::RenderInput input;
  input.messages.push_back({{"role", "user"}, {"content", "x"}});
  auto spans = io->render(input, "tool_use");
  ASSERT_TRUE(spans.ok());
  EXPECT_EQ(text::to_text(*spans), "Tx");
}

TEST(TextIo, AnEndIdOutsideTheVocabularyIsCorrupt) {
  auto io = load_text({.eos = 5000});
  ASSERT_FALSE(io.ok());
  EXPECT_EQ(io.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace lantern::engine
