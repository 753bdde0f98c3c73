#include "sensor/procfs_host.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <pwd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <thread>

#include "sensor/procfs_text.h"

namespace lantern::sensor {
namespace {

using base::UniqueFd;

constexpr uint64_t kSmallTextBytesMax = 64u << 10;
constexpr uint64_t kCommandLineBytesMax = 256u << 10;
constexpr uint64_t kMapsBytesMax =
    32u << 20;  // some 300,000 mappings; the kernel's usual limit is 65,530
constexpr uint64_t kMemoryHeadBytesMax = 32u << 20;  // a header with the largest vocabulary known
constexpr size_t kDescriptorsMax = 65'536;
constexpr size_t kEntriesMax = 100'000;
constexpr size_t kNetworksMax = 4096;  // namespaces

Error gone_or_denied(int error, const std::string& what) {
  // A process that ends under the reader's hands gives ESRCH.
  return base::errno_error(error == ESRCH ? ENOENT : error, what);
}

/// Files of /proc have no size: read until nothing more comes, or `bytes_max`.
Result<std::string> read_proc(const std::string& path, uint64_t bytes_max) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return gone_or_denied(errno, path);
  std::string text;
  for (;;) {
    const size_t had = text.size();
    text.resize(had == 0 ? 4096 : std::min<size_t>(2 * had, had + (1u << 20)));
    const ssize_t n = ::read(fd.get(), text.data() + had, text.size() - had);
    if (n < 0 && errno != EINTR) return gone_or_denied(errno, path);
    text.resize(had + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (n == 0 || text.size() >= bytes_max) return text;
  }
}

Result<std::string> read_link(const std::string& path) {
  std::string target(4096, '\0');
  const ssize_t n = ::readlink(path.c_str(), target.data(), target.size());
  if (n < 0) return gone_or_denied(errno, path);
  target.resize(static_cast<size_t>(n));
  return target;
}

std::optional<int> process_number(std::string_view name) {
  int pid = 0;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), pid);
  if (code != std::errc() || end != name.data() + name.size() || pid <= 0) return std::nullopt;
  return pid;
}

FileId id_of(const struct stat& info) {
  return {.device = (uint64_t{major(info.st_dev)} << 32) | minor(info.st_dev),
          .inode = info.st_ino};
}

/// The path of a program as it was before it was deleted.
std::string living(std::string path) {
  constexpr std::string_view kDeleted = " (deleted)";
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path;
}

struct DirectoryClose {
  void operator()(DIR* directory) const { ::closedir(directory); }
};
using Directory = std::unique_ptr<DIR, DirectoryClose>;

Result<Directory> open_directory(const std::string& path) {
  Directory directory(::opendir(path.c_str()));
  if (!directory) return gone_or_denied(errno, path);
  return directory;
}

/// What this thread has computed.
std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

/// Opens a regular file without waiting for whoever holds the other end of a pipe.
Result<OpenedFile> open_regular(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (fd.get() < 0) return gone_or_denied(errno, path);
  struct stat info;
  if (::fstat(fd.get(), &info) != 0) return gone_or_denied(errno, path);
  if (!S_ISREG(info.st_mode))
    return make_error(ErrorCode::kInvalidArgument, "{}: no regular file", path);
  LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(fd.get(), path));
  return OpenedFile{
      .fd = std::move(fd), .stamp = stamp, .size = stamp.size, .have = stamp.size, .how = path};
}

Result<FileId> id_of_fd(int fd) {
  struct stat info;
  if (::fstat(fd, &info) != 0) return base::errno_error(errno, "fstat");
  return id_of(info);
}

