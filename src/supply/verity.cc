#include "supply/verity.h"

#include <linux/fsverity.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/file.h"

namespace lantern::supply {
namespace {

static_assert(VerityHash::kBlockBytes == 1u << 12);
constexpr std::byte kLogBlockBytes{12};

/// The descriptor's fields that are not zero, by their offsets in its 256 bytes.
constexpr size_t kDescriptorBytes = 256;
constexpr size_t kVersionAt = 0, kAlgorithmAt = 1, kLogBlockBytesAt = 2, kSizeAt = 8, kRootAt = 16;
constexpr size_t kRootBytesMax = 64;

bool is_lacking(int error) { return error == ENOTTY || error == EOPNOTSUPP || error == EINVAL; }

Error lacking(const std::filesystem::path& path) {
  return make_error(ErrorCode::kUnsupported, "{}: the file system has no fs-verity", path.string());
}

class KernelVerity final : public Verity {
 public:
  Status enable(int fd, const std::filesystem::path& path) const override {
    fsverity_enable_arg argument{};
    argument.version = 1;
    argument.hash_algorithm = FS_VERITY_HASH_ALG_SHA256;
    argument.block_size = VerityHash::kBlockBytes;
    if (::ioctl(fd, FS_IOC_ENABLE_VERITY, &argument) == 0) return {};
    if (is_lacking(errno)) return lacking(path);
    return base::errno_error(errno, path.string());
  }

  Result<std::optional<base::Digest>> measure(int fd,
                                              const std::filesystem::path& path) const override {
    // The structure ends in the digest, of which this makes room for the longest.
    alignas(fsverity_digest) std::array<std::byte, sizeof(fsverity_digest) + kRootBytesMax> room{};
    fsverity_digest head{};
    head.digest_size = kRootBytesMax;
    std::memcpy(room.data(), &head, sizeof head);
    if (::ioctl(fd, FS_IOC_MEASURE_VERITY, room.data()) != 0) {
      if (errno == ENODATA) return std::optional<base::Digest>();
      if (is_lacking(errno)) return lacking(path);
      return base::errno_error(errno, path.string());
    }
    std::memcpy(&head, room.data(), sizeof head);
    base::Digest digest;
    if (head.digest_algorithm != FS_VERITY_HASH_ALG_SHA256 || head.digest_size != digest.size())
      return make_error(ErrorCode::kUnsupported, "{}: its fs-verity digest is not of SHA-256",
                        path.string());
    std::memcpy(digest.data(), room.data() + sizeof head, digest.size());
    return std::optional(digest);
  }
};

}  // namespace

base::Digest VerityHash::hash_block(std::span<const std::byte> block) {
  hash_.restart();
  hash_.update(block);
  return hash_.finish();
}

void VerityHash::push(size_t level, const base::Digest& hash) {
  base::Digest next = hash;
  for (;; ++level) {
    if (level == levels_.size()) levels_.emplace_back();
    Level& at = levels_[level];
    std::copy(next.begin(), next.end(), at.hashes.begin() + static_cast<ptrdiff_t>(at.used));
    at.used += next.size();
    ++at.n_all;
    if (at.used < kBlockBytes) return;
    next = hash_block(at.hashes);
    at.used = 0;
  }
}

void VerityHash::update(std::span<const std::byte> bytes) {
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (used_ == 0 && bytes.size() >= kBlockBytes) {
      push(0, hash_block(bytes.first(kBlockBytes)));
      bytes = bytes.subspan(kBlockBytes);
      continue;
    }
    const auto piece = bytes.first(std::min(bytes.size(), kBlockBytes - used_));
    std::copy(piece.begin(), piece.end(), block_.begin() + static_cast<ptrdiff_t>(used_));
    used_ += piece.size();
    bytes = bytes.subspan(piece.size());
    if (used_ < kBlockBytes) return;
    used_ = 0;
    push(0, hash_block(block_));
  }
}

base::Digest VerityHash::root() {
  if (size_ == 0) return base::Digest{};
  if (used_ > 0) {
    std::fill(block_.begin() + static_cast<ptrdiff_t>(used_), block_.end(), std::byte{});
    push(0, hash_block(block_));
  }
  for (size_t level = 0;; ++level) {
    Level& at = levels_[level];
    if (at.n_all == 1) {
      base::Digest only;
      std::copy_n(at.hashes.begin(), only.size(), only.begin());
      return only;
    }
    if (at.used == 0) continue;
    std::fill(at.hashes.begin() + static_cast<ptrdiff_t>(at.used), at.hashes.end(), std::byte{});
    const base::Digest hash = hash_block(at.hashes);
    at.used = 0;
    push(level + 1, hash);
  }
}

base::Digest VerityHash::finish() {
  std::array<std::byte, kDescriptorBytes> descriptor{};
  descriptor[kVersionAt] = std::byte{1};
  descriptor[kAlgorithmAt] = std::byte{FS_VERITY_HASH_ALG_SHA256};
  descriptor[kLogBlockBytesAt] = kLogBlockBytes;
  for (size_t i = 0; i < sizeof size_; ++i)
    descriptor[kSizeAt + i] = static_cast<std::byte>(size_ >> (8 * i));
  const base::Digest root = this->root();
  std::copy(root.begin(), root.end(), descriptor.begin() + kRootAt);
  return base::sha256(descriptor);
}

const Verity& kernel_verity() {
  static const KernelVerity kernel;
  return kernel;
}

}  // namespace lantern::supply
