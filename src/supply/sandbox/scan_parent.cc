// The parent's side: starts the child, waits within its time, and believes nothing it says that
// can be checked.
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>

#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/scan_child.h"
#include "supply/scan/folder.h"

namespace lantern::supply::sandbox {
namespace {

using base::UniqueFd;
using scan::Report;
using scan::Verdict;

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return base::errno_error(errno, "pipe");
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

/// Copies of the files' descriptors above all numbers that the child is given, so that putting one
/// in its place closes none of the others.
Result<std::vector<UniqueFd>> lift(const std::vector<OpenFile>& files) {
  std::vector<UniqueFd> lifted;
  const int above = kFirstFd + static_cast<int>(kFilesMax) + 1;
  for (const OpenFile& file : files) {
    const int fd = fcntl(file.fd, F_DUPFD_CLOEXEC, above);
    if (fd < 0) return base::errno_error(errno, file.path);
    lifted.emplace_back(fd);
  }
  return lifted;
}

Result<pid_t> start(const std::vector<OpenFile>& files, const ChildOptions& options, int input,
                    int output) {
  LANTERN_ASSIGN(const std::vector<UniqueFd> lifted, lift(files));
  const int above = kFirstFd + static_cast<int>(kFilesMax) + 1;
  const UniqueFd in(fcntl(input, F_DUPFD_CLOEXEC, above)),
      out(fcntl(output, F_DUPFD_CLOEXEC, above));
  if (in.get() < 0 || out.get() < 0) return base::errno_error(errno, "scanner's pipes");
  SpawnActions actions;
  posix_spawn_file_actions_adddup2(actions.get(), in.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(actions.get(), out.get(), STDOUT_FILENO);
  posix_spawn_file_actions_addopen(actions.get(), STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  for (size_t i = 0; i < lifted.size(); ++i)
    posix_spawn_file_actions_adddup2(actions.get(), lifted[i].get(),
                                     kFirstFd + static_cast<int>(i));
  std::string name = "lantern-scan", argument(kChildArgument), program = options.program.string();
  char* const argv[] = {name.data(), argument.data(), nullptr};
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  const int failed = posix_spawn(&pid, program.c_str(), actions.get(), nullptr, argv, environment);
  if (failed != 0) return base::errno_error(failed, "the scanner's process");
  return pid;
}

/// Everything the child writes until it closes its output; nothing past the deadline or the limit.
std::optional<std::string> read_all(int fd, std::chrono::steady_clock::time_point deadline) {
  std::string text, buffer(64u << 10, '\0');
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                          deadline - std::chrono::steady_clock::now())
                          .count();
    if (left <= 0 || text.size() > kReportBytesMax) return std::nullopt;
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

uint64_t size_of(int fd) {
  struct stat info;
  return fstat(fd, &info) == 0 ? static_cast<uint64_t>(info.st_size) : 0;
}

Report inconclusive(const std::vector<OpenFile>& files, std::string message) {
  Report report;
  for (const OpenFile& file : files) {
    report.files.push_back({.path = scan::shown_path(file.path),
                            .size = size_of(file.fd),
                            .formats = {},
                            .verdict = Verdict::kInconclusive});
  }
  report.findings.push_back({.scanner = "sandbox",
                             .rule = "sandbox-no-report",
                             .verdict = Verdict::kInconclusive,
                             .where = {.file = files.empty() ? "" : scan::shown_path(files[0].path),
                                       .nested = {},
                                       .offset = {}},
                             .message = std::move(message)});
  return report;
}

/// The report speaks of the files that were given, of each once, with its size.
bool is_about(const Report& report, const std::vector<OpenFile>& files) {
  if (report.files.size() != files.size()) return false;
  for (size_t i = 0; i < files.size(); ++i)
    if (report.files[i].path != scan::shown_path(files[i].path) ||
        report.files[i].size != size_of(files[i].fd))
      return false;
  return std::all_of(report.findings.begin(), report.findings.end(), [&](const auto& finding) {
    return std::any_of(files.begin(), files.end(), [&](const OpenFile& file) {
      return finding.where.file == scan::shown_path(file.path);
    });
  });
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
    return "the scanner tried what its sandbox forbids and was ended: the file may have taken it "
           "over";
  if (WIFSIGNALED(status)) return fmt::format("the scanner died of signal {}", WTERMSIG(status));
  return fmt::format("the scanner ended with status {} and no report", WEXITSTATUS(status));
}

void merge(Report& into, Report from) {
  std::move(from.files.begin(), from.files.end(), std::back_inserter(into.files));
  std::move(from.findings.begin(), from.findings.end(), std::back_inserter(into.findings));
  into.n_findings_dropped += from.n_findings_dropped;
  into.n_objects += from.n_objects;
}

}  // namespace

Result<Report> scan_in_child(const std::vector<OpenFile>& files, const ChildOptions& options) {
  if (files.size() > kFilesMax)
    return make_error(ErrorCode::kInvalidArgument, "{} files for one scanner, at most {}",
                      files.size(), kFilesMax);
  LANTERN_ASSIGN(Pipe input, make_pipe());
  LANTERN_ASSIGN(Pipe output, make_pipe());
  Manifest manifest{.limits = options.limits,
                    .memory_bytes_max = options.memory_bytes_max,
                    .misbehave = options.misbehave,
                    .paths = {}};
  for (const OpenFile& file : files) manifest.paths.push_back(file.path);
  LANTERN_ASSIGN(const pid_t pid, start(files, options, input.read.get(), output.write.get()));
  input.read = UniqueFd();
  output.write = UniqueFd();
  // The child ends itself at its own limit; the parent waits a little longer.
  const auto deadline =
      std::chrono::steady_clock::now() + options.limits.time_max + std::chrono::seconds(10);
  {
    const NoBrokenPipe guard;
    write_all(input.write.get(), manifest_to_json(manifest));
  }
  input.write = UniqueFd();
  const std::optional<std::string> text = read_all(output.read.get(), deadline);
  if (!text) kill(pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!text) return inconclusive(files, "the scanner took too long or wrote too much: ended");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return inconclusive(files, how_it_ended(status));
  auto report = scan::report_from_json(*text);
  if (!report.ok()) return inconclusive(files, report.error().message);
  if (!is_about(*report, files))
    return inconclusive(files, "the scanner's report speaks of other files than it was given");
  return report;
}

Result<Report> scan_path_confined(const std::filesystem::path& path, const scan::Limits& limits) {
  if (!can_start_scan_child()) return scan::scan_path(path, limits);
  LANTERN_ASSIGN(scan::FolderListing listing, scan::list_files(path, limits));
  Report report;
  for (size_t from = 0; from < listing.files.size(); from += kFilesMax) {
    std::vector<base::ReadFile> opened;
    std::vector<OpenFile> files;
    for (size_t i = from; i < std::min(from + kFilesMax, listing.files.size()); ++i) {
      auto file = base::ReadFile::open(listing.files[i].path);
      if (!file.ok()) {
        listing.findings.push_back(
            {.scanner = "folder",
             .rule = "folder-unreadable",
             .verdict = Verdict::kInconclusive,
             .where = {.file = scan::shown_path(listing.files[i].name), .nested = {}, .offset = {}},
             .message = file.error().message});
        continue;
      }
      opened.push_back(std::move(file).value());
      files.push_back({.fd = opened.back().fd(), .path = listing.files[i].name});
    }
    if (files.empty()) continue;
    LANTERN_ASSIGN(Report part, scan_in_child(files, {.limits = limits}));
    merge(report, std::move(part));
  }
  for (scan::Finding& finding : listing.findings) report.findings.push_back(std::move(finding));
  return report;
}

}  // namespace lantern::supply::sandbox