/// What the kernel knows already of an open file: a file server that is gone must not stop the
/// sweep. Whether it is a graphics or accelerator device, whatever its node is called.
bool look_at(int folder, const char* name, OpenDescriptor& descriptor) {
  constexpr uint32_t kDrmMajor = 226, kAccelMajor = 261;  // Documentation/admin-guide/devices.txt
  struct statx info {};
  if (::statx(folder, name, AT_STATX_DONT_SYNC, STATX_TYPE | STATX_INO | STATX_SIZE, &info) != 0)
    return false;
  if (S_ISREG(info.stx_mode)) {
    descriptor.regular = true;
    descriptor.id = {.device = (uint64_t{info.stx_dev_major} << 32) | info.stx_dev_minor,
                     .inode = info.stx_ino};
    descriptor.size = info.stx_size;
  }
  return S_ISCHR(info.stx_mode) &&
         (info.stx_rdev_major == kDrmMajor || info.stx_rdev_major == kAccelMajor);
}

class ProcfsHost final : public Host {
 public:
  ProcfsHost(int64_t booted_at_s, std::vector<std::string> blind, ProcfsOptions options)
      : options_(std::move(options)),
        booted_at_s_(booted_at_s),
        ticks_per_s_(std::max<long>(::sysconf(_SC_CLK_TCK), 1)),
        page_bytes_(static_cast<uint64_t>(std::max<long>(::sysconf(_SC_PAGESIZE), 1))),
        blind_(std::move(blind)) {
    struct stat program {};
    if (::stat("/proc/self/exe", &program) != 0) return;
    own_program_ = id_of(program);
    own_program_owner_ = program.st_uid;
    if (auto path = read_link("/proc/self/exe"); path.ok()) own_program_path_ = living(*path);
    if (struct stat mounts{}; ::stat("/proc/self/ns/mnt", &mounts) == 0)
      own_mounts_ = id_of(mounts);
  }

  [[nodiscard]] std::vector<std::string> blind_spots() const override { return blind_; }
  [[nodiscard]] int64_t now_s() const override { return ::time(nullptr); }
  [[nodiscard]] std::string boot_id() const override {
    auto text = read_proc("/proc/sys/kernel/random/boot_id", kSmallTextBytesMax);
    return text.ok() ? text->substr(0, text->find('\n')) : "";
  }

  Result<std::vector<Process>> processes() override;
  Result<Process> process(int pid) override;
  Result<std::vector<Pulse>> pulses() override;
  Result<Pulse> pulse(int pid) override;
  Result<std::unique_ptr<ProcessEvents>> process_events() override { return open_proc_connector(); }
  Result<std::string> executable(int pid) override { return read_link(of(pid, "exe")); }
  Result<std::vector<MappedFile>> mapped_files(int pid) override;
  Result<std::vector<OpenDescriptor>> descriptors(int pid) override;
  Result<IoCounters> io(int pid) override;
  Result<Surroundings> surroundings(int pid) override;
  Result<std::vector<Listener>> listeners() override;

  Result<OpenedFile> ask(uint16_t port, std::string_view path) override;
  Result<OpenedFile> open_mapped(int pid, const MappedFile& file) override;
  Result<OpenedFile> open_descriptor(int pid, const OpenDescriptor& descriptor) override;

  Result<std::vector<Home>> homes() override;
  Result<std::vector<DirectoryEntry>> list(const std::string& folder) override;
  Result<OpenedFile> open_file(const std::string& path) override { return open_regular(path); }

 private:
  static std::string of(int pid, std::string_view file) {
    return fmt::format("/proc/{}/{}", pid, file);
  }
  [[nodiscard]] bool is_own_program(int pid) const;
  [[nodiscard]] std::optional<Process> read_process(int pid) const;
  [[nodiscard]] std::optional<Pulse> read_pulse(int pid) const;
  static Result<std::vector<DirectoryEntry>> list_now(const std::string& folder);
  static Result<OpenedFile> open_through_memory(int pid, const MappedFile& file);

  ProcfsOptions options_;
  int64_t booted_at_s_;
  long ticks_per_s_;
  uint64_t page_bytes_;
  std::vector<std::string> blind_;
  FileId own_program_, own_mounts_;
  uid_t own_program_owner_ = 0;
  std::string own_program_path_;
};

