#include "program.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>

namespace lantern::tests {
namespace {

struct Pipe {
  std::array<int, 2> fd{-1, -1};
  Pipe() {
    if (::pipe2(fd.data(), O_CLOEXEC) != 0) std::abort();
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  void close(size_t end) {
    if (fd[end] >= 0) ::close(fd[end]);
    fd[end] = -1;
  }
};

[[noreturn]] void become(const std::vector<std::string>& arguments, const RunOptions& options,
                         Pipe& in, Pipe& out, Pipe& err) {
  ::dup2(in.fd[0], 0);
  ::dup2(out.fd[1], 1);
  ::dup2(err.fd[1], 2);
  for (const auto& [name, value] : options.environment) ::setenv(name.c_str(), value.c_str(), 1);
  constexpr uid_t kNobody = 65534;
  if (options.as_nobody &&
      (::setgroups(0, nullptr) != 0 || ::setgid(kNobody) != 0 || ::setuid(kNobody) != 0))
    ::_exit(126);
  become_lantern(arguments);
}

/// Moves bytes until both outputs are closed or the time is over.
bool exchange(const RunOptions& options, Pipe& in, Pipe& out, Pipe& err, Ran& ran) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(options.timeout_s);
  size_t sent = 0;
  ::fcntl(in.fd[1], F_SETFL, O_NONBLOCK);
  while (out.fd[0] >= 0 || err.fd[0] >= 0) {
    if (in.fd[1] >= 0 && sent == options.input.size()) in.close(1);
    std::array<pollfd, 3> polls = {pollfd{out.fd[0], POLLIN, 0}, pollfd{err.fd[0], POLLIN, 0},
                                   pollfd{in.fd[1], POLLOUT, 0}};
    ::poll(polls.data(), polls.size(), 200);
    if (std::chrono::steady_clock::now() > end) return false;
    std::array<char, 65536> buffer{};
    for (auto [pipe, text, i] : {std::tuple(&out, &ran.out, 0u), std::tuple(&err, &ran.err, 1u)}) {
      if (polls[i].revents == 0 || pipe->fd[0] < 0) continue;
      const ssize_t n = ::read(pipe->fd[0], buffer.data(), buffer.size());
      if (n <= 0)
        pipe->close(0);
      else
        text->append(buffer.data(), static_cast<size_t>(n));
    }
    if (in.fd[1] >= 0 && polls[2].revents != 0) {
      const ssize_t n = ::write(in.fd[1], options.input.data() + sent, options.input.size() - sent);
      if (n > 0)
        sent += static_cast<size_t>(n);
      else
        in.close(1);
    }
  }
  return true;
}

}  // namespace

void become_lantern(const std::vector<std::string>& arguments) {
  const std::string program = std::string(LANTERN_BUILD_DIR) + "/lantern";
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

Ran run_lantern(const std::vector<std::string>& arguments, const RunOptions& options) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe in, out, err;
  const pid_t child = ::fork();
  if (child == 0) become(arguments, options, in, out, err);
  in.close(0);
  out.close(1);
  err.close(1);
  Ran ran;
  if (!exchange(options, in, out, err, ran)) {
    ::kill(child, SIGKILL);
    ran.err += "\n(killed by the test: time over)\n";
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

ScopedHome::ScopedHome(const std::string& name) : path_(scratch_folder() / ("home-" + name)) {
  if (const char* before = std::getenv("LANTERN_HOME")) before_ = before;
  std::filesystem::create_directories(path_);
  ::setenv("LANTERN_HOME", path_.c_str(), 1);
}

ScopedHome::~ScopedHome() {
  if (before_) {
    ::setenv("LANTERN_HOME", before_->c_str(), 1);
  } else {
    ::unsetenv("LANTERN_HOME");
  }
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

Ran run_at_terminal(const std::vector<std::string>& arguments, const std::vector<Answer>& answers) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) become_lantern(arguments);
  Ran ran;
  size_t answered = 0, seen = 0;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  for (;;) {
    pollfd poll{terminal, POLLIN, 0};
    ::poll(&poll, 1, 200);
    if (std::chrono::steady_clock::now() > end) ::kill(child, SIGKILL);
    std::array<char, 4096> buffer{};
    if (poll.revents == 0) continue;
    const ssize_t n = ::read(terminal, buffer.data(), buffer.size());
    if (n <= 0) break;  // the program has gone
    ran.out.append(buffer.data(), static_cast<size_t>(n));
    if (answered == answers.size()) continue;
    const size_t prompt = ran.out.find(answers[answered].prompt, seen);
    if (prompt == std::string::npos) continue;
    seen = ran.out.size();
    const std::string& typed = answers[answered++].typed;
    if (::write(terminal, typed.data(), typed.size()) < 0) break;
  }
  ::close(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

std::string default_model() {
  static const bool here = run_lantern({"show", "smollm2"}).exit_code == 0;
  return here ? "smollm2" : "";
}

std::filesystem::path scratch_folder() {
  struct Folder {
    std::filesystem::path path;
    Folder() {
      std::string pattern =
          (std::filesystem::temp_directory_path() / "lantern-test-XXXXXX").string();
      if (::mkdtemp(pattern.data()) == nullptr) std::abort();
      path = pattern;
    }
    ~Folder() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static Folder folder;
  return folder.path;
}

}  // namespace lantern::tests
