#include "gate/admission.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "format/gguf_writer.h"
#include "gate/convert.h"
#include "gate/decisions.h"
#include "gate/local_model.h"
#include "supply/staging.h"
#include "supply/store.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

class AdmissionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (auto store = supply::Store::of_user(); store.ok())
      if (auto model = store->find_alias("smollm2"); model.ok() && *model)
        default_model_ = (*model)->entry();
    std::string pattern = (fs::temp_directory_path() / "lantern-gate-XXXXXX").string();
    root_ = mkdtemp(pattern.data());
    if (const char* home = std::getenv("LANTERN_HOME")) home_ = home;
    setenv("LANTERN_HOME", (root_ / "home").c_str(), 1);
  }
  void TearDown() override {
    if (home_) {
      setenv("LANTERN_HOME", home_->c_str(), 1);
    } else {
      unsetenv("LANTERN_HOME");
    }
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }

  // A GGUF file with a name in it and nothing else: enough to be admitted, too little to load.
  static fs::path write_gguf(const fs::path& path, const std::string& name) {
    fs::create_directories(path.parent_path());
    format::Metadata metadata;
    metadata.set("general.architecture", std::string("llama"));
    metadata.set("general.name", name);
    auto writer = format::GgufWriter::create(path, metadata, {});
    EXPECT_TRUE(writer.ok() && writer->commit().ok());
    return path;
  }
  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  // The definition, written out: docs say it, so others will compute it too.
  static std::string id_of(const std::string& listing) {
    return base::to_hex(base::sha256("lantern-model-v1\n" + listing));
  }
  static std::string line(const fs::path& path, const std::string& name) {
    const std::string bytes = content(path);
    return base::to_hex(base::sha256(bytes)) + " " + std::to_string(bytes.size()) + " " + name +
           "\n";
  }
  static supply::StoredModel store_model(const fs::path& gguf, const std::string& alias) {
    auto store = supply::Store::of_user();
    EXPECT_TRUE(store.ok());
    auto staging = store->stage();
    EXPECT_TRUE(staging.ok()) << staging.error().message;
    auto writer = supply::StagedWriter::create(staging->path() / "model.gguf", "model.gguf");
    EXPECT_TRUE(writer.ok());
    const std::string bytes = content(gguf);
    EXPECT_TRUE(writer->write(std::as_bytes(std::span(bytes))).ok());
    auto staged = writer->finish();
    EXPECT_TRUE(staged.ok());
    std::vector<supply::StagedFile> files;
    files.push_back(std::move(*staged));
    auto model = store->admit({}, std::move(files), alias, {});
    EXPECT_TRUE(model.ok()) << model.error().message;
    return std::move(model).value();
  }

  /// With the approval that a person would give.
  static Result<format::AdmittedModel> admit(const std::string& reference,
                                             AdmitOptions options = {}) {
    options.consent.reason = "this test's own model";
    return Admission::admit(reference, options);
  }

  fs::path root_;
  std::optional<std::string> home_;
  fs::path default_model_;  // where the user's own store has it
};

TEST_F(AdmissionTest, APathsIdIsItsCompositions) {
  const fs::path path = write_gguf(root_ / "a/tiny.gguf", "tiny");
  auto model = admit(path.string());
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->name(), "tiny.gguf");
  EXPECT_EQ(base::to_hex(model->id()), id_of(line(path, "tiny.gguf")));
  // Again, now by the receipt, and by hashing.
  auto again = admit(path.string());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->id(), model->id());
  auto hashed = admit(path.string(), {.paranoid = true});
  ASSERT_TRUE(hashed.ok());
  EXPECT_EQ(hashed->id(), model->id());
}

TEST_F(AdmissionTest, AnotherContentIsAnotherModel) {
  const fs::path path = write_gguf(root_ / "tiny.gguf", "before");
  auto before = admit(path.string());
  ASSERT_TRUE(before.ok());
  write_gguf(path, "after!");  // of the same size
  auto after = admit(path.string());
  ASSERT_TRUE(after.ok());
  EXPECT_NE(before->id(), after->id());
}

TEST_F(AdmissionTest, AStoredModelHasTheStoresIdAndIsComparedWithIt) {
  const fs::path source = write_gguf(root_ / "source.gguf", "stored");
  const auto stored = store_model(source, "mine");
  auto model = admit("mine");
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->id(), stored.manifest.id);
  EXPECT_EQ(model->name(), "mine");
  EXPECT_EQ(base::to_hex(model->id()), id_of(line(source, "model.gguf")));

  // Another file under the model's name is not the model.
  fs::remove(stored.folder / "model.gguf");
  fs::copy_file(write_gguf(root_ / "other.gguf", "forged"), stored.folder / "model.gguf");
  auto forged = admit("mine");
  ASSERT_FALSE(forged.ok());
  EXPECT_EQ(forged.error().code, ErrorCode::kDenied);
}