/// The very file, or one that lay or lies in its place and is of the same owner: before an upgrade
/// and after it.
bool ProcfsHost::is_own_program(int pid) const {
  struct stat program {
  }, mounts{};
  if (own_program_.inode == 0 || ::stat(of(pid, "exe").c_str(), &program) != 0) return false;
  if (id_of(program) == own_program_) return true;
  if (program.st_uid != own_program_owner_ || own_program_path_.empty()) return false;
  const auto path = read_link(of(pid, "exe"));
  return path.ok() && living(*path) == own_program_path_ &&
         ::stat(of(pid, "ns/mnt").c_str(), &mounts) == 0 && id_of(mounts) == own_mounts_;
}

std::optional<Process> ProcfsHost::read_process(int pid) const {
  const auto stat_text = read_proc(of(pid, "stat"), kSmallTextBytesMax);
  if (!stat_text.ok()) return std::nullopt;
  const auto stat = parse_stat(*stat_text);
  if (!stat || stat->kernel_thread) return std::nullopt;
  Process process{.pid = pid,
                  .parent = stat->parent,
                  .start_ticks = stat->start_ticks,
                  .name = stat->name,
                  .own = pid == ::getpid()};
  const auto per_s = static_cast<uint64_t>(ticks_per_s_);
  process.started_at_s = booted_at_s_ + static_cast<int64_t>(stat->start_ticks / per_s);
  process.cpu_s = static_cast<double>(stat->cpu_ticks) / static_cast<double>(ticks_per_s_);
  process.own_program = is_own_program(pid);
  if (const auto text = read_proc(of(pid, "status"), kSmallTextBytesMax); text.ok()) {
    process.uid = static_cast<uint32_t>(status_number(*text, "Uid"));
    process.resident_bytes = status_number(*text, "VmRSS");
    for (const char* of_no_file : {"RssAnon", "RssShmem", "HugetlbPages"})
      process.anonymous_bytes += status_number(*text, of_no_file);
  }
  if (const auto text = read_proc(of(pid, "cmdline"), kCommandLineBytesMax); text.ok())
    process.command = cut_command_line(*text);
  if (const auto text = read_proc(of(pid, "environ"), kCommandLineBytesMax); text.ok())
    process.command.variables = cut_environment(*text);
  if (const auto text = read_proc(of(pid, "cgroup"), kSmallTextBytesMax); text.ok())
    process.cgroup = parse_cgroup(*text);
  return process;
}

