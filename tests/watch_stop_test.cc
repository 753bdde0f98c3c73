// What the policy has `lantern watch` do about foreign processes, with real ones: /etc/lantern and
// /var/lib/lantern are this test's own, in a mount namespace, which takes root.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/keys.h"
#include "base/time.h"
#include "policy/signed_policy.h"
#include "program.h"
#include "watched_program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const fs::path kManaged = "/etc/lantern";

class WatchStop : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    allowed_ = ::geteuid() == 0 && ::unshare(CLONE_NEWNS) == 0 &&
               ::mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
  }

  void SetUp() override {
    if (!allowed_) GTEST_SKIP() << "a mount namespace of its own takes root";
    folder_ = scratch_folder() / "watch-stop";
    fs::remove_all(folder_);
    const fs::path etc = folder_ / "etc", var = folder_ / "var-lib";
    fs::create_directories(etc / "lantern/trust");
    fs::create_directories(var / "lantern");
    for (const char* name : {"passwd", "group", "nsswitch.conf", "ld.so.cache", "localtime"}) {
      std::error_code ignored;
      fs::copy_file(fs::path("/etc") / name, etc / name, ignored);
    }
    for (const char* name : {"", "lantern", "lantern/trust"})
      fs::permissions(etc / name, fs::perms(0755));
    ASSERT_EQ(::mount(etc.c_str(), "/etc", nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(::mount(var.c_str(), "/var/lib", nullptr, MS_BIND, nullptr), 0);
    mounted_ = true;
    ASSERT_TRUE(
        base::write_file_atomically(kManaged / "trust/root.pem", root_.public_key().to_pem()).ok());
    fs::permissions(kManaged / "trust/root.pem", fs::perms(0644));
    bad_ = write_watched_model(folder_ / "bad.gguf", "Bad 8M");
    good_ = write_watched_model(folder_ / "good.gguf", "Good 8M");
    std::ofstream(folder_ / "watch.toml") << "[watch]\ninterval_s = 1\nfull_interval_s = 5\n";
  }
  void TearDown() override {
    if (!mounted_) return;
    ::umount2("/var/lib", MNT_DETACH);
    ::umount2("/etc", MNT_DETACH);
    fs::remove_all(folder_);
  }

  void install_policy(int version, const std::string& sensor) {
    const base::UtcTime now = base::utc_clock();
    const std::string text = fmt::format(
        "format = 1\nversion = {}\nissued = {}\nexpires = {}\n"
        "[models]\nin_place = [\"/\"]\nadvisories = \"allow\"\n"
        "[approvals]\nimporter_may_approve = true\nin_scripts = true\n"
        "[revocations]\nrequired = false\n[sensor]\n{}\n"
        "[[rules]]\nid = \"manage\"\neffect = \"allow\"\n"
        "action = [\"import\", \"approve\", \"revoke\"]\n",
        version, base::format_utc(now - std::chrono::hours(1)),
        base::format_utc(now + std::chrono::hours(24)), sensor);
    const auto envelope =
        policy::sign_policy(text, "policy", root_, [](std::string_view) { return Error{}; });
    ASSERT_TRUE(envelope.ok()) << envelope.error().message;
    ASSERT_TRUE(base::write_file_atomically(kManaged / "policy.dsse", *envelope).ok());
    fs::permissions(kManaged / "policy.dsse", fs::perms(0644));
  }
  void judge_models() const {
    for (const fs::path& model : {good_, bad_})
      ASSERT_EQ(run_lantern({"approve", model.string(), "--reason", "test"}).exit_code, 0);
    ASSERT_EQ(run_lantern({"revoke", bad_.string(), "--reason", "test"}).exit_code, 0);
  }
  [[nodiscard]] std::vector<std::string> arguments() const {
    return watch_arguments((folder_ / "watch.toml").string());
  }
  [[nodiscard]] std::string errors() const { return (folder_ / "errors").string(); }

  static inline bool allowed_ = false;
  bool mounted_ = false;
  fs::path folder_, bad_, good_;
  base::PrivateKey root_ = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
};

constexpr const char* kEnforced =
    "mode = \"enforce\"\nrevoked = \"stop\"\ndry_run_hours = 0\ngrace_s = 1";

TEST_F(WatchStop, ARevokedModelIsStoppedAndAnApprovedOneIsNot) {
  install_policy(1, kEnforced);
  judge_models();
  const auto bad = run_watched_engine(folder_ / "bad", bad_),
             good = run_watched_engine(folder_ / "good", good_);
  Watched watch(arguments(), errors());
  const Json taken = watch.next("response.taken", bad->pid());
  ASSERT_TRUE(taken.is_object());
  EXPECT_EQ(taken["response"], "stop");
  EXPECT_EQ(taken["verdict"], "revoked");
  EXPECT_EQ(taken["severity"], "high");
  EXPECT_EQ(bad->wait_for_signal(kPatience), SIGTERM);
  EXPECT_TRUE(watch.next("finding.ended", bad->pid()).is_object());
  EXPECT_EQ(good->wait_for_signal(std::chrono::seconds(3)), 0) << "approved";
  const Ran record = run_lantern({"audit", "query", "--action", "stop", "--json"});
  EXPECT_THAT(record.out, HasSubstr("sensor.revoked"));
  EXPECT_THAT(record.out, HasSubstr(std::to_string(bad->pid())));
  EXPECT_THAT(record.out, HasSubstr(taken["finding_id"].get<std::string>()));
}

TEST_F(WatchStop, ADryRunCountsAndStopsNothing) {
  install_policy(1, "mode = \"dry-run\"\nrevoked = \"stop\"");
  judge_models();
  const auto bad = run_watched_engine(folder_ / "bad", bad_);
  {
    Watched watch(arguments(), errors());
    const Json would = watch.next("response.would-take", bad->pid());
    ASSERT_TRUE(would.is_object());
    EXPECT_EQ(would["response"], "stop");
    EXPECT_EQ(bad->wait_for_signal(std::chrono::seconds(3)), 0);
  }
  const Ran report = run_lantern({"watch", "--report"});
  EXPECT_EQ(report.exit_code, 0) << report.err;
  EXPECT_THAT(report.out, HasSubstr("1 stopped"));
  EXPECT_EQ(run_lantern({"audit", "query", "--action", "stop", "--json"}).out.find("sensor."),
            std::string::npos);
  // To be enforced: not before the same table was watched with for as long as it says.
  install_policy(2, "mode = \"enforce\"\nrevoked = \"stop\"");
  Watched watch(arguments(), errors());
  EXPECT_TRUE(watch.next("response.would-take", bad->pid()).is_object());
  EXPECT_EQ(bad->wait_for_signal(std::chrono::seconds(3)), 0);
  install_policy(3, kEnforced);
  EXPECT_TRUE(watch.next("response.taken", bad->pid()).is_object()) << "taken up while it watches";
  EXPECT_EQ(bad->wait_for_signal(kPatience), SIGTERM);
}

TEST_F(WatchStop, WhoDoesNotEndWhenAskedIsMadeTo) {
  install_policy(1, kEnforced);
  judge_models();
  // A stopped process takes no SIGTERM; SIGKILL ends it all the same.
  const auto bad = run_watched_engine(folder_ / "bad", bad_);
  bad->signal(SIGSTOP);
  Watched watch(arguments(), errors());
  ASSERT_TRUE(watch.next("response.taken", bad->pid()).is_object());
  EXPECT_THAT(watch.next("response.taken", bad->pid())["outcome"].get<std::string>(),
              HasSubstr("SIGKILL"));
  EXPECT_EQ(bad->wait_for_signal(kPatience), SIGKILL);
}

TEST_F(WatchStop, AStopThatCannotBeRecordedDoesNotHappen) {
  install_policy(1, kEnforced);
  judge_models();
  Watched watch(arguments(), errors());
  ASSERT_TRUE(watch.next("watch.started").is_object());
  // The log's folder can be written by nobody any more: it lies on a file system that is read-only.
  const fs::path log = "/var/lib/lantern/state/audit";
  ASSERT_TRUE(fs::exists(log));
  ASSERT_EQ(::mount(log.c_str(), log.c_str(), nullptr, MS_BIND, nullptr), 0);
  ASSERT_EQ(::mount("", log.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr), 0);
  const auto bad = run_watched_engine(folder_ / "bad", bad_);
  const Json failed = watch.next("response.failed", bad->pid());
  ::umount2(log.c_str(), MNT_DETACH);
  ASSERT_TRUE(failed.is_object());
  EXPECT_THAT(failed["outcome"].get<std::string>(), HasSubstr("not stopped"));
  EXPECT_EQ(bad->wait_for_signal(std::chrono::seconds(2)), 0);
}

}  // namespace
}  // namespace lantern::tests
