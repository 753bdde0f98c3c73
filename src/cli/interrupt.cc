#include "cli/interrupt.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <thread>

namespace lantern::cli {
namespace {

// A signal handler may only write to a pipe; a thread of its own reads it and
// stops the current scope.
std::array<int, 2> g_pipe{-1, -1};

struct Scope {
  std::mutex mutex;
  std::stop_source source;
  SecondInterrupt second = SecondInterrupt::kEndsProgram;
  bool watched = false;  // somebody holds a token; until then an interrupt ends the program
};

Scope& scope() {
  static Scope instance;
  return instance;
}

void on_interrupt(int) {
  char byte = 1;
  [[maybe_unused]] ssize_t n = ::write(g_pipe[1], &byte, 1);
}

void watch() {
  char byte;
  while (::read(g_pipe[0], &byte, 1) == 1) {
    std::lock_guard lock(scope().mutex);
    const bool first = scope().source.request_stop();
    if (!scope().watched || (!first && scope().second == SecondInterrupt::kEndsProgram))
      ::_exit(130);
  }
}

}  // namespace

void install_interrupt_handler() {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
  if (::pipe2(g_pipe.data(), O_CLOEXEC) != 0) return;
  try {
    std::thread(watch).detach();
  } catch (const std::system_error&) {
    return;  // nobody would take note of the signals: they end the program at once, as ever
  }
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

namespace {

int g_hangup = -1;  // an eventfd

void on_hangup(int) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(g_hangup, &one, sizeof one);
}

}  // namespace

int hangup_fd() {
  if (g_hangup >= 0) return g_hangup;
  g_hangup = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = on_hangup;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGHUP, &action, nullptr);
  return g_hangup;
}

bool take_hangup() {
  uint64_t count = 0;
  return ::read(hangup_fd(), &count, sizeof count) == static_cast<ssize_t>(sizeof count);
}

std::stop_token new_interruptible_scope(SecondInterrupt second) {
  std::lock_guard lock(scope().mutex);
  scope().second = second;
  scope().watched = true;
  scope().source = std::stop_source();
  return scope().source.get_token();
}

bool interrupted() {
  std::lock_guard lock(scope().mutex);
  return scope().source.stop_requested();
}

}  // namespace lantern::cli
