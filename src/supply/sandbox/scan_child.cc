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

#include "base/confine.h"
#include "base/confined_child.h"
#include "base/json.h"
#include "format/folder.h"
#include "supply/sandbox/child_protocol.h"
#include "supply/sandbox/inspect.h"

namespace lantern::supply::sandbox {
namespace {

using base::Json;

std::atomic<bool> g_has_child_entry = false;

struct GivenFile {
  std::string name;
  int fd = -1;
  uint64_t size = 0;
};

/// The files that the parent opened, as a folder: nothing else can be opened any more.
class GivenFolder final : public format::Folder {
 public:
  GivenFolder(std::filesystem::path path, const std::vector<GivenFile>& files)
      : path_(std::move(path)), files_(files) {}

  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] bool has(std::string_view name) const override { return find(name) != nullptr; }
  [[nodiscard]] Result<std::unique_ptr<format::Source>> open(std::string_view name) const override {
    const std::string full = (path_ / name).string();
    const GivenFile* file = find(name);
    if (file == nullptr) return make_error(ErrorCode::kNotFound, "{}: no such file", full);
    return std::unique_ptr<format::Source>(
        std::make_unique<format::FdSource>(full, file->fd, file->size));
  }
  [[nodiscard]] Result<std::vector<std::string>> names_in(std::string_view below) const override {
    const std::string prefix = below.empty() ? "" : std::string(below) + "/";
    std::vector<std::string> names;
    for (const GivenFile& file : files_)
      if (file.name.starts_with(prefix) && file.name.find('/', prefix.size()) == std::string::npos)
        names.push_back(file.name.substr(prefix.size()));
    return names;
  }

 private:
  [[nodiscard]] const GivenFile* find(std::string_view name) const {
    for (const GivenFile& file : files_)
      if (file.name == name) return &file;
    return nullptr;
  }

  std::filesystem::path path_;
  const std::vector<GivenFile>& files_;
};

/// What a reader that was taken over might try. Each must end the process.
void misbehave(const std::string& how) {
  if (how == "open") static_cast<void>(open("/etc/passwd", O_RDONLY | O_CLOEXEC));
  if (how == "socket") static_cast<void>(socket(AF_INET, SOCK_STREAM, 0));
  if (how == "exec") execl("/bin/true", "true", nullptr);
  if (how == "write") static_cast<void>(write(base::kChildFirstFd, "x", 1));
  if (how == "crash") raise(SIGSEGV);
  if (how == "allocate")
    for (;;) std::memset(new char[64u << 20], 1, 64u << 20);
  if (how == "sleep")
    for (std::atomic<bool> over = false; !over.load();) {
    }
}

std::string scan_files(const Manifest& manifest, const std::vector<GivenFile>& files) {
  std::vector<std::unique_ptr<format::FdSource>> sources;
  std::vector<scan::NamedSource> named;
  for (const GivenFile& file : files) {
    sources.push_back(std::make_unique<format::FdSource>(file.name, file.fd, file.size));
    named.push_back({.path = file.name, .source = sources.back().get()});
  }
  scan::Report report = scan::scan_sources(named, manifest.limits);
  misbehave(manifest.misbehave);
  if (manifest.misbehave == "lie" && !report.files.empty()) report.files[0].path = "another file";
  return report_to_json(report).dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::string inspect_files(const Manifest& manifest, const std::vector<GivenFile>& files) {
  const auto model = inspect_here(GivenFolder(manifest.folder, files), manifest.entry);
  misbehave(manifest.misbehave);
  std::string answer;
  if (!model.ok())
    answer = inspection_to_bytes(model.error());
  else if (manifest.task == Task::kCheck)
    answer = kCheckedAnswer;
  else
    answer = inspection_to_bytes(*model);
  if (manifest.misbehave == "lie") answer.resize(answer.size() / 2);
  return answer;
}

int serve() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::setlocale(LC_ALL, "C.UTF-8");  // names in archives; loaded while files can be opened
  auto manifest = parse_manifest(base::read_child_input(kManifestBytesMax));
  if (!manifest.ok()) return 2;
  std::vector<GivenFile> files;
  for (const std::string& path : manifest->paths) {
    const int fd = base::kChildFirstFd + static_cast<int>(files.size());
    struct stat info;
    if (fstat(fd, &info) != 0) return 2;
    files.push_back({.name = path, .fd = fd, .size = static_cast<uint64_t>(info.st_size)});
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(manifest->limits.time_max);
  if (auto status = base::confine({.memory_bytes_max = manifest->memory_bytes_max,
                                   .cpu_s_max = static_cast<uint64_t>(seconds.count()) + 5});
      !status.ok())
    return 3;
  const std::string answer = manifest->task == Task::kScan ? scan_files(*manifest, files)
                                                           : inspect_files(*manifest, files);
  return base::write_child_output(answer) ? 0 : 4;
}

}  // namespace

std::optional<int> serve_scan_child(int argc, const char* const* argv) {
  if (argc != 2 || std::string_view(argv[1]) != kChildArgument) {
    g_has_child_entry = true;
    return std::nullopt;
  }
  int status = 5;
  try {
    status = serve();
  } catch (const std::exception&) {  // memory that the limit denies
  }
  // Destructors have nothing to do that the kernel does not, and might call what is forbidden.
  _exit(status);
}

bool can_start_scan_child() { return g_has_child_entry; }

}  // namespace lantern::supply::sandbox
