#include "supply/staging.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "base/thread_pool.h"

namespace lantern::supply {
namespace fs = std::filesystem;

namespace {

constexpr size_t kCopyChunkBytes = 1u << 20;

}  // namespace

StagingFolder::~StagingFolder() {
  if (lock_.get() < 0) return;
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Status check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) return make_error(ErrorCode::kCancelled, "interrupted");
  return {};
}

Status write_fully(int fd, std::span<const std::byte> bytes, const fs::path& path) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
      return make_error(ErrorCode::kExhausted,
                        "{}: the disk is full (or a quota or size limit is reached): free some "
                        "space and run it again",
                        path.parent_path().string());
    if (n < 0) return base::errno_error(errno, path.string());
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<uint64_t> available_bytes(const fs::path& path) {
  struct statvfs info {};
  if (::statvfs(path.c_str(), &info) != 0) return base::errno_error(errno, path.string());
  return uint64_t{info.f_bavail} * info.f_frsize;
}

Result<StagedWriter> StagedWriter::create(const fs::path& at, std::string name,
                                          const Verity& verity) {
  base::UniqueFd fd(::open(at.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return base::errno_error(errno, at.string());
  const auto wanted =
      verity.supports(fd.get(), at) ? ContentHash::Verity::kYes : ContentHash::Verity::kNo;
  return StagedWriter(at, std::move(name), std::move(fd), wanted);
}

StagedWriter::StagedWriter(StagedWriter&& other) noexcept
    : at_(std::exchange(other.at_, {})),
      name_(std::move(other.name_)),
      fd_(std::move(other.fd_)),
      hash_(std::move(other.hash_)),
      size_(other.size_) {}

StagedWriter::~StagedWriter() {
  if (!at_.empty()) ::unlink(at_.c_str());
}

Status StagedWriter::write(std::span<const std::byte> bytes) {
  hash_.update(bytes);
  size_ += bytes.size();
  return write_fully(fd_.get(), bytes, at_);
}

Status StagedWriter::copy(const base::ReadFile& from, const CopyOptions& options) {
  const uint64_t end = from.size();
  const auto room = static_cast<size_t>(std::min<uint64_t>(kCopyChunkBytes, end));
  std::vector<std::byte> current(room), next(room);
  const auto piece = [&](std::vector<std::byte>& buffer, uint64_t at) {
    return std::span(buffer).first(
        static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - std::min(at, end))));
  };
  base::ThreadPool pool(std::clamp(options.n_threads, 1, 2));
  LANTERN_TRY(from.read_at(0, piece(current, 0)));
  for (uint64_t offset = 0; offset < end; offset += room) {
    LANTERN_TRY(check_stop(options.stop));
    const std::span<const std::byte> now = piece(current, offset);
    Status moved;
    pool.run([&](int thread) {
      if (thread == pool.n_threads() - 1) hash_.update(now);
      if (thread != 0) return;
      moved = write_fully(fd_.get(), now, at_);
      if (moved.ok()) moved = from.read_at(offset + now.size(), piece(next, offset + now.size()));
    });
    LANTERN_TRY(std::move(moved));
    size_ += now.size();
    if (options.progress) options.progress->advance(now.size());
    std::swap(current, next);
  }
  return {};
}

Result<StagedFile> StagedWriter::finish() {
  if (::fsync(fd_.get()) != 0) return base::errno_error(errno, at_.string());
  fd_ = base::UniqueFd();  // a file that is open for writing cannot be sealed
  const ContentHash::Digests digests = hash_.finish();
  return StagedFile{.name = std::move(name_),
                    .at = std::exchange(at_, {}),
                    .size = size_,
                    .digest = digests.sha256,
                    .verity = digests.verity};
}

Result<ContentHash> hash_prefix(const base::ReadFile& file, uint64_t bytes,
                                const HashOptions& options) {
  ContentHash hash(options.verity);
  std::vector<std::byte> buffer(std::min<uint64_t>(bytes, 1u << 20));
  for (uint64_t offset = 0; offset < bytes;) {
    LANTERN_TRY(check_stop(options.stop));
    auto chunk = std::span(buffer).first(std::min<uint64_t>(buffer.size(), bytes - offset));
    LANTERN_TRY(file.read_at(offset, chunk));
    hash.update(chunk);
    offset += chunk.size();
    if (options.progress) options.progress->advance(chunk.size());
  }
  return hash;
}

}  // namespace lantern::supply
