#include "supply/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "base/file.h"

namespace lantern::supply {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr size_t kTailBytes = 64u << 10;
constexpr milliseconds kTick{100};
constexpr milliseconds kGrace{2000};  // between asking a child to end and making it

struct SpawnSettings {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnSettings() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

std::vector<std::string> merged_environment(const ProcessOptions& options) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry; ++entry) {
    std::string_view text(*entry);
    bool replaced = false;
    for (const auto& [name, value] : options.environment)
      replaced = replaced || (text.starts_with(name) && text.substr(name.size()).starts_with('='));
    if (!replaced) merged.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (auto& text : texts) list.push_back(text.data());
  list.push_back(nullptr);
  return list;
}

Result<pid_t> spawn(const ProcessOptions& options, int output_fd) {
  SpawnSettings settings;
  ::posix_spawn_file_actions_addopen(&settings.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&settings.actions, output_fd, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&settings.actions, output_fd, STDERR_FILENO);
  if (!options.folder.empty())
    ::posix_spawn_file_actions_addchdir_np(&settings.actions, options.folder.c_str());
  // A group of its own: Ctrl-C reaches this process alone, which then ends the whole group.
  ::posix_spawnattr_setpgroup(&settings.attributes, 0);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&settings.attributes, &none);
  ::posix_spawnattr_setflags(&settings.attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);

  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = merged_environment(options);
  std::vector<char*> argv = pointers(arguments), envp = pointers(environment);
  pid_t pid = -1;
  int code = ::posix_spawnp(&pid, argv[0], &settings.actions, &settings.attributes, argv.data(),
                            envp.data());
  if (code != 0) return base::errno_error(code, options.arguments.front());
  return pid;
}

void read_available(int fd, std::string& tail) {
  char buffer[16384];
  for (;;) {
    ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    tail.append(buffer, static_cast<size_t>(n));
    if (tail.size() > kTailBytes) tail.erase(0, tail.size() - kTailBytes);
  }
}

/// Ends the group: asks first, so that the program can clean up after itself.
void end_group(pid_t pid) {
  ::kill(-pid, SIGTERM);
  auto patience = Clock::now() + kGrace;
  while (Clock::now() < patience) {
    if (::waitpid(pid, nullptr, WNOHANG) == pid) {
      ::kill(-pid, SIGKILL);  // children that outlived it
      return;
    }
    std::this_thread::sleep_for(milliseconds(20));
  }
  ::kill(-pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

Result<ProcessResult> run_process(const ProcessOptions& options) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return base::errno_error(errno, "pipe");
  base::UniqueFd reading(ends[0]), writing(ends[1]);
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  LANTERN_ASSIGN(pid_t pid, spawn(options, writing.get()));
  writing = base::UniqueFd();

  ProcessResult result;
  int status = 0;
  bool output_open = true;
  auto ticked = Clock::now();
  for (;;) {
    pollfd waiting{.fd = output_open ? reading.get() : -1, .events = POLLIN, .revents = 0};
    ::poll(&waiting, 1, static_cast<int>(output_open ? kTick.count() : kTick.count() / 5));
    if (waiting.revents & POLLIN) read_available(reading.get(), result.output_tail);
    if ((waiting.revents & POLLHUP) && !(waiting.revents & POLLIN)) output_open = false;
    if (options.tick && Clock::now() - ticked >= kTick) {
      ticked = Clock::now();
      options.tick();
    }
    if (options.stop.stop_requested()) {
      end_group(pid);
      return make_error(ErrorCode::kCancelled, "interrupted");
    }
    // Its exit, not the pipe's end: a grandchild may keep the pipe open.
    pid_t ended = ::waitpid(pid, &status, WNOHANG);
    if (ended == pid) break;
    if (ended < 0 && errno != EINTR) return base::errno_error(errno, options.arguments.front());
  }
  read_available(reading.get(), result.output_tail);
  result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace lantern::supply
