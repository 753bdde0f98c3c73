// Commands that only describe what is here work where nothing can be written: for another account,
// and on a disk that is mounted read-only.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <optional>

#include "base/json.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr unsigned kNobody = 65534;

std::string golden_model() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied/model.gguf";
}

/// Every file below `folder` with its time, to see that none is made or touched.
std::map<std::string, fs::file_time_type> files_below(const fs::path& folder) {
  std::map<std::string, fs::file_time_type> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files[entry.path().string()] = entry.last_write_time();
  return files;
}

/// What is started while it lives runs as that account, which has no way back.
class AsAccount {
 public:
  explicit AsAccount(std::optional<unsigned> account) : is_other_(account.has_value()) {
    if (!is_other_) return;
    EXPECT_EQ(::setresuid(*account, *account, 0), 0);
  }
  ~AsAccount() {
    if (!is_other_) return;
    EXPECT_EQ(::setresuid(0, 0, 0), 0);
  }
  AsAccount(const AsAccount&) = delete;
  AsAccount& operator=(const AsAccount&) = delete;

 private:
  bool is_other_;
};

class ReadOnly : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(run_lantern({"pull", golden_model(), "--name", "mine", "--approve", "t"}).exit_code,
              0);
    const Ran list = run_lantern({"list", "--json"}), show = run_lantern({"show", "mine"});
    ASSERT_EQ(list.exit_code, 0) << list.err;
    ASSERT_EQ(show.exit_code, 0) << show.err;
    list_ = list.out;
    ASSERT_EQ(base::parse_json(list_, "list")->at("models")[0].at("state"), "approved");
  }
  /// As `account` sees the home, which it cannot write.
  void expect_described(std::optional<unsigned> account) {
    const auto before = files_below(home_.path());
    const AsAccount as(account);
    const Ran list = run_lantern({"list", "--json"});
    EXPECT_EQ(list.exit_code, 0) << list.err;
    EXPECT_EQ(list.out, list_);
    const Ran show = run_lantern({"show", "mine", "--json"});
    EXPECT_EQ(show.exit_code, 0) << show.err;
    const Ran explain = run_lantern({"policy", "explain", "--model", "mine"});
    EXPECT_NE(explain.exit_code, 2) << explain.err;
    EXPECT_EQ(explain.err.find("state.db"), std::string::npos) << explain.err;
    const fs::path out = fs::temp_directory_path() / "lantern-never-written";
    const Ran use = run_lantern({"logits", "mine", "--tokens", "1", "--out", out.string()});
    EXPECT_NE(use.exit_code, 0) << "a load that cannot be recorded is refused";
    EXPECT_THAT(use.err, HasSubstr("state.db"));
    EXPECT_FALSE(fs::exists(out));
    EXPECT_EQ(files_below(home_.path()), before);
  }

  const ScopedHome home_ = ScopedHome("read-only");
  std::string list_;
};

TEST_F(ReadOnly, AFolderOfAnotherAccountIsDescribed) {
  if (::geteuid() != 0) GTEST_SKIP() << "becoming another account takes root";
  fs::permissions(scratch_folder(), fs::perms(0755));
  fs::permissions(home_.path(), fs::perms(0755));
  for (const auto& entry : fs::recursive_directory_iterator(home_.path()))
    if (!entry.is_symlink())
      fs::permissions(entry.path(),
                      fs::perms::group_read | fs::perms::others_read |
                          (entry.is_directory() ? fs::perms::group_exec | fs::perms::others_exec
                                                : fs::perms::none),
                      fs::perm_options::add);
  {
    const AsAccount nobody(kNobody);
    if (run_lantern({"--version"}).exit_code != 0)
      GTEST_SKIP() << "another account cannot reach the program";
  }
  expect_described(kNobody);
}

TEST_F(ReadOnly, ADiskThatIsMountedReadOnlyIsDescribed) {
  const fs::path home = home_.path();
  if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
      ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount(home.c_str(), home.c_str(), nullptr, MS_BIND, nullptr) != 0)
    GTEST_SKIP() << "a mount of its own takes root";
  ASSERT_EQ(::mount("", home.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  expect_described({});
  ::umount2(home.c_str(), MNT_DETACH);
}

/// A state folder on a disk of `kBytes`.
class FullDisk : public ::testing::Test {
 protected:
  static constexpr size_t kBytes = 2u << 20;

  void SetUp() override {
    if (::geteuid() != 0 || ::unshare(CLONE_NEWNS) != 0 ||
        ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("none", home_.path().c_str(), "tmpfs", 0, fmt::format("size={}", kBytes).c_str()) !=
            0)
      GTEST_SKIP() << "a mount of its own takes root";
    is_mounted_ = true;
  }
  void TearDown() override {
    if (is_mounted_) ::umount2(home_.path().c_str(), MNT_DETACH);
  }
  /// Nothing more fits on the disk.
  void fill() const {
    std::ofstream file(home_.path() / "filler", std::ios::binary);
    const std::string page(4096, 'x');
    while (file.write(page.data(), static_cast<std::streamsize>(page.size())).flush()) {
    }
  }
  Ran use() const {
    return run_lantern({"logits", golden_model(), "--tokens", "1", "--out",
                        (roomy_.path() / "logits").string(), "--approve", "reviewed"});
  }

  const ScopedHome roomy_ = ScopedHome("roomy-disk");  // the home is the later one
  const ScopedHome home_ = ScopedHome("full-disk");
  bool is_mounted_ = false;
};

TEST_F(FullDisk, IsSaidToBeFullWhetherTheStateIsThereOrNot) {
  fill();
  const Ran first = use();
  EXPECT_EQ(first.exit_code, 5) << first.err;
  EXPECT_THAT(first.err, HasSubstr("disk"));
  fs::remove(home_.path() / "filler");
  const Ran emptied = use();
  ASSERT_EQ(emptied.exit_code, 0) << emptied.err;
  fill();
  const Ran later = use();
  EXPECT_EQ(later.exit_code, 5) << later.err;
  fs::remove(home_.path() / "filler");
  EXPECT_EQ(use().exit_code, 0) << "nothing was lost";
}

}  // namespace
}  // namespace lantern::tests
