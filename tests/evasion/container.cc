// Runs a program as a container engine does, without one: in namespaces of its own, with another
// root. For tests of the sensor.
//
//   container WAYS ROOT PROGRAM [ARGUMENT...]
//
// WAYS is a list of: user (root inside, nobody outside), net (a network with a loopback device
// alone), chroot or pivot (the root folder). Mounts and process numbers are its own in any case.
// Exits with 77 where this machine does not allow it. It ends with its program.
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

constexpr int kNotAllowed = 77;

void must(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "container: %s: %s\n", what, std::strerror(errno));
  std::_Exit(kNotAllowed);
}

void write_map(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  must(fd >= 0 && ::write(fd, text, std::strlen(text)) > 0, path);
  ::close(fd);
}

/// Another process maps the accounts: whoever enters a user namespace may map itself alone.
void enter_user_namespace() {
  int ready[2], mapped[2];
  must(::pipe2(ready, O_CLOEXEC) == 0 && ::pipe2(mapped, O_CLOEXEC) == 0, "pipe");
  const pid_t entering = ::getpid();
  char byte = 0;
  const pid_t mapper = ::fork();
  if (mapper == 0) {
    if (::read(ready[0], &byte, 1) != 1) std::_Exit(1);
    char path[64];
    std::snprintf(path, sizeof path, "/proc/%d/uid_map", entering);
    write_map(path, "0 65534 1");
    std::snprintf(path, sizeof path, "/proc/%d/gid_map", entering);
    write_map(path, "0 65534 1");
    std::_Exit(0);
  }
  must(::unshare(CLONE_NEWUSER) == 0, "user namespace");
  must(::write(ready[1], "x", 1) == 1, "pipe");
  int status = 0;
  ::waitpid(mapper, &status, 0);
  must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "uid_map");
  must(::setgid(0) == 0 && ::setuid(0) == 0, "setuid");
}

void raise_loopback() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  must(::ioctl(fd, SIOCSIFFLAGS, &request) == 0, "loopback");
  ::close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) return 2;
  const auto way = [&](const char* name) { return std::strstr(argv[1], name) != nullptr; };
  const char* root = argv[2];
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (way("user")) enter_user_namespace();
  must(::unshare(CLONE_NEWNS | CLONE_NEWPID | (way("net") ? CLONE_NEWNET : 0)) == 0, "unshare");
  if (way("net")) raise_loopback();
  must(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  if (way("pivot")) {
    must(::mount(root, root, nullptr, MS_BIND | MS_REC, nullptr) == 0, "bind");
    must(::chdir(root) == 0 && ::syscall(SYS_pivot_root, ".", ".") == 0, "pivot_root");
    must(::umount2(".", MNT_DETACH) == 0, "umount");
  } else if (way("chroot")) {
    must(::chroot(root) == 0, "chroot");
  }
  must(::chdir("/") == 0, "chdir");
  // The first process of the new numbers is a child.
  const pid_t child = ::fork();
  must(child >= 0, "fork");
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execv(argv[3], argv + 3);
    must(false, argv[3]);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
