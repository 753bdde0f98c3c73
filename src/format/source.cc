#include "format/source.h"

#include <unistd.h>

#include <bit>
#include <cerrno>

namespace lantern::format {
namespace {

static_assert(std::endian::native == std::endian::little);
constexpr uint64_t kWindowBytes = 256 << 10;

}  // namespace

Result<std::unique_ptr<Source>> FileSource::open(const std::filesystem::path& path) {
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(path));
  LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(file.fd(), path));
  return std::unique_ptr<Source>(new FileSource(std::move(file), stamp));
}

Status FileSource::read_at(uint64_t offset, std::span<std::byte> out) const {
  LANTERN_TRY(file_.read_at(offset, out));
  LANTERN_ASSIGN(const base::FileStamp now, base::stamp_of(file_.fd(), file_.path()));
  if (now == stamp_) return {};
  return make_error(ErrorCode::kCorrupt, "{}: it changed while it was being read", name_);
}

Status FdSource::read_at(uint64_t offset, std::span<std::byte> out) const {
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

Status MemorySource::read_at(uint64_t offset, std::span<std::byte> out) const {
  if (offset > bytes_.size() || out.size() > bytes_.size() - offset)
    return make_error(ErrorCode::kCorrupt, "{}: ends at offset {}, {} bytes at {} were expected",
                      name_, bytes_.size(), out.size(), offset);
  if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
  return {};
}

Status SourceReader::require(uint64_t n, std::string_view field) const {
  if (n <= remaining()) return {};
  if (n <= source_.size() - position())
    return make_error(ErrorCode::kTooLarge,
                      "{}: {}: needs {} bytes at offset {}, headers are read up to {} bytes",
                      source_.name(), field, n, position(), limit_);
  return make_error(ErrorCode::kCorrupt, "{}: {}: needs {} bytes at offset {}, {} are left",
                    source_.name(), field, n, position(), source_.size() - position());
}

Status SourceReader::fill(uint64_t n, std::string_view field) {
  LANTERN_TRY(require(n, field));
  size_t kept = window_.size() - used_;
  uint64_t wanted = std::min(remaining(), std::max(n, kWindowBytes));
  if (kept > 0) std::memmove(window_.data(), window_.data() + used_, kept);
  window_begin_ += used_;
  used_ = 0;
  window_.resize(wanted);
  auto fresh = std::span(window_).subspan(kept);
  Status status = source_.read_at(window_begin_ + kept, fresh);
  if (!status.ok()) window_.resize(kept);
  return status;
}

}  // namespace lantern::format
