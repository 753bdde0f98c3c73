#include "kill.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "base/result.h"

namespace lantern::tests {

namespace fs = std::filesystem;

#if defined(__x86_64__)
namespace {

bool changes_files(unsigned long long call) {
  static const std::set<unsigned long long> calls = {
      SYS_write,    SYS_pwrite64,  SYS_rename,    SYS_renameat, SYS_renameat2, SYS_unlink,
      SYS_unlinkat, SYS_mkdir,     SYS_mkdirat,   SYS_symlink,  SYS_symlinkat, SYS_link,
      SYS_linkat,   SYS_ftruncate, SYS_fdatasync, SYS_fsync,    SYS_chmod,     SYS_fchmod};
  return calls.contains(call);
}

}  // namespace

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

#else
End run_and_kill(const std::vector<std::string>&, int) { return End::kNotAllowed; }
#endif

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

}  // namespace lantern::tests
