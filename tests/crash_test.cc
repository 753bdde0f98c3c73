// A process that is killed at any step leaves the old state or the new one: the program is run
// under ptrace and killed at its n-th change to the file system, for every n.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <set>

#include "base/json.h"
#include "program.h"

#if defined(__x86_64__)
namespace lantern::tests {
namespace {

namespace fs = std::filesystem;

bool changes_files(unsigned long long call) {
  static const std::set<unsigned long long> calls = {
      SYS_write,    SYS_pwrite64,  SYS_rename,    SYS_renameat, SYS_renameat2, SYS_unlink,
      SYS_unlinkat, SYS_mkdir,     SYS_mkdirat,   SYS_symlink,  SYS_symlinkat, SYS_link,
      SYS_linkat,   SYS_ftruncate, SYS_fdatasync, SYS_fsync,    SYS_chmod,     SYS_fchmod};
  return calls.contains(call);
}

enum class End { kFinished, kKilled, kNotAllowed };

/// Runs lantern and kills it before its n-th change, threads included.
End run_and_kill(const std::vector<std::string>& arguments, int n) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    const std::string program = std::string(LANTERN_BUILD_DIR) + "/lantern";
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::close(1);
    ::close(2);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return End::kNotAllowed;
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  if (::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions) != 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return End::kNotAllowed;
  }
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  std::set<pid_t> inside;  // threads within a system call
  for (int changes = 0;;) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) return End::kFinished;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread == child) return End::kFinished;
      continue;
    }
    int deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      const bool enters = inside.insert(thread).second;
      if (!enters) inside.erase(thread);
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
      if (enters && changes_files(registers.orig_rax) && ++changes == n) {
        ::kill(child, SIGKILL);
        while (::waitpid(-1, &status, __WALL) > 0) {
        }
        return End::kKilled;
      }
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
      deliver = WSTOPSIG(status);
    }
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);
  }
}

base::Json list_of(const Ran& ran) {
  return base::parse_json(ran.out, "list").value().at("models");
}

std::string model_file() {
  return std::string(LANTERN_SOURCE_DIR) + "/tests/golden/models/llama-tied/model.gguf";
}

/// Kills `arguments` at every step, each time on a copy of `before`; `check` looks at what is left.
void kill_at_every_step(const std::vector<std::string>& arguments, const fs::path& before,
                        const fs::path& home, const std::function<void()>& check) {
  for (int n = 1;; ++n) {
    fs::remove_all(home);
    fs::copy(before, home, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    const End end = run_and_kill(arguments, n);
    if (end == End::kNotAllowed) GTEST_SKIP() << "tracing is not allowed here";
    SCOPED_TRACE(fmt::format("killed at change {}", n));
    check();
    if (::testing::Test::HasFailure()) return;
    if (end == End::kFinished) {
      EXPECT_GT(n, 5) << "too few changes for a test of this";
      return;
    }
  }
}

TEST(Crash, APullThatDiesLeavesTheOldStoreOrTheNew) {
  const ScopedHome home("crash-pull");
  const fs::path before = scratch_folder() / "before-pull";
  ASSERT_EQ(run_lantern({"list", "--json"}).exit_code, 0);
  fs::copy(home.path(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  bool was_new = false;
  kill_at_every_step(
      {"pull", model_file(), "--name", "mine", "--approve", "test"}, before, home.path(), [&] {
        const Ran list = run_lantern({"list", "--json"});
        ASSERT_EQ(list.exit_code, 0) << list.err;
        const base::Json models = list_of(list);
        ASSERT_LE(models.size(), 1u);
        if (models.size() == 1) {
          was_new = true;
          EXPECT_EQ(run_lantern({"store", "verify"}).exit_code, 0);
          // Known, and approved or not: never anything else.
          const std::string state = models[0].at("state");
          EXPECT_TRUE(state == "quarantined" || state == "scanned" || state == "approved") << state;
          const std::string out = (scratch_folder() / "l.npy").string();
          const Ran use = run_lantern({"logits", "mine", "--tokens", "1", "--out", out});
          EXPECT_EQ(use.exit_code, state == "approved" ? 0 : 4) << use.err;
        } else {
          EXPECT_FALSE(was_new) << "the new state was there at an earlier step";
        }
        EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
      });
  // And the same command, once more, finishes what was left.
  EXPECT_EQ(run_lantern({"pull", model_file(), "--name", "mine", "--approve", "test"}).exit_code,
            0);
  EXPECT_EQ(list_of(run_lantern({"list", "--json"}))[0].at("state"), "approved");
}

TEST(Crash, ARevocationThatDiesIsThereOrNot) {
  const ScopedHome home("crash-revoke");
  const fs::path before = scratch_folder() / "before-revoke";
  ASSERT_EQ(run_lantern({"pull", model_file(), "--name", "mine", "--approve", "t"}).exit_code, 0);
  fs::copy(home.path(), before, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  bool was_revoked = false;
  kill_at_every_step({"revoke", "mine", "--reason", "test"}, before, home.path(), [&] {
    const Ran list = run_lantern({"list", "--json"});
    ASSERT_EQ(list.exit_code, 0) << list.err;
    const std::string state = list_of(list)[0].at("state");
    EXPECT_TRUE(state == "approved" || state == "revoked") << state;
    EXPECT_TRUE(state == "revoked" || !was_revoked);
    was_revoked = was_revoked || state == "revoked";
    EXPECT_EQ(run_lantern({"audit", "verify"}).exit_code, 0);
  });
  EXPECT_TRUE(was_revoked);
}

}  // namespace
}  // namespace lantern::tests
#endif
