#include "supply/verity.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "base/json.h"
#include "supply/receipt.h"
#include "supply/testing/fixture.h"

namespace lantern::supply {
namespace {

namespace fs = std::filesystem;
using testing::gguf_bytes;
using testing::read_all;
using testing::write_all;

base::Digest verity_digest(std::string_view content) {
  VerityHash hash;
  hash.update(std::as_bytes(std::span(content)));
  return hash.finish();
}

TEST(VerityHash, EqualsTheReferenceCommandsDigests) {
  const std::string path = LANTERN_SOURCE_DIR "/src/supply/testdata/verity.json";
  const base::Json cases = base::parse_json(read_all(path), path).value();
  ASSERT_GT(cases.size(), 10u);
  for (const base::Json& one : cases) {
    const auto size = one.at("bytes").get<size_t>();
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i)
      content[i] = static_cast<char>(static_cast<uint32_t>(i) * 2654435761u >> 24);
    EXPECT_EQ(base::to_hex(verity_digest(content)), one.at("digest").get<std::string>()) << size;
  }
}

TEST(VerityHash, HoweverTheBytesArePieced) {
  const std::string content = gguf_bytes(600'000);
  const base::Digest whole = verity_digest(content);
  for (size_t piece : {1u, 4095u, 4096u, 4097u, 10'000u}) {
    VerityHash hash;
    for (size_t at = 0; at < content.size(); at += piece)
      hash.update(std::as_bytes(std::span(content))
                      .subspan(at)
                      .first(std::min(piece, content.size() - at)));
    EXPECT_EQ(hash.finish(), whole) << piece;
  }
}

/// Seals inodes as the kernel does, and lies where it is told to.
class FakeVerity final : public Verity {
 public:
  enum class Lie {
    kNone,
    kUnsupported,   // no fs-verity here
    kEnableFails,   // an error of the disk
    kSealsNothing,  // says that it did and did not
    kOtherDigest,   // measures something else
    kMeasureFails,  // an error of the disk, once sealed
  };
  Lie lie = Lie::kNone;

  Status enable(int fd, const fs::path& path) const override {
    if (lie == Lie::kUnsupported) return make_error(ErrorCode::kUnsupported, "none");
    if (lie == Lie::kEnableFails) return make_error(ErrorCode::kIo, "disk");
    if (lie == Lie::kSealsNothing) return {};
    EXPECT_EQ(::fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    struct stat info {};
    ::fstat(fd, &info);
    EXPECT_NE(info.st_mode & 0200u, 0u) << "the kernel asks for the permission to write";
    sealed_[info.st_ino] = verity_digest(read_all(path));
    return {};
  }
  Result<std::optional<base::Digest>> measure(int fd, const fs::path&) const override {
    if (lie == Lie::kUnsupported) return make_error(ErrorCode::kUnsupported, "none");
    struct stat info {};
    ::fstat(fd, &info);
    auto found = sealed_.find(info.st_ino);
    if (found == sealed_.end()) return std::optional<base::Digest>();
    if (lie == Lie::kMeasureFails) return make_error(ErrorCode::kIo, "disk");
    base::Digest digest = found->second;
    if (lie == Lie::kOtherDigest) digest[7] ^= std::byte{1};
    return std::optional(digest);
  }
  void unseal_all() const { sealed_.clear(); }

 private:
  mutable std::map<ino_t, base::Digest> sealed_;
};
using Lie = FakeVerity::Lie;

class SealedStore : public testing::StoreTest {
 protected:
  SealedStore() : sealing_(root_ / "store", fake_) {}

  /// Its blob's digest, or a failure.
  base::Digest pulled(const std::string& content) {
    write_all(root_ / "m.gguf", content);
    PullContext with{.store = sealing_};
    const auto done = pull(with, (root_ / "m.gguf").string(), "m");
    EXPECT_TRUE(done.ok()) << done.error().message;
    return base::sha256(content);
  }
  Result<Verified> check(const base::Digest& digest) { return sealing_.verify_blob(digest, {}); }
  /// Until a receipt made now vouches by the file's times.
  void age(const base::Digest& digest) {
    const fs::path blob = sealing_.blob_path(digest);
    const auto file = base::ReadFile::open(blob);
    const auto stamp = base::stamp_of(file->fd(), blob);
    while (wall_clock_ns() < stamp->ctime_ns + 2'100'000'000)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }

  FakeVerity fake_;
  Store sealing_;
  std::string content_ = gguf_bytes(100'000);
};

TEST_F(SealedStore, AFileThatMeasuresEqualIsNotHashed) {
  const base::Digest digest = pulled(content_);
  EXPECT_EQ(*check(digest), Verified::kByVerity) << "young as it is";
  EXPECT_EQ(*sealing_.expected_check(digest), Verified::kByVerity);
  EXPECT_EQ(*sealing_.verify_blob(digest, {.how = Verify::kFull}), Verified::kByHashing);
  EXPECT_EQ(*check(digest), Verified::kByVerity) << "a full hash keeps the seal's record";
  struct stat info {};
  ASSERT_EQ(::stat(sealing_.blob_path(digest).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0400u);
}

TEST_F(SealedStore, ASealThatFailsAtAdmissionGivesNoCredit) {
  for (Lie lie : {Lie::kUnsupported, Lie::kEnableFails, Lie::kSealsNothing, Lie::kOtherDigest,
                  Lie::kMeasureFails}) {
    SCOPED_TRACE(static_cast<int>(lie));
    fake_.lie = lie;
    fake_.unseal_all();
    const base::Digest digest = pulled(gguf_bytes(5000, static_cast<uint32_t>(lie)));
    EXPECT_EQ(*check(digest), Verified::kByHashing);
    fake_.lie = Lie::kNone;
    EXPECT_NE(*sealing_.expected_check(digest), Verified::kByVerity)
        << "nothing was computed that a later measure could equal";
  }
}

TEST_F(SealedStore, AMeasureThatIsNotEqualMeansAFullHash) {
  const base::Digest digest = pulled(content_);
  age(digest);
  for (Lie lie : {Lie::kUnsupported, Lie::kOtherDigest, Lie::kMeasureFails}) {
    SCOPED_TRACE(static_cast<int>(lie));
    fake_.lie = Lie::kNone;
    ASSERT_TRUE(sealing_.verify_blob(digest, {.how = Verify::kFull}).ok());
    ASSERT_EQ(*check(digest), Verified::kByVerity);
    fake_.lie = lie;
    EXPECT_EQ(*sealing_.expected_check(digest), Verified::kByHashing);
    EXPECT_EQ(*check(digest), Verified::kByHashing);
    EXPECT_EQ(*check(digest), Verified::kByReceipt) << "hashed once more, its times vouch";
  }
  fake_.lie = Lie::kNone;
  ASSERT_TRUE(sealing_.verify_blob(digest, {.how = Verify::kFull}).ok());
  fake_.unseal_all();
  EXPECT_EQ(*check(digest), Verified::kByHashing) << "no longer sealed";
}

TEST_F(SealedStore, OtherContentIsRefusedWhateverTheKernelSays) {
  const base::Digest digest = pulled(content_);
  age(digest);
  const fs::path blob = sealing_.blob_path(digest);
  std::string other = content_;
  other[50'000] = static_cast<char>(other[50'000] ^ 1);
  // Another file in its place, sealed as well.
  fs::remove(blob);
  write_all(blob, other);
  base::UniqueFd fd(::open(blob.c_str(), O_RDONLY));
  ASSERT_TRUE(fake_.enable(fd.get(), blob).ok());
  for (Lie lie : {Lie::kNone, Lie::kUnsupported, Lie::kOtherDigest, Lie::kMeasureFails}) {
    SCOPED_TRACE(static_cast<int>(lie));
    fake_.lie = lie;
    const auto status = check(digest);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, ErrorCode::kCorrupt);
  }
}

TEST_F(SealedStore, ADigestThatSomebodyWroteIntoAReceiptIsNotBelieved) {
  const base::Digest digest = pulled(content_);
  const fs::path receipt = sealing_.root() / "receipts" / (base::to_hex(digest) + ".json");
  const std::string other = gguf_bytes(100'000, 7);
  std::string text = read_all(receipt);
  const std::string own = base::to_hex(verity_digest(content_));
  ASSERT_NE(text.find(own), std::string::npos);
  text.replace(text.find(own), own.size(), base::to_hex(verity_digest(other)));
  write_all(receipt, text);
  fs::remove(sealing_.blob_path(digest));
  write_all(sealing_.blob_path(digest), other);
  base::UniqueFd fd(::open(sealing_.blob_path(digest).c_str(), O_RDONLY));
  ASSERT_TRUE(fake_.enable(fd.get(), sealing_.blob_path(digest)).ok());
  EXPECT_EQ(check(digest).error().code, ErrorCode::kCorrupt);
}

TEST_F(SealedStore, AReceiptWithoutTheSealsLineIsAnother) {
  const ReceiptKey key = ReceiptKey::of(root_).value();
  Receipt receipt{.stamp = {.device = 1, .inode = 2, .size = 3}, .hashed_at_ns = 4};
  const base::Digest without = key.mac(receipt);
  receipt.verity = base::Digest{};
  EXPECT_NE(key.mac(receipt), without);
  ASSERT_TRUE(write_receipt(root_ / "r.json", receipt, key).ok());
  EXPECT_EQ(read_receipt(root_ / "r.json", key)->verity, receipt.verity);
}

TEST_F(SealedStore, AFileThatItsOwnerSealedIsHashedOnce) {
  const fs::path path = root_ / "theirs.gguf";
  write_all(path, content_);
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY));
  ASSERT_TRUE(fake_.enable(fd.get(), path).ok());
  EXPECT_EQ(sealing_.digest_in_place(path, {})->how, Verified::kByHashing);
  const auto again = sealing_.digest_in_place(path, {});
  EXPECT_EQ(again->how, Verified::kByVerity);
  EXPECT_EQ(again->digest, base::sha256(content_));
  fake_.lie = Lie::kOtherDigest;
  EXPECT_EQ(sealing_.digest_in_place(path, {})->how, Verified::kByHashing);
}

TEST_F(SealedStore, TheKernelsOwnSealMeasuresAsComputed) {
  const fs::path path = root_ / "sealed";
  write_all(path, content_);
  base::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const Verity& kernel = kernel_verity();
  const auto before = kernel.measure(fd.get(), path);
  if (!before.ok()) {
    EXPECT_EQ(before.error().code, ErrorCode::kUnsupported) << before.error().message;
    EXPECT_EQ(kernel.enable(fd.get(), path).error().code, ErrorCode::kUnsupported);
    GTEST_SKIP() << "the file system of " << root_.string() << " has no fs-verity";
  }
  EXPECT_FALSE(before->has_value());
  const Status sealed = kernel.enable(fd.get(), path);
  if (!sealed.ok()) {
    ASSERT_EQ(sealed.error().code, ErrorCode::kUnsupported) << sealed.error().message;
    GTEST_SKIP() << "the file system of " << root_.string() << " has no fs-verity";
  }
  const auto measured = kernel.measure(fd.get(), path);
  ASSERT_TRUE(measured.ok()) << measured.error().message;
  EXPECT_EQ(*measured, verity_digest(content_));
  EXPECT_LT(::open(path.c_str(), O_WRONLY | O_CLOEXEC), 0) << "sealed for good";

  Store store(root_ / "kernel-store");
  PullContext with{.store = store};
  write_all(root_ / "m.gguf", content_);
  ASSERT_TRUE(pull(with, (root_ / "m.gguf").string(), "m").ok());
  EXPECT_EQ(*store.verify_blob(base::sha256(content_), {}), Verified::kByVerity);
}

}  // namespace
}  // namespace lantern::supply
