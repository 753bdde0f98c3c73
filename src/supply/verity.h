// fs-verity: the kernel keeps a Merkle tree beside a file, refuses every write to it from then on,
// and compares what is read with the tree. Measuring a file costs one call, whatever its size.
//
// What the kernel measures is never taken on trust: VerityHash computes the same digest from the
// bytes that were hashed at admission, the receipt keeps it under its key, and only equality
// counts.
//
//   data blocks of 4096 bytes (the last one padded with zeros) → SHA-256 of each → packed, 128 to a
//   block of the next level, and so on until one hash is left: the root
//   digest = SHA-256 of the descriptor: version 1, algorithm 1 (SHA-256), log2(4096), no salt, the
//   file's size, the root
//
// Source: the kernel's Documentation/filesystems/fsverity.rst, "Merkle tree" and "fs-verity
// descriptor".
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <vector>

#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

/// The fs-verity digest of a stream of bytes: SHA-256, blocks of 4096, no salt. Holds one block a
/// level of the tree (6 for 8 TB).
class VerityHash {
 public:
  static constexpr size_t kBlockBytes = 4096;

  void update(std::span<const std::byte> bytes);
  base::Digest finish();

 private:
  using Block = std::array<std::byte, kBlockBytes>;
  struct Level {
    Block hashes{};
    size_t used = 0;     // bytes of `hashes`
    uint64_t n_all = 0;  // hashes of this level, those that were passed on included
  };
  base::Digest hash_block(std::span<const std::byte> block);
  void push(size_t level, const base::Digest& hash);
  base::Digest root();

  base::Sha256 hash_;
  Block block_{};
  size_t used_ = 0;  // bytes of block_
  uint64_t size_ = 0;
  std::vector<Level> levels_;
};

/// SHA-256 of a file's bytes and, where asked for, their fs-verity digest, in one pass.
class ContentHash {
 public:
  enum class Verity { kNo, kYes };
  explicit ContentHash(Verity verity) {
    if (verity == Verity::kYes) verity_.emplace();
  }
  void update(std::span<const std::byte> bytes) {
    sha256_.update(bytes);
    if (verity_) verity_->update(bytes);
  }
  struct Digests {
    base::Digest sha256{};
    std::optional<base::Digest> verity = {};
  };
  Digests finish() {
    return {.sha256 = sha256_.finish(),
            .verity = verity_ ? std::optional(verity_->finish()) : std::nullopt};
  }

 private:
  base::Sha256 sha256_;
  std::optional<VerityHash> verity_;
};

/// What a file system can do about fs-verity; a test's own where the kernel's will not do.
/// Thread-safe.
class Verity {
 public:
  virtual ~Verity() = default;
  /// Seals the file for good. `fd` is open for reading and nobody has the file open for writing.
  /// kUnsupported: the file system lacks it; kIo.
  virtual Status enable(int fd, const std::filesystem::path& path) const = 0;
  /// The kernel's digest (of SHA-256 alone); absent: the file is not sealed. kUnsupported: the file
  /// system lacks it, or the file's digest is of another kind; kIo.
  virtual Result<std::optional<base::Digest>> measure(int fd,
                                                      const std::filesystem::path& path) const = 0;

  /// Whether files beside this one can be sealed.
  [[nodiscard]] bool supports(int fd, const std::filesystem::path& path) const {
    return measure(fd, path).ok();
  }
};

/// Through ioctl on the file.
const Verity& kernel_verity();

}  // namespace lantern::supply
