#include "supply/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "supply/local_model.h"
#include "supply/receipt.h"
#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::hex_of;
using testing::read_all;
using testing::write_all;

class StoreItself : public testing::StoreTest {
 protected:
  /// Admits a model of `files`, name and content.
  Result<StoredModel> admit(const std::string& alias,
                            const std::vector<std::pair<std::string, std::string>>& files,
                            const std::string& source = "test:") {
    LANTERN_ASSIGN(StagingFolder folder, store_.stage());
    std::vector<StagedFile> staged;
    for (const auto& [name, content] : files) {
      LANTERN_ASSIGN(StagedWriter writer,
                     StagedWriter::create(folder.path() / std::to_string(staged.size()), name));
      LANTERN_TRY(writer.write(std::as_bytes(std::span(content))));
      LANTERN_ASSIGN(StagedFile file, writer.finish());
      staged.push_back(std::move(file));
    }
    Manifest manifest;
    manifest.source = source;
    return store_.admit(std::move(manifest), std::move(staged), alias, {});
  }
  fs::path receipt_of(const std::string& content) {
    return store_.root() / "receipts" / (hex_of(content) + ".json");
  }
  ReceiptKey key() { return ReceiptKey::of(store_.root()).value(); }
  /// As if the blob had been admitted long ago: its receipt is no longer young.
  void age(const std::string& content) {
    fs::path blob = store_.blob_path(base::sha256(content));
    auto file = base::ReadFile::open(blob);
    auto stamp = base::stamp_of(file->fd(), blob);
    // The clock cannot be turned; the receipt says that it was made 3 s after the change, so wait.
    while (wall_clock_ns() < stamp->ctime_ns + 2'100'000'000)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ASSERT_TRUE(store_.verify_blob(base::sha256(content), {}).ok());
  }
};

TEST(Manifest, IdIsTheSpecifiedHash) {
  // printf 'lantern-model-v1\n<sha256 of "abc"> 3 a.gguf\n<sha256 of ""> 0 b.json\n' | sha256sum
  std::vector<ManifestFile> files = {{.path = "b.json", .size = 0, .digest = base::sha256("")},
                                     {.path = "a.gguf", .size = 3, .digest = base::sha256("abc")}};
  EXPECT_EQ(base::to_hex(composition_id(files)),
            "274ec008779f289d2e324abd4ea8c7fa4947c4dbacf54a90f69e7f72f45159f3");
}

TEST(Manifest, SaysWhichFieldIsWrong) {
  Manifest manifest;
  manifest.files = {{.path = "a.gguf", .size = 3, .digest = base::sha256("abc")}};
  manifest.id = composition_id(manifest.files);
  manifest.source = "a\xff";  // a path in some other encoding
  std::string good = to_json(manifest);
  ASSERT_TRUE(parse_manifest(good, "m").ok());
  auto broken = [&](std::string from, std::string to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    auto parsed = parse_manifest(text, "m");
    return parsed.ok() ? std::string("accepted") : parsed.error().message;
  };
  EXPECT_EQ(broken("\"version\": 1", "\"version\": 2"), "m: version: only 1 is understood");
  EXPECT_EQ(broken("a.gguf", "../gguf"), "m: files: path \"../gguf\" is not a plain relative path");
  EXPECT_EQ(broken("a.gguf", "b.gguf"), "m: id: does not agree with its files");
  EXPECT_EQ(broken("\"size\": 3", "\"size\": -3"), "m: a.gguf: size: a number of bytes is needed");
  EXPECT_EQ(broken("\"gguf\",", "\"exe\","), "m: kind \"exe\" is not understood");
  EXPECT_EQ(broken("\"licence\": \"\"", "\"licence\": 1"), "m: licence: a text is needed");
}

TEST_F(StoreItself, AdmitsFindsAndLists) {
  EXPECT_TRUE(store_.list()->models.empty());
  EXPECT_FALSE(fs::exists(store_.root())) << "looking makes nothing";
  std::string a = gguf_bytes(1000, 1);
  auto model = admit("tiny", {{"tiny.gguf", a}});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->name(), "tiny");
  EXPECT_EQ(read_all(model->entry()), a);
  EXPECT_EQ(model->entry().filename(), "tiny.gguf");

