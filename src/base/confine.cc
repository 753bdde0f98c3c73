#include "base/confine.h"

#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>

#include "base/file.h"
#include "base/hash.h"

namespace lantern::base {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory takes terabytes of addresses
#else
constexpr bool kSanitized = false;
#endif

Status limit(int resource, uint64_t value, const char* name) {
  const rlimit both{.rlim_cur = value, .rlim_max = value};
  if (setrlimit(static_cast<__rlimit_resource>(resource), &both) != 0)
    return errno_error(errno, name);
  return {};
}

/// All rights of version 1 handled, none granted. Kernels without Landlock are confined by seccomp
/// alone, which forbids the same calls.
void forbid_files() {
#ifdef SYS_landlock_create_ruleset
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = (uint64_t{1} << 13) - 1;
  const long fd = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
  if (fd < 0) return;
  syscall(SYS_landlock_restrict_self, fd, 0);
  close(static_cast<int>(fd));
#endif
}

Status drop_capabilities() {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> none{};
  if (syscall(SYS_capset, &header, none.data()) != 0) return errno_error(errno, "capset");
  return {};
}

struct FilterRelease {
  void operator()(void* filter) const { seccomp_release(filter); }
};

Status add_filter(int output_fd) {
  const std::unique_ptr<void, FilterRelease> filter(seccomp_init(SCMP_ACT_KILL_PROCESS));
  if (filter == nullptr) return make_error(ErrorCode::kUnsupported, "no seccomp on this system");
  // What computing over open descriptors needs: reading, memory, time, and ending.
  constexpr auto kAllowed = std::to_array<int>({SCMP_SYS(read),
                                                SCMP_SYS(pread64),
                                                SCMP_SYS(close),
                                                SCMP_SYS(exit),
                                                SCMP_SYS(exit_group),
                                                SCMP_SYS(brk),
                                                SCMP_SYS(munmap),
                                                SCMP_SYS(mremap),
                                                SCMP_SYS(madvise),
                                                SCMP_SYS(clock_gettime),
                                                SCMP_SYS(gettimeofday),
                                                SCMP_SYS(time),
                                                SCMP_SYS(futex),
                                                SCMP_SYS(sched_yield),
                                                SCMP_SYS(getrandom),
                                                SCMP_SYS(sysinfo),
                                                SCMP_SYS(rt_sigreturn),
                                                SCMP_SYS(rt_sigprocmask),
                                                SCMP_SYS(restart_syscall),
                                                SCMP_SYS(getpid),
                                                SCMP_SYS(gettid),
                                                SCMP_SYS(tgkill)});
  int status = 0;
  for (const int call : kAllowed) {
    if (status == 0) status = seccomp_rule_add(filter.get(), SCMP_ACT_ALLOW, call, 0);
  }
  // Memory, but never executable.
  for (const int call : {SCMP_SYS(mmap), SCMP_SYS(mprotect)}) {
    const scmp_arg_cmp no_code{
        .arg = 2, .op = SCMP_CMP_MASKED_EQ, .datum_a = PROT_EXEC, .datum_b = 0};
    if (status == 0)
      status = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, call, 1, &no_code);
  }
  const scmp_arg_cmp is_output{
      .arg = 0, .op = SCMP_CMP_EQ, .datum_a = static_cast<scmp_datum_t>(output_fd), .datum_b = 0};
  if (status == 0)
    status = seccomp_rule_add_array(filter.get(), SCMP_ACT_ALLOW, SCMP_SYS(write), 1, &is_output);
  if (status == 0) status = seccomp_load(filter.get());
  if (status != 0)
    return make_error(ErrorCode::kUnsupported,
                      "the kernel takes no seccomp filter (error {}): files are not scanned "
                      "without one",
                      -status);
  return {};
}

}  // namespace

Status confine(const Confinement& confinement) {
  LANTERN_TRY(limit(RLIMIT_CORE, 0, "core limit"));
  if (confinement.memory_bytes_max > 0 && !kSanitized)
    LANTERN_TRY(limit(RLIMIT_AS, confinement.memory_bytes_max, "memory limit"));
  if (confinement.cpu_s_max > 0)
    LANTERN_TRY(limit(RLIMIT_CPU, confinement.cpu_s_max, "time limit"));
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
    return errno_error(errno, "prctl");
  LANTERN_TRY(drop_capabilities());
  (void)sha256("");  // OpenSSL opens its configuration at first use
  forbid_files();
  return add_filter(confinement.output_fd);
}

}  // namespace lantern::base
