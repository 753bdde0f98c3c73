// A receipt: what a file's inode looked like when its bytes were hashed. As long as device, inode,
// size and both times are the same, the content is taken to be too; a warm start then costs a stat
// instead of reading 40 GB. It guards against mistakes, not against root or the file's own owner.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

struct Stamp {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;
  bool operator==(const Stamp&) const = default;
};

struct Receipt {
  Stamp stamp;
  int64_t hashed_at_ns = 0;  // the wall clock before the first byte was read
  base::Digest digest{};
};

Result<Stamp> stamp_of(int fd, const std::filesystem::path& path);
/// Nanoseconds since 1970.
int64_t wall_clock_ns();

/// Nothing where it is missing or unreadable: that is a doubt, and a doubt means hashing.
std::optional<Receipt> read_receipt(const std::filesystem::path& path);
Status write_receipt(const std::filesystem::path& path, const Receipt& receipt);

/// Whether `receipt` vouches for a file that now looks like `stamp`. A file changed less than 2 s
/// before it was hashed could have been changed again within the same tick of its times, so such a
/// receipt vouches for nothing; neither does one from the future.
bool vouches(const Receipt& receipt, const Stamp& stamp);

}  // namespace lantern::supply