  fs::path blob = store_.blob_path(base::sha256(a));
  struct stat info {};
  ASSERT_EQ(::stat(blob.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
  EXPECT_EQ(count("staging"), 0u);

  std::string id = base::to_hex(model->manifest.id);
  for (std::string name : {std::string("tiny"), id, id.substr(0, 8), hex_of(a),
                           hex_of(a).substr(0, 6), "sha256:" + hex_of(a)}) {
    auto found = store_.find(name);
    ASSERT_TRUE(found.ok()) << name << found.error().message;
    EXPECT_EQ(found->manifest.id, model->manifest.id);
  }
  EXPECT_EQ(
      store_.find("tinny").error().message,
      "no model \"tinny\" here: `lantern list` shows those that are, `lantern pull` gets one");
  EXPECT_EQ(store_.find("smollm2").error().message,
            "smollm2 is not on this machine yet: lantern pull smollm2");
  EXPECT_EQ(store_.find("ffffff").error().code, ErrorCode::kNotFound);
}

TEST_F(StoreItself, AFolderOfFilesIsOneModelWithItsNames) {
  auto model = admit("folder", {{"config.json", "{}"},
                                {"model.safetensors", "weights"},
                                {"additional_chat_templates/rag.jinja", "{{ x }}"}});
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(read_all(model->folder / "config.json"), "{}");
  EXPECT_EQ(read_all(model->folder / "additional_chat_templates/rag.jinja"), "{{ x }}");
}

TEST_F(StoreItself, SharedBlobsOutliveARemovedModel) {
  std::string shared = gguf_bytes(500, 7), own = gguf_bytes(300, 8);
  ASSERT_TRUE(
      admit("one", {{"m-00001-of-00002.gguf", shared}, {"m-00002-of-00002.gguf", own}}).ok());
  ASSERT_TRUE(admit("two", {{"m.gguf", shared}}).ok());
  EXPECT_EQ(count("blobs/sha256"), 2u);
  auto removed = store_.remove("one");
  ASSERT_TRUE(removed.ok());
  EXPECT_EQ(removed->freed_bytes, 300u);
  EXPECT_EQ(read_all(store_.find("two")->entry()), shared);
  EXPECT_EQ(store_.remove("two")->freed_bytes, 500u);
  EXPECT_EQ(count("blobs/sha256") + count("receipts") + count("models"), 0u);
  EXPECT_EQ(store_.remove("two").error().code, ErrorCode::kNotFound);
}

TEST_F(StoreItself, ANameCanMoveAndAModelCanHaveSeveral) {
  auto first = admit("m", {{"m.gguf", gguf_bytes(10, 1)}});
  ASSERT_TRUE(store_.set_alias("alt", first->manifest.id).ok());
  auto second = admit("m", {{"m.gguf", gguf_bytes(10, 2)}});
  EXPECT_EQ(store_.find("m")->manifest.id, second->manifest.id);
  EXPECT_EQ(store_.find("alt")->manifest.id, first->manifest.id);
  ASSERT_TRUE(store_.set_alias("third", first->manifest.id).ok());
  auto removed = store_.remove("alt");
  ASSERT_TRUE(removed.ok());
  EXPECT_TRUE(removed->alias_only);
  EXPECT_EQ(store_.find("third")->manifest.id, first->manifest.id);
  EXPECT_FALSE(store_.remove("third")->alias_only);
  EXPECT_EQ(store_.list()->models.size(), 1u);
  EXPECT_FALSE(store_.set_alias("Not a name", second->manifest.id).ok());
}

TEST_F(StoreItself, DigitsThatFitSeveralModelsAreNotGuessed) {
  std::string shared = gguf_bytes(50, 3);
  ASSERT_TRUE(admit("one", {{"a.gguf", shared}}).ok());
  ASSERT_TRUE(admit("two", {{"b.gguf", shared}}).ok());
  auto found = store_.find(hex_of(shared));
  EXPECT_EQ(found.error().code, ErrorCode::kInvalidArgument);
  EXPECT_NE(found.error().message.find("give more digits"), std::string::npos);
}

TEST_F(StoreItself, ADamagedManifestIsReportedAndItsBlobsAreKept) {
  std::string a = gguf_bytes(100, 1);
  auto model = admit("a", {{"a.gguf", a}});
  ASSERT_TRUE(admit("b", {{"b.gguf", gguf_bytes(100, 2)}}).ok());
  write_all(model->folder.parent_path() / "manifest.json", "{");
  auto listing = store_.list();
  ASSERT_TRUE(listing.ok());
  EXPECT_EQ(listing->models.size(), 1u);
  ASSERT_EQ(listing->problems.size(), 1u);
  EXPECT_NE(listing->problems[0].find("manifest.json: not valid JSON"), std::string::npos);
  EXPECT_TRUE(store_.remove("b").ok());
  EXPECT_TRUE(store_.has_blob(base::sha256(a)));
}

TEST_F(StoreItself, WhatADeadProcessLeftIsCleanedUp) {
  ASSERT_TRUE(admit("a", {{"a.gguf", gguf_bytes(10)}}).ok());
  write_all(store_.root() / "staging/pull-dead00/half.gguf", "half");
  auto alive = store_.stage();
  ASSERT_TRUE(alive.ok());
  EXPECT_EQ(count("staging"), 1u);
  write_all(store_.root() / "partial/old.part", "x");
  write_all(store_.root() / "partial/new.part", "x");
  fs::last_write_time(store_.root() / "partial/old.part",
                      fs::file_time_type::clock::now() - std::chrono::hours(24 * 15));
  auto second = store_.stage();
  EXPECT_EQ(count("staging"), 2u) << "one in use is left alone";
  EXPECT_EQ(count("partial"), 1u) << "two weeks are kept";
}

TEST_F(StoreItself, FastVerificationTrustsOnlyAnUntouchedInode) {
  std::string a = gguf_bytes(100'000, 1);
  auto model = admit("a", {{"a.gguf", a}});
  auto digest = base::sha256(a);
  fs::path blob = store_.blob_path(digest);
  auto young = read_receipt(receipt_of(a), key());
  ASSERT_TRUE(young);
  EXPECT_FALSE(vouches(*young, young->stamp)) << "changed less than 2 s before it was hashed";
  age(a);
  auto receipt = read_receipt(receipt_of(a), key());
  ASSERT_TRUE(receipt);
  EXPECT_TRUE(vouches(*receipt, receipt->stamp));

  // The same size and the same mtime, other content: ctime gives it away.
  struct stat before {};
  ::stat(blob.c_str(), &before);
  ::chmod(blob.c_str(), 0600);
  std::string changed = a;
  changed[5000] = static_cast<char>(changed[5000] ^ 1);
  write_all(blob, changed);
  timespec times[2] = {before.st_atim, before.st_mtim};
  ::utimensat(AT_FDCWD, blob.c_str(), times, 0);
  auto status = store_.verify_blob(digest, {});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(status.error().message,
            blob.string() + ": its content has changed since it was pulled (SHA-256 is " +
                hex_of(changed) + " now): remove the model and pull it again");

  write_all(blob, a);
  EXPECT_TRUE(store_.verify_blob(digest, {}).ok()) << "the content is right again, and was hashed";
  write_all(blob, a.substr(1));
  EXPECT_FALSE(store_.verify_blob(digest, {}).ok());
}

TEST_F(StoreItself, AdmittingAFileAgainMendsADamagedBlob) {
  std::string a = gguf_bytes(1000, 1);
  ASSERT_TRUE(admit("a", {{"a.gguf", a}}).ok());
  fs::path blob = store_.blob_path(base::sha256(a));
  ::chmod(blob.c_str(), 0600);
  write_all(blob, "damaged");
  ASSERT_TRUE(admit("a", {{"a.gguf", a}}).ok());
  EXPECT_EQ(read_all(blob), a);
}

TEST_F(StoreItself, AFullVerificationReadsTheBytes) {
  std::string a = gguf_bytes(1000, 1);
  ASSERT_TRUE(admit("a", {{"a.gguf", a}}).ok());
  age(a);
  // A receipt that vouches for wrong content: fast believes it, full does not.
  auto digest = base::sha256(a);
  fs::path blob = store_.blob_path(digest);
  ::chmod(blob.c_str(), 0600);
  write_all(blob, gguf_bytes(1000, 2));
  auto receipt = read_receipt(receipt_of(a), key());
  auto file = base::ReadFile::open(blob);
  receipt->stamp = *base::stamp_of(file->fd(), blob);
  receipt->hashed_at_ns = receipt->stamp.ctime_ns + 3'000'000'000;
  while (wall_clock_ns() < receipt->hashed_at_ns)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ASSERT_TRUE(write_receipt(receipt_of(a), *receipt, key()).ok());
  EXPECT_TRUE(store_.verify_blob(digest, {}).ok());
  EXPECT_FALSE(store_.verify_blob(digest, {.how = Verify::kFull}).ok());
  write_all(receipt_of(a), "not json");
  EXPECT_FALSE(store_.verify_blob(digest, {}).ok()) << "no receipt is a doubt";
}

TEST_F(StoreItself, AReceiptOfAnotherKeyVouchesForNothing) {
  const ReceiptKey theirs = ReceiptKey::of(root_ / "elsewhere").value();
  const Receipt receipt{.stamp = {.device = 1, .inode = 2, .size = 3}, .hashed_at_ns = 4};
  ASSERT_TRUE(write_receipt(root_ / "r.json", receipt, theirs).ok());
  EXPECT_TRUE(read_receipt(root_ / "r.json", theirs).has_value());
  EXPECT_FALSE(read_receipt(root_ / "r.json", key()).has_value());
  EXPECT_EQ(theirs.mac(receipt), ReceiptKey::of(root_ / "elsewhere").value().mac(receipt))
      << "made once";
}

TEST_F(StoreItself, FilesOfAPathAreHashedInPlace) {
  std::string a = gguf_bytes(100, 1);
  fs::path file = root_ / "mine.gguf";
  write_all(file, a);
  auto digest = store_.digest_in_place(file, {});
  ASSERT_TRUE(digest.ok()) << digest.error().message;
  EXPECT_EQ(base::to_hex(digest->digest), hex_of(a));
  write_all(file, a + "x");
  EXPECT_EQ(base::to_hex(store_.digest_in_place(file, {})->digest), hex_of(a + "x"));
  EXPECT_EQ(count("receipts"), 1u) << "one for the inode";
  EXPECT_EQ(store_.digest_in_place(root_ / "none.gguf", {}).error().code, ErrorCode::kNotFound);
  Store nowhere("/proc/no-store-can-be-made-here");
  EXPECT_EQ(base::to_hex(nowhere.digest_in_place(file, {})->digest), hex_of(a + "x"));
}

TEST(LocalModel, FindsFilesFoldersAndSaysWhatIsNone) {
  fs::path root = fs::temp_directory_path() / "lantern-local-model-test";
  write_all(root / "m.gguf", gguf_bytes(10));
  write_all(root / "hf/config.json", "{}");
  write_all(root / "hf/model.safetensors", "w");
  write_all(root / "hf/notes.txt", "n");
  write_all(root / "page.gguf", "<!DOCTYPE html>");
  auto file = find_local_model(root / "m.gguf");
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->entry, root / "m.gguf");
  auto folder = find_local_model(root / "hf/");
  ASSERT_TRUE(folder.ok()) << folder.error().message;
  EXPECT_EQ(folder->kind, ModelKind::kFolder);
  EXPECT_EQ(folder->files.size(), 2u);
  EXPECT_EQ(find_local_model(root / "none.gguf").error().message,
            (root / "none.gguf").string() + ": no such file or folder");
  EXPECT_EQ(find_local_model(root / "page.gguf").error().message,
            (root / "page.gguf").string() + ": this is a web page, not a GGUF file");
  fs::remove_all(root);
}

TEST_F(StoreItself, TwoProcessesMayChangeItAtOnce) {
  constexpr int kProcesses = 3, kRounds = 5;
  std::string shared = gguf_bytes(2000, 99);
  ASSERT_TRUE(admit("base", {{"base.gguf", shared}}).ok());
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      bool good = true;
      for (int round = 0; round < kRounds && good; ++round) {
        std::string alias = "p" + std::to_string(p);
        auto seed = static_cast<uint32_t>(p * 100 + round);
        auto admitted = admit(alias, {{"s.gguf", shared}, {"x.gguf", gguf_bytes(500, seed)}});
        good = admitted.ok() && read_all(admitted->folder / "s.gguf") == shared &&
               store_.list().ok() && (round % 3 == 0 || store_.remove(alias).ok());
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  auto listing = store_.list();
  ASSERT_TRUE(listing.ok());
  EXPECT_TRUE(listing->problems.empty());
  for (const auto& model : listing->models)
    for (const auto& file : model.manifest.files)
      EXPECT_TRUE(store_.verify_blob(file.digest, {.how = Verify::kFull}).ok());
  EXPECT_EQ(count("staging"), 0u);
}

}  // namespace
}  // namespace lantern::supply