Result<std::vector<Process>> ProcfsHost::processes() {
  LANTERN_ASSIGN(const Directory proc, open_directory("/proc"));
  std::vector<Process> processes;
  while (const dirent* entry = ::readdir(proc.get())) {
    const auto pid = process_number(entry->d_name);
    if (!pid) continue;
    if (auto process = read_process(*pid)) processes.push_back(std::move(*process));
  }
  std::sort(processes.begin(), processes.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
  return processes;
}

Result<Process> ProcfsHost::process(int pid) {
  auto process = read_process(pid);
  if (!process) return make_error(ErrorCode::kNotFound, "{}: no such process", pid);
  return std::move(*process);
}

/// Done for every process every few seconds: one file, and no memory of its own.
std::optional<Pulse> ProcfsHost::read_pulse(int pid) const {
  std::array<char, 32> path;
  *fmt::format_to(path.data(), "/proc/{}/stat", pid) = '\0';
  const UniqueFd fd(::open(path.data(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return std::nullopt;
  std::array<char, 2048> text;  // 52 numbers of at most 20 digits, and a name of at most 64 bytes
  const ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n <= 0) return std::nullopt;
  const auto stat = parse_stat(std::string_view(text.data(), static_cast<size_t>(n)));
  if (!stat || stat->kernel_thread) return std::nullopt;
  return Pulse{.pid = pid,
               .start_ticks = stat->start_ticks,
               .image = stat->image,
               .resident_bytes = stat->resident_pages * page_bytes_,
               .mapped_bytes = stat->mapped_bytes};
}

Result<std::vector<Pulse>> ProcfsHost::pulses() {
  LANTERN_ASSIGN(const Directory proc, open_directory("/proc"));
  std::vector<Pulse> pulses;
  while (const dirent* entry = ::readdir(proc.get())) {
    const auto pid = process_number(entry->d_name);
    if (!pid) continue;
    if (const auto one = read_pulse(*pid)) pulses.push_back(*one);
  }
  std::sort(pulses.begin(), pulses.end(),
            [](const Pulse& a, const Pulse& b) { return a.pid < b.pid; });
  return pulses;
}

Result<Pulse> ProcfsHost::pulse(int pid) {
  const auto one = read_pulse(pid);
  if (!one) return make_error(ErrorCode::kNotFound, "{}: no such process", pid);
  return *one;
}

Result<std::vector<MappedFile>> ProcfsHost::mapped_files(int pid) {
  const std::string path = of(pid, "maps");
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return gone_or_denied(errno, path);
  MapsSummary summary;
  std::array<char, 16u << 10> buffer;  // the kernel gives a page at a time
  for (uint64_t had = 0; had < kMapsBytesMax;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return gone_or_denied(errno, path);
    if (n == 0) break;
    summary.feed(std::string_view(buffer.data(), static_cast<size_t>(n)));
    had += static_cast<uint64_t>(n);
  }
  return summary.finish();
}

Result<std::vector<OpenDescriptor>> ProcfsHost::descriptors(int pid) {
  const std::string folder = of(pid, "fd");
  LANTERN_ASSIGN(const Directory directory, open_directory(folder));
  std::vector<OpenDescriptor> descriptors;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    int fd = -1;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), fd);
    if (code != std::errc() || end != name.data() + name.size()) continue;
    if (descriptors.size() == kDescriptorsMax) break;
    auto target = read_link(folder + "/" + entry->d_name);
    if (!target.ok()) continue;
    OpenDescriptor descriptor{.fd = fd, .path = std::move(*target)};
    constexpr std::string_view kDeleted = " (deleted)";
    descriptor.deleted = descriptor.path.ends_with(kDeleted);
    if (descriptor.deleted) descriptor.path.resize(descriptor.path.size() - kDeleted.size());
    if (descriptor.path.starts_with('/')) {
      if (look_at(::dirfd(directory.get()), entry->d_name, descriptor))
        if (const auto text = read_proc(of(pid, fmt::format("fdinfo/{}", fd)), kSmallTextBytesMax);
            text.ok())
          descriptor.drm = parse_drm_fdinfo(*text);
    }
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

Result<IoCounters> ProcfsHost::io(int pid) {
  LANTERN_ASSIGN(const std::string text, read_proc(of(pid, "io"), kSmallTextBytesMax));
  return IoCounters{.read_chars = status_number(text, "rchar"),
                    .read_bytes = status_number(text, "read_bytes")};
}

Result<Surroundings> ProcfsHost::surroundings(int pid) {
  Surroundings around;
  for (const char* kind : {"mnt", "net", "pid", "user"}) {
    const std::string name = fmt::format("ns/{}", kind);
    LANTERN_ASSIGN(const std::string theirs, read_link(of(pid, name)));
    LANTERN_ASSIGN(const std::string ours, read_link("/proc/self/" + name));
    if (theirs != ours) around.namespaces.emplace_back(kind);
  }
  if (around.namespaces.empty() || around.namespaces.back() != "user") return around;
  const UniqueFd space(::open(of(pid, "ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  uid_t owner = 0;
  if (space.get() >= 0 && ::ioctl(space.get(), NS_GET_OWNER_UID, &owner) == 0) around.owner = owner;
  return around;
}

Result<std::vector<Listener>> ProcfsHost::listeners() {
  // Each network namespace has tables of its own, which any process in it shows.
  std::map<std::string, std::string> folders;
  const auto own = read_link("/proc/self/ns/net");
  if (own.ok()) folders[*own] = "/proc/self/net";
  LANTERN_ASSIGN(const Directory proc, open_directory("/proc"));
  while (const dirent* entry = ::readdir(proc.get())) {
    const auto pid = process_number(entry->d_name);
    if (!pid || folders.size() == kNetworksMax) continue;
    if (const auto network = read_link(of(*pid, "ns/net")); network.ok())
      folders.try_emplace(*network, of(*pid, "net"));
  }
  if (folders.empty()) folders[""] = "/proc/self/net";
  std::vector<Listener> all;
  for (const auto& [network, folder] : folders)
    for (const char* table : {"/tcp", "/tcp6"}) {
      const auto text = read_proc(folder + table, kMapsBytesMax);
      if (!text.ok()) continue;  // a kernel without IPv6, a process that ended
      std::vector<Listener> some = parse_tcp(*text);
      for (Listener& one : some) one.own_network = !own.ok() || network == *own;
      all.insert(all.end(), some.begin(), some.end());
    }
  return all;
}

Result<OpenedFile> ProcfsHost::ask(uint16_t port, std::string_view path) {
  LANTERN_ASSIGN(const std::string body, ask_loopback(port, path));
  UniqueFd copy(::memfd_create("answer", MFD_CLOEXEC));
  if (copy.get() < 0 ||
      ::write(copy.get(), body.data(), body.size()) != static_cast<ssize_t>(body.size()))
    return base::errno_error(errno, "memfd");
  return OpenedFile{.fd = std::move(copy),
                    .size = body.size(),
                    .have = body.size(),
                    .how = fmt::format("http://127.0.0.1:{}{}", port, path)};
}

Result<OpenedFile> ProcfsHost::open_through_memory(int pid, const MappedFile& file) {
  const std::string what = fmt::format("/proc/{}/mem at {:x}", pid, file.begin);
  if (file.offset != 0)
    return make_error(ErrorCode::kNotFound, "{}: the file's front is not mapped", what);
  const UniqueFd memory(::open(of(pid, "mem").c_str(), O_RDONLY | O_CLOEXEC));
  if (memory.get() < 0) return gone_or_denied(errno, what);
  UniqueFd copy(::memfd_create("header", MFD_CLOEXEC));
  if (copy.get() < 0) return base::errno_error(errno, "memfd");
  std::vector<char> buffer(256u << 10);
  const uint64_t most = std::min(file.end - file.begin, kMemoryHeadBytesMax);
  uint64_t have = 0;
  while (have < most) {
    const ssize_t n =
        ::pread(memory.get(), buffer.data(), std::min<uint64_t>(buffer.size(), most - have),
                static_cast<off_t>(file.begin + have));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || ::write(copy.get(), buffer.data(), static_cast<size_t>(n)) != n) break;
    have += static_cast<uint64_t>(n);
  }
  if (have == 0) return gone_or_denied(errno, what);
  return OpenedFile{
      .fd = std::move(copy), .size = std::max(file.bytes, have), .have = have, .how = what};
}

Result<OpenedFile> ProcfsHost::open_mapped(int pid, const MappedFile& file) {
  auto opened =
      open_regular(fmt::format("/proc/{}/map_files/{:x}-{:x}", pid, file.begin, file.end));
  if (opened.ok()) return opened;
  if (!file.deleted) {
    opened = open_regular(of(pid, "root") + file.path);
    if (opened.ok()) {
      const auto id = id_of_fd(opened->fd.get());
      // File systems of several devices (btrfs, overlayfs) name another device in maps than in
      // stat: there the inode's number alone is compared.
      if (id.ok() && id->inode == file.id.inode) return opened;
    }
  }
  return open_through_memory(pid, file);
}

Result<OpenedFile> ProcfsHost::open_descriptor(int pid, const OpenDescriptor& descriptor) {
  LANTERN_ASSIGN(OpenedFile opened,
                 open_regular(fmt::format("/proc/{}/fd/{}", pid, descriptor.fd)));
  LANTERN_ASSIGN(const FileId id, id_of_fd(opened.fd.get()));
  if (id != descriptor.id)
    return make_error(ErrorCode::kNotFound, "{}: another file by now", opened.how);
  return opened;
}

Result<std::vector<Home>> ProcfsHost::homes() {
  std::vector<Home> homes;
  std::set<std::string> seen;
  const auto add = [&](uint32_t uid, std::string path) {
    struct stat info;
    if (path.size() > 1 && ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) &&
        seen.insert(path).second)
      homes.push_back({.uid = uid, .path = std::move(path)});
  };
  // getpwent() keeps one place for the whole process: this is the one caller.
  ::setpwent();
  while (const passwd* account = ::getpwent()) add(account->pw_uid, account->pw_dir);  // NOLINT
  ::endpwent();
  if (const char* own = ::getenv("HOME")) add(::getuid(), own);  // NOLINT(concurrency-mt-unsafe)
  return homes;
}

/// Sleeps so long that what was computed since `before` is a hundredth of the time.
void keep_pace(std::chrono::nanoseconds before) {
  std::this_thread::sleep_for(
      std::min<std::chrono::nanoseconds>(99 * (thread_time() - before), std::chrono::seconds(1)));
}

Result<std::vector<DirectoryEntry>> ProcfsHost::list(const std::string& folder) {
  if (!options_.paced) return list_now(folder);
  if (options_.stop.stop_requested())
    return make_error(ErrorCode::kCancelled, "{}: not listed any more", folder);
  const auto before = thread_time();
  auto entries = list_now(folder);
  keep_pace(before);
  return entries;
}

Result<std::vector<DirectoryEntry>> ProcfsHost::list_now(const std::string& folder) {
  LANTERN_ASSIGN(const Directory directory, open_directory(folder));
  std::vector<DirectoryEntry> entries;
  while (const dirent* entry = ::readdir(directory.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (entries.size() == kEntriesMax)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} entries", folder, kEntriesMax);
    struct stat info;
    if (::fstatat(::dirfd(directory.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    entries.push_back({.name = std::string(name),
                       .folder = S_ISDIR(info.st_mode),
                       .regular = S_ISREG(info.st_mode),
                       .size = static_cast<uint64_t>(info.st_size),
                       .id = id_of(info)});
    if (S_ISLNK(info.st_mode))
      if (auto target = read_link(folder + "/" + entry->d_name); target.ok())
        entries.back().link = std::move(*target);
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

/// What is missing of what the deep look needs.
std::vector<std::string> find_blind_spots() {
  const auto status = read_proc("/proc/self/status", kSmallTextBytesMax);
  uint64_t effective = 0;
  if (status.ok()) {
    const size_t at = status->find("CapEff:\t");
    if (at != std::string::npos)
      std::from_chars(status->data() + at + 8, status->data() + std::min(at + 24, status->size()),
                      effective, 16);
  }
  const auto has = [&](int capability) { return ((effective >> capability) & 1) != 0; };
  std::vector<std::string> blind;
  if (!has(CAP_SYS_PTRACE) || !has(CAP_DAC_READ_SEARCH))
    blind.emplace_back(
        "what other accounts' processes have mapped and opened (root, or CAP_SYS_PTRACE and "
        "CAP_DAC_READ_SEARCH, sees it); of those, names and ports alone are judged");
  if (!has(CAP_CHECKPOINT_RESTORE) && !has(CAP_SYS_ADMIN))
    blind.emplace_back(
        "the whole of files that were deleted while a process has them mapped (root, or "
        "CAP_CHECKPOINT_RESTORE, sees them); their headers are read through the mapping");
  return blind;
}

}  // namespace

Result<std::unique_ptr<Host>> open_procfs_host(ProcfsOptions options) {
  const auto text = read_proc("/proc/stat", 16u << 20);
  if (!text.ok())
    return make_error(ErrorCode::kUnsupported,
                      "/proc cannot be read: the sensor sees nothing of this machine");
  const size_t at = text->find("\nbtime ");
  int64_t booted = 0;
  if (at != std::string::npos)
    std::from_chars(text->data() + at + 7, text->data() + text->size(), booted);
  return std::unique_ptr<Host>(
      std::make_unique<ProcfsHost>(booted, find_blind_spots(), std::move(options)));
}

}  // namespace lantern::sensor
