// What a confined child says of a model, as its parent reads it.
#include "supply/sandbox/inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "format/folder.h"
#include "supply/sandbox/inspect.h"

namespace lantern::supply::sandbox {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kData = LANTERN_SOURCE_DIR "/src/format/testdata";

InspectedFiles files_in(const fs::path& folder) {
  InspectedFiles files{.folder = folder, .size_of = {}};
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file())
      files.size_of[entry.path().filename().string()] = entry.file_size();
  return files;
}

/// As it would come through the pipe.
Result<InspectedModel> through_bytes(const fs::path& folder, const std::string& name) {
  auto model = inspect_here(format::DiskFolder(folder), name);
  EXPECT_TRUE(model.ok()) << model.error().message;
  return inspection_from_bytes(inspection_to_bytes(*model), files_in(folder));
}

void expect_same(const format::Description& a, const format::Description& b) {
  EXPECT_EQ(a.kind, b.kind);
  EXPECT_EQ(a.architecture, b.architecture);
  EXPECT_EQ(a.name, b.name);
  EXPECT_EQ(a.n_parameters, b.n_parameters);
  EXPECT_EQ(a.tensor_bytes, b.tensor_bytes);
  EXPECT_EQ(a.file_bytes, b.file_bytes);
  EXPECT_EQ(a.mix_text(), b.mix_text());
  EXPECT_EQ(a.licence, b.licence);
  EXPECT_EQ(a.chat_templates, b.chat_templates);
  EXPECT_EQ(a.n_context, b.n_context);
  EXPECT_EQ(a.tokenizer, b.tokenizer);
  EXPECT_EQ(a.n_vocab, b.n_vocab);
  ASSERT_EQ(a.checkpoint->tensors().size(), b.checkpoint->tensors().size());
  for (size_t i = 0; i < a.checkpoint->tensors().size(); ++i) {
    const format::Tensor &mine = a.checkpoint->tensors()[i], &its = b.checkpoint->tensors()[i];
    EXPECT_EQ(mine.name, its.name);
    EXPECT_EQ(mine.type, its.type);
    EXPECT_EQ(mine.shape, its.shape);
    EXPECT_EQ(mine.bytes, its.bytes);
    EXPECT_EQ(mine.file, its.file);
  }
  ASSERT_EQ(a.checkpoint->metadata().all().size(), b.checkpoint->metadata().all().size());
  for (const auto& [key, entry] : a.checkpoint->metadata().all()) {
    const format::MetadataValue* value = b.checkpoint->metadata().find(key);
    ASSERT_NE(value, nullptr) << key;
    EXPECT_EQ(*value, entry.value) << key;
  }
  EXPECT_TRUE(std::equal(a.checkpoint->files().begin(), a.checkpoint->files().end(),
                         b.checkpoint->files().begin(), b.checkpoint->files().end()));
}

TEST(Inspection, SaysWhatTheReadersSay) {
  for (const char* name : {"all_types.gguf", "small.safetensors"}) {
    const auto model = through_bytes(kData, name);
    ASSERT_TRUE(model.ok()) << model.error().message;
    expect_same(*format::describe(kData / name), model->description);
  }
}

TEST(Inspection, ASplitSetIsOneModel) {
  const auto model = through_bytes(kData / "split", "model-00002-of-00003.gguf");
  ASSERT_TRUE(model.ok()) << model.error().message;
  expect_same(*format::describe(kData / "split/model-00001-of-00003.gguf"), model->description);
  EXPECT_EQ(model->description.checkpoint->files().size(), 3u);
}

TEST(Inspection, AFolderBringsItsConfigurationAndItsLicence) {
  const auto model = through_bytes(kData / "hf", "");
  ASSERT_TRUE(model.ok()) << model.error().message;
  const auto whole = format::describe(kData / "hf");
  expect_same(*whole, model->description);
  ASSERT_TRUE(model->description.folder);
  EXPECT_EQ(model->description.folder->config, whole->folder->config);
  EXPECT_EQ(model->description.folder->licence_id, whole->folder->licence_id);
  EXPECT_EQ(kData / "hf" / model->licence_file, whole->folder->licence_file);
  std::ifstream licence(kData / "hf/LICENSE");
  EXPECT_EQ(model->licence_text, std::string(std::istreambuf_iterator<char>(licence), {}));
}

TEST(Inspection, ErrorsComeAsOnePrintableLine) {
  const Error error{ErrorCode::kCorrupt, "f.gguf: key \n\x1b[2J: is no text"};
  const auto answer = inspection_from_bytes(inspection_to_bytes(error), {});
  EXPECT_EQ(answer.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(answer.error().message.find_first_of("\n\x1b"), std::string::npos);
  EXPECT_THAT(answer.error().message, HasSubstr("is no text"));
  // A refusal is the policy's word alone.
  const auto denied = inspection_from_bytes(
      inspection_to_bytes(Error{ErrorCode::kDenied, "the policy says no"}), {});
  EXPECT_EQ(denied.error().code, ErrorCode::kInternal);
}

// Every cut of an answer, and every byte of one changed: an error or a model within bounds.
TEST(Inspection, AnAnswerThatWasCutOrChangedIsNoneOrStaysWithinBounds) {
  const InspectedFiles files = files_in(kData / "split");
  const auto model = inspect_here(format::DiskFolder(kData / "split"), "model-00001-of-00003.gguf");
  const std::string bytes = inspection_to_bytes(*model);
  for (size_t n = 0; n < bytes.size(); ++n)
    EXPECT_EQ(inspection_from_bytes(bytes.substr(0, n), files).error().code, ErrorCode::kInternal);
  EXPECT_EQ(inspection_from_bytes(bytes + '\0', files).error().code, ErrorCode::kInternal);
  uint64_t file_bytes = 0;
  for (const auto& [name, size] : files.size_of) file_bytes += size;
  for (size_t i = 0; i < bytes.size(); ++i)
    for (const char value : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string changed = bytes;
      changed[i] = value;
      const auto read = inspection_from_bytes(changed, files);
      EXPECT_LE(read.ok() ? read->description.tensor_bytes : 0, file_bytes);
    }
}

TEST(Inspection, AChildCannotNameOtherFilesNorMoreThanTheyHold) {
  const auto model = inspect_here(format::DiskFolder(kData), "all_types.gguf");
  const std::string bytes = inspection_to_bytes(*model);
  EXPECT_THAT(inspection_from_bytes(bytes, {.folder = kData, .size_of = {{"b.gguf", 1u << 20}}})
                  .error()
                  .message,
              HasSubstr("files"));
  EXPECT_THAT(inspection_from_bytes(bytes, {.folder = kData, .size_of = {{"all_types.gguf", 10}}})
                  .error()
                  .message,
              HasSubstr("tensors"));
}

}  // namespace
}  // namespace lantern::supply::sandbox
