#include <sys/stat.h>

#include "supply/signing/model_files.h"
#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::read_all;
using testing::write_all;

class PathSource : public testing::StoreTest {};

TEST_F(PathSource, CopiesAFileAndLeavesTheOriginal) {
  std::string content = gguf_bytes(3'000'000);
  write_all(root_ / "My Model-Q4_0.gguf", content);
  PullContext offline = context();
  offline.network = NetworkMode::kOffline;  // no network is needed
  auto pulled = pull(offline, (root_ / "My Model-Q4_0.gguf").string(), "");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->alias, "my-model-q4_0");
  EXPECT_EQ(read_all(pulled->model.entry()), content);
  struct stat ours {
  }, theirs{};
  ::stat(pulled->model.entry().c_str(), &ours);
  ::stat((root_ / "My Model-Q4_0.gguf").c_str(), &theirs);
  EXPECT_NE(ours.st_ino, theirs.st_ino) << "never the person's own inode";
  write_all(root_ / "My Model-Q4_0.gguf", "GGUF changed");
  EXPECT_EQ(read_all(pulled->model.entry()), content);
}

TEST_F(PathSource, TakesAFolderAndASplitSet) {
  write_all(root_ / "hf model/config.json", "{}");
  write_all(root_ / "hf model/model.safetensors", "w");
  write_all(root_ / "hf model/additional_chat_templates/a.jinja", "t");
  write_all(root_ / "hf model/secret.env", "no");
  auto folder = pull(context(), (root_ / "hf model").string(), "");
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->alias, "hf-model");
  EXPECT_EQ(folder->model.manifest.files.size(), 3u);

  write_all(root_ / "s-00001-of-00002.gguf", gguf_bytes(10, 1));
  write_all(root_ / "s-00002-of-00002.gguf", gguf_bytes(10, 2));
  auto split = pull(context(), (root_ / "s-00002-of-00002.gguf").string(), "");
  ASSERT_TRUE(split.ok()) << split.error().message;
  EXPECT_EQ(split->model.manifest.files.size(), 2u);
  fs::remove(root_ / "s-00001-of-00002.gguf");
  EXPECT_EQ(pull(context(), (root_ / "s-00002-of-00002.gguf").string(), "").error().code,
            ErrorCode::kNotFound);
}

TEST_F(PathSource, BringsTheSignatureBesideItToWhoJudges) {
  PullContext judged = context();
  std::string found, seen;
  Status answer;
  judged.judge_signature = [&](const FoundSignature* signature,
                               std::span<const ModelFile> files) -> Status {
    found = signature == nullptr ? "none" : signature->text;
    seen.clear();
    for (const ModelFile& file : files)
      seen += file.name + (file.digest == base::sha256(read_all(file.path)) ? "+" : "-");
    return answer;
  };
  const std::string file = (root_ / "a.gguf").string();
  write_all(file, gguf_bytes(1000));
  EXPECT_TRUE(pull(judged, file, "").ok());
  EXPECT_EQ(found, "none");
  EXPECT_EQ(seen, "a.gguf+");
  write_all(root_ / "model.sig", " {\"of the folder\": 1}");
  EXPECT_TRUE(pull(judged, file, "").ok());
  EXPECT_EQ(found, " {\"of the folder\": 1}");
  write_all(root_ / "a.gguf.sig", "{}");
  EXPECT_TRUE(pull(judged, file, "").ok());
  EXPECT_EQ(found, "{}");
  write_all(root_ / "a.gguf.sig", "untrusted comment: minisign");
  EXPECT_TRUE(pull(judged, file, "").ok());
  EXPECT_EQ(found, "none");
  EXPECT_NE(notices_.back().find("not looked at"), std::string::npos);
  answer = make_error(ErrorCode::kDenied, "no");
  write_all(root_ / "b.gguf", gguf_bytes(1000, 2));
  EXPECT_EQ(pull(judged, (root_ / "b.gguf").string(), "").error().code, ErrorCode::kDenied);
  EXPECT_EQ(store_.list()->models.size(), 1u);
}

TEST_F(PathSource, ReferencesOfTheCatalogNeedNoNetworkOnceTheyAreHere) {
  PullContext offline = context();
  offline.network = NetworkMode::kOffline;
  auto absent = pull(offline, "smollm2", "");
  ASSERT_FALSE(absent.ok());
  EXPECT_EQ(absent.error().code, ErrorCode::kIo);
  EXPECT_TRUE(absent.error().message.ends_with("needs the network, and --offline forbids it"));
  EXPECT_EQ(pull(offline, "smollm3", "").error().message,
            "no model \"smollm3\" in the catalog (smollm2): or give hf:ORG/REPO, "
            "pypi:PACKAGE==VERSION, an https address or a path");
}

TEST_F(PathSource, SaysWhatIsWrongWithAFile) {
  auto message = [&](const std::string& path) { return pull(context(), path, "").error().message; };
  EXPECT_EQ(message((root_ / "none.gguf").string()),
            (root_ / "none.gguf").string() + ": no such file or folder");
  write_all(root_ / "m.bin", "\x80\x02pickle");
  EXPECT_EQ(message((root_ / "m.bin").string()),
            (root_ / "m.bin").string() + ": this is no GGUF file");
  fs::create_directories(root_ / "empty");
  EXPECT_EQ(
      message((root_ / "empty").string()),
      (root_ / "empty").string() + ": neither GGUF files nor config.json with safetensors in it");
  ::mkfifo((root_ / "pipe.gguf").c_str(), 0600);
  EXPECT_EQ(message((root_ / "pipe.gguf").string()),
            (root_ / "pipe.gguf").string() + ": not a regular file");
  expect_nothing_admitted();
}

TEST_F(PathSource, TooLittleDiskAndAnInterruption) {
  write_all(root_ / "m.gguf", gguf_bytes(3'000'000));
  PullContext full = context();
  full.free_bytes = [](const fs::path&) -> Result<uint64_t> { return uint64_t{3'000'000}; };
  auto pulled = pull(full, (root_ / "m.gguf").string(), "");
  EXPECT_EQ(pulled.error().code, ErrorCode::kExhausted);
  EXPECT_NE(pulled.error().message.find("3.0 MB are needed and 3.0 MB are free"),
            std::string::npos);
  stop_.request_stop();
  EXPECT_EQ(pull(context(), (root_ / "m.gguf").string(), "").error().code, ErrorCode::kCancelled);
  expect_nothing_admitted();
}

}  // namespace
}  // namespace lantern::supply
