// JSON lines, appended to a file or written to stdout ("-"). A line counts as delivered once the
// file is synced; one that could not be written whole is taken back.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "delivery/transport.h"

namespace lantern::delivery {
namespace {

class JsonLines : public Transport {
 public:
  explicit JsonLines(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] std::string form(const Event& event) const override { return event_line(event); }

  Outcome deliver(std::span<const Spooled> events, const std::stop_token&) override {
    std::string lines;
    for (const Spooled& event : events) lines += event.payload + '\n';
    Status appended = path_ == "-" ? write_all(STDOUT_FILENO, lines) : append(lines);
    if (appended.ok()) return {.n_done = events.size()};
    file_ = {};
    return {.fault = std::move(appended).error()};
  }

 private:
  Status append(std::string_view lines) {
    LANTERN_TRY(open_file());
    struct stat before {};
    if (::fstat(file_.get(), &before) != 0) return base::errno_error(errno, path_);
    std::string begun;  // a line that a crash cut short keeps to itself
    if (before.st_size > 0) {
      char last = 0;
      if (::pread(file_.get(), &last, 1, before.st_size - 1) == 1 && last != '\n') begun = "\n";
    }
    Status written = write_all(file_.get(), begun.append(lines));
    if (!written.ok()) {
      // No half of a line stays behind, where nobody else wrote meanwhile.
      if (n_written_ > 0 && size_of_file() == before.st_size + n_written_)
        (void)::ftruncate(file_.get(), before.st_size);
      return written;
    }
    if (::fsync(file_.get()) != 0) return base::errno_error(errno, path_);
    return {};
  }

  /// The file that has the name now: programs that rotate logs give it another one.
  Status open_file() {
    struct stat here {
    }, open{};
    const bool is_same = file_.get() >= 0 && ::stat(path_.c_str(), &here) == 0 &&
                         ::fstat(file_.get(), &open) == 0 && here.st_dev == open.st_dev &&
                         here.st_ino == open.st_ino;
    if (is_same) return {};
    // O_NONBLOCK so that a FIFO in the file's place cannot hang the open.
    file_ = base::UniqueFd(::open(
        path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640));
    if (file_.get() < 0) return base::errno_error(errno, path_);
    if (::fstat(file_.get(), &open) != 0) return base::errno_error(errno, path_);
    if (!S_ISREG(open.st_mode))
      return make_error(ErrorCode::kInvalidArgument, "{}: not a regular file", path_);
    return base::sync_folder(std::filesystem::path(path_).parent_path());
  }

  Status write_all(int fd, std::string_view bytes) {
    n_written_ = 0;
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return base::errno_error(errno, path_ == "-" ? "stdout" : path_);
      n_written_ += n;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return {};
  }

  [[nodiscard]] off_t size_of_file() const {
    struct stat info {};
    return ::fstat(file_.get(), &info) == 0 ? info.st_size : -1;
  }

  std::string path_;
  base::UniqueFd file_;
  off_t n_written_ = 0;  // by the last write_all()
};

TransportSettings read_json_lines(base::TomlTable& table) {
  table.require("path");
  const std::string path =
      table
          .text("path",
                [](std::string_view text) {
                  return text == "-" ? std::string() : check_absolute_path(text);
                })
          .value_or("");
  return {.target = path == "-" ? "stdout" : path,
          .make = [path]() -> Result<std::unique_ptr<Transport>> {
            return std::unique_ptr<Transport>(new JsonLines(path));
          }};
}

}  // namespace

extern const TransportKind k_json_lines;
const TransportKind k_json_lines = {.name = "json-lines", .read = read_json_lines};

}  // namespace lantern::delivery
