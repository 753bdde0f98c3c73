#include "base/confined_child.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <optional>

#include "base/file.h"

namespace lantern::base {
namespace {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return errno_error(errno, "pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class SpawnActions {
 public:
  SpawnActions() { posix_spawn_file_actions_init(&actions_); }
  ~SpawnActions() { posix_spawn_file_actions_destroy(&actions_); }
  SpawnActions(const SpawnActions&) = delete;
  SpawnActions& operator=(const SpawnActions&) = delete;
  posix_spawn_file_actions_t* get() { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

constexpr int kAboveFiles = kChildFirstFd + static_cast<int>(kChildFilesMax) + 1;

/// Copies of the files' descriptors above all numbers that the child is given, so that putting one
/// in its place closes none of the others.
Result<std::vector<UniqueFd>> lift(const std::vector<int>& files) {
  std::vector<UniqueFd> lifted;
  for (const int file : files) {
    const int fd = fcntl(file, F_DUPFD_CLOEXEC, kAboveFiles);
    if (fd < 0) return errno_error(errno, "a file for the confined reader");
    lifted.emplace_back(fd);
  }
  return lifted;
}

Result<pid_t> start(const ChildRun& run, int input, int output) {
  LANTERN_ASSIGN(const std::vector<UniqueFd> lifted, lift(run.files));
  const UniqueFd in(fcntl(input, F_DUPFD_CLOEXEC, kAboveFiles)),
      out(fcntl(output, F_DUPFD_CLOEXEC, kAboveFiles));
  if (in.get() < 0 || out.get() < 0) return errno_error(errno, "the confined reader's pipes");
  SpawnActions actions;
  posix_spawn_file_actions_adddup2(actions.get(), in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(actions.get(), out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(actions.get(), STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  for (size_t i = 0; i < lifted.size(); ++i)
    posix_spawn_file_actions_adddup2(actions.get(), lifted[i].get(),
                                     kChildFirstFd + static_cast<int>(i));
  std::string name = "lantern-scan", argument = run.argument, program = run.program.string();
  char* const argv[] = {name.data(), argument.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), actions.get(), nullptr, argv, environment);
  if (failed != 0) return errno_error(failed, "the confined reader's process");
  return pid;
}

/// Everything the child writes until it closes its output; nothing past the deadline or the limit.
std::optional<std::string> read_all(int fd, std::chrono::steady_clock::time_point deadline,
                                    size_t bytes_max) {
  std::string text, buffer(64u << 10, '\0');
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - std::chrono::steady_clock::now())
                          .count();
    if (left <= 0 || text.size() > bytes_max) return std::nullopt;
    pollfd waiting{.fd = fd, .events = POLLIN, .revents = 0};
    const int ready = poll(&waiting, 1, static_cast<int>(std::min<int64_t>(left, 1000)));
    if (ready < 0 && errno != EINTR) return std::nullopt;
    if (ready <= 0) continue;
    const ssize_t n = read(fd, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return std::nullopt;
    if (n == 0) return text;
    text.append(buffer, 0, static_cast<size_t>(n));
  }
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// Blocks SIGPIPE for this thread while the manifest is written: a child that died reads nothing.
class NoBrokenPipe {
 public:
  NoBrokenPipe() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set_, &before_);
  }
  ~NoBrokenPipe() {
    const timespec none{};
    while (sigtimedwait(&set_, nullptr, &none) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoBrokenPipe(const NoBrokenPipe&) = delete;
  NoBrokenPipe& operator=(const NoBrokenPipe&) = delete;

 private:
  sigset_t set_{}, before_{};
};

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
    return "the confined reader tried what its sandbox forbids and was ended: the file may have "
           "taken it over";
  if (WIFSIGNALED(status))
    return fmt::format("the confined reader died of signal {}", WTERMSIG(status));
  return fmt::format("the confined reader ended with status {} and no report", WEXITSTATUS(status));
}

}  // namespace

Result<ChildOutput> run_confined_child(const ChildRun& run) {
  if (run.files.size() > kChildFilesMax)
    return make_error(ErrorCode::kInvalidArgument, "{} files for one confined reader, at most {}",
                      run.files.size(), kChildFilesMax);
  LANTERN_ASSIGN(Pipe input, make_pipe());
  LANTERN_ASSIGN(Pipe output, make_pipe());
  LANTERN_ASSIGN(const pid_t pid, start(run, input.read.get(), output.write.get()));
  input.read = UniqueFd();
  output.write = UniqueFd();
  // The child ends itself at its own limit; the parent waits a little longer.
  const auto deadline = std::chrono::steady_clock::now() + run.time_max + std::chrono::seconds(10);
  {
    const NoBrokenPipe guard;
    write_all(input.write.get(), run.input);
  }
  input.write = UniqueFd();
  std::optional<std::string> text = read_all(output.read.get(), deadline, run.output_bytes_max);
  if (!text) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  ChildOutput result;
  if (!text)
    result.fault = "the confined reader took too long or wrote too much: ended";
  else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    result.fault = how_it_ended(status);
  else
    result.text = std::move(*text);
  return result;
}

std::string read_child_input(size_t bytes_max) {
  std::string text, buffer(64u << 10, '\0');
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || text.size() > bytes_max) return text;
    text.append(buffer, 0, static_cast<size_t>(n));
  }
}

bool write_child_output(std::string_view text) { return write_all(STDOUT_FILENO, text); }

}  // namespace lantern::base