TEST_F(AdmissionTest, AStoredFileThatWasWrittenToIsNotAdmitted) {
  const auto stored = store_model(write_gguf(root_ / "source.gguf", "stored"), "mine");
  const fs::path blob = supply::Store::of_user()->blob_path(stored.manifest.files.front().digest);
  fs::permissions(blob, fs::perms::owner_write, fs::perm_options::add);
  {
    std::fstream file(blob, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(-1, std::ios::end);
    const char byte = '!';
    file.write(&byte, 1);
  }
  auto model = admit("mine", {.paranoid = true});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kDenied);
}

TEST_F(AdmissionTest, SaysWhatIsNotThereAndWhatMustBePulled) {
  auto code = [](const std::string& reference) { return admit(reference).error().code; };
  EXPECT_EQ(code("nothing-of-that-name"), ErrorCode::kNotFound);
  EXPECT_EQ(code((root_ / "missing.gguf").string()), ErrorCode::kNotFound);
  EXPECT_EQ(code("hf:org/repo"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code("https://user:secret@example.org/m.gguf"), ErrorCode::kInvalidArgument);
  EXPECT_EQ(admit("https://user:secret@example.org/m.gguf").error().message.find("secret"),
            std::string::npos);
  fs::create_directories(root_ / "empty");
  EXPECT_FALSE(admit((root_ / "empty").string()).ok());
}

TEST_F(AdmissionTest, HashingStopsWhenItIsAskedTo) {
  const fs::path path = write_gguf(root_ / "tiny.gguf", "tiny");
  std::stop_source stop;
  stop.request_stop();
  auto model = admit(path.string(), {.stop = stop.get_token()});
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kCancelled);
}

// A folder's id covers what shapes an answer: weights, configs, tokenizer, template.
TEST_F(AdmissionTest, AFoldersIdCoversItsTextSide) {
  const fs::path golden = fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models/llama-tied";
  if (!fs::exists(golden)) GTEST_SKIP() << golden << " is not there";
  const fs::path folder = root_ / "model";
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(golden / name, folder / name);
  auto id = [&] {
    auto model = admit(folder.string());
    EXPECT_TRUE(model.ok()) << model.error().message;
    return base::to_hex(model->id());
  };
  const std::string bare = id();
  EXPECT_EQ(bare, id_of(line(folder / "config.json", "config.json") +
                        line(folder / "model.safetensors", "model.safetensors")));
  std::ofstream(folder / "chat_template.jinja") << "{{ messages }}";
  const std::string with_template = id();
  EXPECT_NE(with_template, bare);
  std::ofstream(folder / "README.md") << "not read";
  EXPECT_EQ(id(), with_template);
}

TEST_F(AdmissionTest, NobodysModelIsRefusedByItsRule) {
  const std::string path = write_gguf(root_ / "tiny.gguf", "tiny").string();
  auto refused = Admission::admit(path);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kDenied);
  EXPECT_NE(refused.error().message.find("lantern.approvers"), std::string::npos)
      << refused.error().message;
  EXPECT_NE(refused.error().message.find("lantern approve"), std::string::npos) << "how to ask";
  ASSERT_TRUE(admit(path).ok());
  EXPECT_TRUE(Admission::admit(path).ok()) << "approved once, it stays approved";
  // The approval was for that content.
  write_gguf(path, "else");
  EXPECT_EQ(Admission::admit(path).error().code, ErrorCode::kDenied);
}

TEST_F(AdmissionTest, TheAnswerOfThePersonDecides) {
  const std::string path = write_gguf(root_ / "tiny.gguf", "tiny").string();
  int asked = 0;
  AdmitOptions options;
  options.consent.ask = [&](const ApprovalQuestion& question) {
    ++asked;
    EXPECT_EQ(question.report.verdict(), supply::scan::Verdict::kClean);
    EXPECT_EQ(question.model.name, "tiny.gguf");
    return asked == 1 ? Result<std::optional<std::string>>(std::optional<std::string>())
                      : Result<std::optional<std::string>>(std::optional<std::string>("why not"));
  };
  EXPECT_EQ(Admission::admit(path, options).error().code, ErrorCode::kDenied);
  EXPECT_TRUE(Admission::admit(path, options).ok());
  EXPECT_TRUE(Admission::admit(path, options).ok());
  EXPECT_EQ(asked, 2) << "asked once more after the yes";
}

