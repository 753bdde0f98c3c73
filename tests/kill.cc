#include "kill.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
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

/// At each of the program's system calls, before it is made; true kills the program.
using OnCall = std::function<bool(pid_t thread, const user_regs_struct& registers)>;

[[noreturn]] void be_traced(const std::vector<std::string>& arguments) {
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

struct Traced {
  End end = End::kNotAllowed;
  int exit_code = -1;
};

Traced trace(const std::vector<std::string>& arguments, const OnCall& on_call) {
  const pid_t child = ::fork();
  if (child == 0) be_traced(arguments);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return {};
  constexpr long kOptions = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
  if (::ptrace(PTRACE_SETOPTIONS, child, nullptr, kOptions) != 0) {
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return {};
  }
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
  Traced traced{.end = End::kFinished};
  std::set<pid_t> inside;  // threads within a system call
  for (;;) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    if (thread < 0) return traced;
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (thread != child) continue;
      traced.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      return traced;
    }
    int deliver = 0;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      const bool enters = inside.insert(thread).second;
      if (!enters) inside.erase(thread);
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, thread, nullptr, &registers);
      if (enters && on_call(thread, registers)) {
        ::kill(child, SIGKILL);
        while (::waitpid(-1, &status, __WALL) > 0) {
        }
        return {.end = End::kKilled};
      }
    } else if (status >> 16 == 0 && WSTOPSIG(status) != SIGSTOP) {
      deliver = WSTOPSIG(status);
    }
    ::ptrace(PTRACE_SYSCALL, thread, nullptr, deliver);
  }
}

/// The text at `address` of a traced thread.
std::string text_at(pid_t thread, unsigned long long address) {
  std::string text;
  while (text.size() < 4096) {
    errno = 0;
    const long word = ::ptrace(PTRACE_PEEKDATA, thread, address + text.size(), nullptr);
    if (errno != 0) return text;
    for (size_t i = 0; i < sizeof word; ++i) {
      const char c = static_cast<char>(static_cast<unsigned long>(word) >> (8 * i));
      if (c == 0) return text;
      text += c;
    }
  }
  return text;
}

}  // namespace

End run_and_kill(const std::vector<std::string>& arguments, int n) {
  int changes = 0;
  return trace(arguments,
               [&](pid_t, const user_regs_struct& registers) {
                 return changes_files(registers.orig_rax) && ++changes == n;
               })
      .end;
}

Opened run_and_act_at_opening(const std::vector<std::string>& arguments, const fs::path& file,
                              int n, const std::function<void()>& act) {
  Opened opened;
  const Traced traced = trace(arguments, [&](pid_t thread, const user_regs_struct& registers) {
    unsigned long long name = 0;
    if (registers.orig_rax == SYS_openat || registers.orig_rax == SYS_newfstatat)
      name = registers.rsi;
    if (registers.orig_rax == SYS_open || registers.orig_rax == SYS_stat) name = registers.rdi;
    if (name != 0 && text_at(thread, name) == file.string() && ++opened.n == n) act();
    return false;
  });
  opened.allowed = traced.end != End::kNotAllowed;
  opened.exit_code = traced.exit_code;
  return opened;
}

#else
End run_and_kill(const std::vector<std::string>&, int) { return End::kNotAllowed; }
Opened run_and_act_at_opening(const std::vector<std::string>&, const fs::path&, int,
                              const std::function<void()>&) {
  return {};
}
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
