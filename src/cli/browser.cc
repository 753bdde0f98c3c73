#include "cli/browser.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <thread>

namespace lantern::cli {
namespace {

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

}  // namespace

Status open_in_browser(const std::string& url) {
  if (!is_set("DISPLAY") && !is_set("WAYLAND_DISPLAY"))
    return make_error(ErrorCode::kUnsupported, "there is no desktop here: open {} in a browser",
                      url);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  // A session of its own: Ctrl-C here does not end the browser.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::string program = "xdg-open", address = url;
  std::array<char*, 3> argv{program.data(), address.data(), nullptr};
  pid_t child = -1;
  const int failed =
      ::posix_spawnp(&child, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0)
    return make_error(ErrorCode::kUnsupported,
                      "xdg-open is not here (package xdg-utils): open {} in a browser", url);
  // It may last as long as the browser does.
  std::thread([child] { ::waitpid(child, nullptr, 0); }).detach();
  return {};
}

}  // namespace lantern::cli