TEST_F(AdmissionTest, WhatTheScanCallsMaliciousIsNeverApproved) {
  const fs::path golden = fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models/llama-tied";
  const fs::path folder = root_ / "model";
  fs::create_directories(folder);
  for (const char* name : {"config.json", "model.safetensors"})
    fs::copy_file(golden / name, folder / name);
  std::ofstream(folder / "chat_template.jinja")
      << "{{ cycler.__init__.__globals__.os.popen('id').read() }}";
  auto refused = admit(folder.string());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kDenied);
  EXPECT_NE(refused.error().message.find("lantern.scan-malicious"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(approve_model({.reference = folder.string(), .terms = {.reason = "x"}}).error().code,
            ErrorCode::kDenied);
}

TEST_F(AdmissionTest, ARevocationStopsWhatRunsWithinASecond) {
  const std::string path = write_gguf(root_ / "tiny.gguf", "tiny").string();
  auto model = admit(path);
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE(model->standing()->check().ok());
  ASSERT_TRUE(
      revoke_model("sha256:" + base::to_hex(base::sha256(content(path))), "backdoor", {}).ok())
      << "by its file's digest";
  const auto begin = std::chrono::steady_clock::now();
  while (model->standing()->check().ok() &&
         std::chrono::steady_clock::now() - begin < std::chrono::seconds(10))
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
  EXPECT_EQ(model->standing()->check().error().code, ErrorCode::kDenied);
  auto refused = admit(path);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("lantern.revoked"), std::string::npos);
}

TEST_F(AdmissionTest, WhatIsConvertedInheritsNoApprovalAndEveryRevocation) {
  const fs::path golden = fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models/llama-tied";
  ConvertOptions options;
  options.consent.reason = "test";
  const std::string made = (root_ / "made.gguf").string();
  auto converted = convert(golden.string(), made, options);
  ASSERT_TRUE(converted.ok()) << converted.error().message;
  EXPECT_EQ(Admission::admit(made).error().code, ErrorCode::kDenied);
  ASSERT_TRUE(admit(made).ok());
  ASSERT_TRUE(revoke_model(golden.string(), "withdrawn", {}).ok());
  auto refused = Admission::admit(made);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("lantern.revoked"), std::string::npos);
}

TEST_F(AdmissionTest, ALogThatCannotBeWrittenRefusesTheLoadAndNotTheRevocation) {
  if (geteuid() == 0) GTEST_SKIP() << "root writes everywhere";
  const std::string path = write_gguf(root_ / "tiny.gguf", "tiny").string();
  ASSERT_TRUE(admit(path).ok());
  const fs::path log = root_ / "home/state/audit";
  fs::permissions(log, fs::perms::owner_read | fs::perms::owner_exec);
  EXPECT_FALSE(Admission::admit(path).ok());
  EXPECT_TRUE(revoke_model(path, "stop it", {}).ok());
  fs::permissions(log, fs::perms::owner_all);
}

TEST_F(AdmissionTest, LoadsTheRealModelWhereItIs) {
  if (default_model_.empty()) GTEST_SKIP() << "the default model is not here: lantern pull smollm2";
  auto load = [&](int threads) {
    return load_model(default_model_.string(), {}, {.threads = threads});
  };
  auto engine = load(1);
  ASSERT_TRUE(engine.ok()) << engine.error().message;
  auto prompt = engine->user_prompt("Name three colours.");
  ASSERT_TRUE(prompt.ok());
  engine::GenerateOptions options{.sampler = {.seed = 5}, .max_tokens = 48};
  auto expected = engine->generate(*prompt, options);
  ASSERT_TRUE(expected.ok());
  EXPECT_FALSE(expected->text.empty());
  auto parallel = load(3);
  ASSERT_TRUE(parallel.ok());
  options.chunk = 5;
  options.beside = 2;
  auto same = parallel->generate(*prompt, options);
  ASSERT_TRUE(same.ok());
  EXPECT_EQ(same->text, expected->text);

  engine::Conversation conversation(*parallel);
  ASSERT_TRUE(conversation.say("My name is Ada.", options).ok());
  auto second = conversation.say("What is my name?", options);
  ASSERT_TRUE(second.ok());
  EXPECT_GT(second->cached_tokens, 20);
}

}  // namespace
}  // namespace lantern::gate
