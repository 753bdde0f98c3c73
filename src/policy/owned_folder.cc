#include "policy/owned_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace lantern::policy {
namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

enum class Place { kAncestor, kItself };

Status check_owner(int fd, const std::filesystem::path& path, uid_t owner, Place place) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return base::errno_error(errno, path.string());
  if (status.st_uid != owner && status.st_uid != 0)
    return make_error(ErrorCode::kDenied, "{}: belongs to user {}, not to {}: chown it",
                      path.string(), status.st_uid, owner);
  const bool is_writable = (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
  const bool is_sticky = place == Place::kAncestor && (status.st_mode & S_ISVTX) != 0;
  if (is_writable && !is_sticky)
    return make_error(ErrorCode::kDenied, "{}: others than its owner may write it: chmod go-w",
                      path.string());
  return {};
}

Error open_error(int errno_value, const std::filesystem::path& path) {
  if (errno_value == ELOOP || errno_value == ENOTDIR)
    return make_error(ErrorCode::kDenied, "{}: a link or no folder, where neither is followed",
                      path.string());
  return base::errno_error(errno_value, path.string());
}

}  // namespace

Result<OwnedFolder> OwnedFolder::open(const std::filesystem::path& path, uid_t owner) {
  const std::filesystem::path normal = path.lexically_normal();
  if (!normal.is_absolute())
    return make_error(ErrorCode::kInvalidArgument, "{}: an absolute path is needed", path.string());
  std::filesystem::path at = normal.root_path();
  base::UniqueFd fd(::open(at.c_str(), kFolderFlags));
  if (fd.get() < 0) return open_error(errno, at);
  LANTERN_TRY(check_owner(fd.get(), at, owner, Place::kAncestor));
  const std::filesystem::path relative = normal.relative_path();
  for (auto part = relative.begin(); part != relative.end(); ++part) {
    if (part->empty()) continue;  // after a slash at the end
    at /= *part;
    base::UniqueFd next(openat(fd.get(), part->c_str(), kFolderFlags));
    if (next.get() < 0) return open_error(errno, at);
    fd = std::move(next);
    LANTERN_TRY(check_owner(fd.get(), at, owner, Place::kAncestor));
  }
  LANTERN_TRY(check_owner(fd.get(), at, owner, Place::kItself));
  return OwnedFolder(std::move(at), owner, std::move(fd));
}

Result<OwnedFolder> OwnedFolder::folder(std::string_view name) const {
  const std::filesystem::path path = path_ / name;
  base::UniqueFd fd(openat(fd_.get(), std::string(name).c_str(), kFolderFlags));
  if (fd.get() < 0) return open_error(errno, path);
  LANTERN_TRY(check_owner(fd.get(), path, owner_, Place::kItself));
  return OwnedFolder(path, owner_, std::move(fd));
}

Result<std::string> OwnedFolder::read(std::string_view name, size_t bytes_max) const {
  const std::filesystem::path path = path_ / name;
  // Not blocking: a FIFO in its place must not hold the reader.
  base::UniqueFd fd(
      openat(fd_.get(), std::string(name).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) return open_error(errno, path);
  struct stat status {};
  if (fstat(fd.get(), &status) != 0) return base::errno_error(errno, path.string());
  if (!S_ISREG(status.st_mode))
    return make_error(ErrorCode::kDenied, "{}: no regular file", path.string());
  LANTERN_TRY(check_owner(fd.get(), path, owner_, Place::kItself));
  std::string text;
  for (;;) {
    char buffer[16384];
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::errno_error(errno, path.string());
    if (n == 0) return text;
    text.append(buffer, static_cast<size_t>(n));
    if (text.size() > bytes_max)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} bytes", path.string(), bytes_max);
  }
}

Result<std::vector<std::string>> OwnedFolder::names(size_t count_max) const {
  const int copy = openat(fd_.get(), ".", kFolderFlags);
  if (copy < 0) return base::errno_error(errno, path_.string());
  DIR* opened = fdopendir(copy);
  if (opened == nullptr) {
    const int errno_value = errno;
    close(copy);
    return base::errno_error(errno_value, path_.string());
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opened, closedir);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(folder.get());
    if (entry == nullptr && errno != 0) return base::errno_error(errno, path_.string());
    if (entry == nullptr) break;
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    if (names.size() == count_max)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} files", path_.string(), count_max);
    names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace lantern::policy
