// The child's side.
#include "supply/sandbox/scan_child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "base/json.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/confine.h"

namespace lantern::supply::sandbox {
namespace {

using base::Json;

std::atomic<bool> g_has_child_entry = false;

/// A descriptor whose size was asked before the sandbox closed.
class FdSource final : public format::Source {
 public:
  FdSource(std::string name, int fd, uint64_t size)
      : name_(std::move(name)), fd_(fd), size_(size) {}
  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] uint64_t size() const override { return size_; }
  Status read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (offset > size_ || out.size() > size_ - offset)
      return make_error(ErrorCode::kCorrupt, "{}: {} bytes at {} lie past its end, {}", name_,
                        out.size(), offset, size_);
    while (!out.empty()) {
      const ssize_t n = pread(fd_, out.data(), out.size(), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return base::errno_error(errno, name_);
      if (n == 0) return make_error(ErrorCode::kCorrupt, "{}: ends early", name_);
      out = out.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

 private:
  std::string name_;
  int fd_;
  uint64_t size_;
};

std::string read_input() {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0 || text.size() > kManifestBytesMax) return text;
    text.append(buffer, static_cast<size_t>(n));
  }
}

bool write_output(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

/// What a scanner that was taken over might try. Each but "lie" must end the process.
void misbehave(const std::string& how, scan::Report& report) {
  if (how == "open") static_cast<void>(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  if (how == "socket") static_cast<void>(socket(AF_INET, SOCK_STREAM, 0));
  if (how == "exec") execl("/bin/true", "true", nullptr);
  if (how == "write") static_cast<void>(write(kFirstFd, "x", 1));
  if (how == "allocate")
    for (;;) std::memset(new char[64u << 20], 1, 64u << 20);
  if (how == "sleep")
    for (std::atomic<bool> over = false; !over.load();) {
    }
  if (how == "lie" && !report.files.empty()) report.files[0].path = "another file";
}

int scan_as_child() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::setlocale(LC_ALL, "C.UTF-8");  // names in archives; loaded while files can be opened
  auto manifest = parse_manifest(read_input());
  if (!manifest.ok()) return 2;
  std::vector<std::unique_ptr<FdSource>> sources;
  std::vector<scan::NamedSource> named;
  for (size_t i = 0; i < manifest->paths.size(); ++i) {
    const int fd = kFirstFd + static_cast<int>(i);
    struct stat info;
    if (fstat(fd, &info) != 0) return 2;
    sources.push_back(
        std::make_unique<FdSource>(manifest->paths[i], fd, static_cast<uint64_t>(info.st_size)));
    named.push_back({.path = manifest->paths[i], .source = sources.back().get()});
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(manifest->limits.time_max);
  if (auto status = confine({.memory_bytes_max = manifest->memory_bytes_max,
                             .cpu_s_max = static_cast<uint64_t>(seconds.count()) + 5});
      !status.ok())
    return 3;
  scan::Report report = scan::scan_sources(named, manifest->limits);
  if (!manifest->misbehave.empty()) misbehave(manifest->misbehave, report);
  return write_output(report_to_json(report).dump(-1, ' ', true, Json::error_handler_t::replace))
             ? 0
             : 4;
}

}  // namespace

std::optional<int> serve_scan_child(int argc, const char* const* argv) {
  if (argc != 2 || std::string_view(argv[1]) != kChildArgument) {
    g_has_child_entry = true;
    return std::nullopt;
  }
  int status = 5;
  try {
    status = scan_as_child();
  } catch (const std::exception&) {  // memory that the limit denies
  }
  // Destructors have nothing to do that the kernel does not, and might call what is forbidden.
  _exit(status);
}

bool can_start_scan_child() { return g_has_child_entry; }

}  // namespace lantern::supply::sandbox
