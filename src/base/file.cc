#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace lantern::base {

Error errno_error(int errno_value, std::string_view what) {
  ErrorCode code = ErrorCode::kIo;
  switch (errno_value) {
    case ENOENT:
    case ENOTDIR:
      code = ErrorCode::kNotFound;
      break;
    case ENOSPC:
    case EDQUOT:
    case ENOMEM:
      code = ErrorCode::kExhausted;
      break;
    default:
      break;
  }
  char buffer[128];
  return make_error(code, "{}: {}", what, strerror_r(errno_value, buffer, sizeof buffer));
}

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) ::close(fd_);
}

int UniqueFd::release() {
  int fd = fd_;
  fd_ = -1;
  return fd;
}

Result<FileStamp> stamp_of(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return errno_error(errno, path.string());
  constexpr int64_t kNsPerSecond = 1'000'000'000;
  return FileStamp{.device = info.st_dev,
                   .inode = info.st_ino,
                   .size = static_cast<uint64_t>(info.st_size),
                   .mtime_ns = info.st_mtim.tv_sec * kNsPerSecond + info.st_mtim.tv_nsec,
                   .ctime_ns = info.st_ctim.tv_sec * kNsPerSecond + info.st_ctim.tv_nsec};
}

Result<ReadFile> ReadFile::open(const std::filesystem::path& path) {
  ReadFile file;
  file.path_ = path;
  // O_NONBLOCK so that a FIFO in the file's place cannot hang the open.
  file.fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.fd_.get() < 0) return errno_error(errno, path.string());
  struct stat info {};
  if (::fstat(file.fd_.get(), &info) != 0) return errno_error(errno, path.string());
  if (!S_ISREG(info.st_mode))
    return make_error(ErrorCode::kInvalidArgument, "{}: not a regular file", path.string());
  file.size_ = static_cast<uint64_t>(info.st_size);
  return file;
}

Status ReadFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    ssize_t n = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, path_.string());
    if (n == 0)
      return make_error(ErrorCode::kCorrupt, "{}: ends at offset {}, {} more bytes were expected",
                        path_.string(), offset, out.size());
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

/// Of the kernel's files, which say that they are empty.
static Result<std::string> read_to_end(const ReadFile& file, uint64_t max_bytes) {
  std::string text;
  std::array<char, 16384> piece{};
  for (;;) {
    const ssize_t n =
        ::pread(file.fd(), piece.data(), piece.size(), static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, file.path().string());
    if (n == 0) return text;
    text.append(piece.data(), static_cast<size_t>(n));
    if (text.size() > max_bytes)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} bytes", file.path().string(),
                        max_bytes);
  }
}

namespace {

Result<std::string> read_whole(const ReadFile& file, uint64_t max_bytes) {
  if (file.size() > max_bytes)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read",
                      file.path().string(), file.size(), max_bytes);
  if (file.size() == 0) return read_to_end(file, max_bytes);
  std::string text(file.size(), '\0');
  LANTERN_TRY(file.read_at(0, std::as_writable_bytes(std::span(text))));
  return text;
}

}  // namespace

Result<std::string> read_text_file(const std::filesystem::path& path, uint64_t max_bytes) {
  LANTERN_ASSIGN(const ReadFile file, ReadFile::open(path));
  return read_whole(file, max_bytes);
}

Result<std::string> read_private_file(const std::filesystem::path& path, uint64_t max_bytes) {
  LANTERN_ASSIGN(const ReadFile file, ReadFile::open(path));
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return errno_error(errno, path.string());
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: others than its owner may use this secret; chmod 600 it", path.string());
  return read_whole(file, max_bytes);
}

Status sync_folder(const std::filesystem::path& folder) {
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return errno_error(errno, folder.string());
  return {};
}

namespace {

/// What a rename to `path` should replace: the file behind a link, never the link, a device or a
/// folder.
Result<std::filesystem::path> replaceable(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::path target = path;
  if (std::filesystem::is_symlink(path, error)) {
    target = std::filesystem::weakly_canonical(path, error);
    if (error) return errno_error(error.value(), path.string());
  }
  const auto status = std::filesystem::status(target, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status))
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: not a regular file, nothing is written there", path.string());
  return target;
}

}  // namespace

Result<AtomicFile> AtomicFile::create(const std::filesystem::path& path, unsigned rights) {
  AtomicFile file;
  LANTERN_ASSIGN(file.path_, replaceable(path));
  std::string pattern = file.path_.string() + ".tmp-XXXXXX";
  file.fd_ = UniqueFd(::mkostemp(pattern.data(), O_CLOEXEC));
  if (file.fd_.get() < 0) return errno_error(errno, path.string());
  file.temporary_ = pattern;
  mode_t mask = ::umask(0);
  ::umask(mask);
  ::fchmod(file.fd_.get(), rights & ~mask);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::move(other.fd_)),
      written_(other.written_) {
  other.temporary_.clear();
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Status AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno_error(errno, path_.string());
    bytes = bytes.subspan(static_cast<size_t>(n));
    written_ += static_cast<uint64_t>(n);
  }
  return {};
}

Status AtomicFile::commit() {
  if (::fsync(fd_.get()) != 0) return errno_error(errno, path_.string());
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) return errno_error(errno, path_.string());
  temporary_.clear();
  auto folder = path_.parent_path();
  return sync_folder(folder.empty() ? "." : folder);
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  LANTERN_ASSIGN(AtomicFile file, AtomicFile::create(path));
  LANTERN_TRY(file.write(content));
  return file.commit();
}

}  // namespace lantern::base
