#include "engine/text_io.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "arch/hf.h"
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

// A Hugging Face folder: a golden model's weights, a small tokenizer, and the files given.
Result<TextIo> load_folder(const format::TemporaryFolder& folder,
                           const std::vector<std::pair<std::string, std::string>>& files) {
  const std::filesystem::path source = LANTERN_SOURCE_DIR;
  for (const auto& [from, to] :
       {std::pair{"tests/golden/models/llama-tied/config.json", "config.json"},
        std::pair{"tests/golden/models/llama-tied/model.safetensors", "model.safetensors"},
        std::pair{"src/text/testdata/tokenizers/gpt-2.json", "tokenizer.json"}})
    folder.write(to, format::file_bytes(source / from));
  for (const auto& [name, content] : files) folder.write(name, content);
  LANTERN_ASSIGN(auto checkpoint, arch::open_checkpoint(folder.path()));
  return TextIo::load(*checkpoint);
}

TEST(TextIoOfAFolder, EndIdsAreGenerationConfigsAndTheTokenizers) {
  format::TemporaryFolder folder;
  auto io = load_folder(folder, {{"generation_config.json", R"({"eos_token_id": [7, 5]})"},
                                 {"tokenizer_config.json", R"({"eos_token": "a"})"}});
  ASSERT_TRUE(io.ok()) << io.error().message;
  std::vector<int32_t> expected = {5, 7, *io->tokenizer().find("a")};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(io->end_ids(), expected);

  format::TemporaryFolder one;
  auto single = load_folder(one, {{"generation_config.json", R"({"eos_token_id": 9})"}});
  ASSERT_TRUE(single.ok()) << single.error().message;
  EXPECT_EQ(single->end_ids(), (std::vector<int32_t>{9}));

  format::TemporaryFolder bad;
  auto negative = load_folder(bad, {{"generation_config.json", R"({"eos_token_id": [-1]})"}});
  ASSERT_FALSE(negative.ok());
  EXPECT_EQ(negative.error().code, ErrorCode::kCorrupt);
  EXPECT_NE(negative.error().message.find("generation_config.json: eos_token_id: -1"),
            std::string::npos);
}

TEST(TextIoOfAFolder, TheTemplatesFileComesBeforeTheConfigs) {
  const std::string config =
      R"({"chat_template": [{"name": "default", "template": "old"}, {"name": "rag", "template": "R"}]})";
  format::TemporaryFolder folder;
  auto io = load_folder(folder, {{"tokenizer_config.json", config}});
  ASSERT_TRUE(io.ok()) << io.error().message;
  EXPECT_EQ(io->template_names(), (std::vector<std::string>{"", "rag"}));
  EXPECT_EQ(io->chat_template()->source(), "old");
  format::TemporaryFolder with_file;
  auto newer = load_folder(with_file, {{"tokenizer_config.json", config},
                                       {"chat_template.jinja", "new"},
                                       {"additional_chat_templates/tool.jinja", "T"}});
  ASSERT_TRUE(newer.ok()) << newer.error().message;
  EXPECT_EQ(newer->chat_template()->source(), "new");
  EXPECT_EQ(newer->template_names(), (std::vector<std::string>{"", "tool"}));
}

TEST(TextIoOfAFolder, WithoutTokenizerSaysWhichFileIsMissing) {
  format::TemporaryFolder folder;
  ASSERT_TRUE(load_folder(folder, {}).ok());
  std::filesystem::remove(folder.path() / "tokenizer.json");
  auto checkpoint = arch::open_checkpoint(folder.path());
  ASSERT_TRUE(checkpoint.ok());
  auto io = TextIo::load(**checkpoint);
  ASSERT_FALSE(io.ok());
  EXPECT_EQ(io.error().code, ErrorCode::kNotFound);
  EXPECT_NE(io.error().message.find("tokenizer.json"), std::string::npos);

  // Ids are all that logits() takes.
  std::shared_ptr<const format::Checkpoint> shared = std::move(checkpoint).value();
  auto engine =
      Engine::load(format::admit_for_test(shared), {.text = TextSide::kIfThere, .threads = 1});
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  const std::vector<int32_t> ids = {1, 2, 3};
  int64_t rows = 0;
  EXPECT_TRUE(engine
                  ->logits(ids, {},
                           [&](int64_t, int64_t n, auto) -> Status {
                             rows += n;
                             return {};
                           })
                  .ok());
  EXPECT_EQ(rows, 3);
  Prompt prompt;
  prompt.ids = ids;
  EXPECT_EQ(engine->generate(prompt, {}).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace lantern::engine
