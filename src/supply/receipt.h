// A receipt: what a file's inode looked like when its bytes were hashed. As long as device, inode,
// size and both times are the same, the content is taken to be too; a warm start then costs a stat
// instead of reading 40 GB. It guards against mistakes and against other accounts, not against root
// or whoever can read the key.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/hash.h"
#include "base/result.h"

namespace lantern::supply {

struct Receipt {
  base::FileStamp stamp;
  int64_t hashed_at_ns = 0;  // the wall clock before the first byte was read
  base::Digest digest{};
  /// Of the same bytes, for a file that was found sealed with it (verity.h).
  std::optional<base::Digest> verity = {};
};

/// Nanoseconds since 1970.
int64_t wall_clock_ns();

/// Receipts carry a keyed digest (HMAC-SHA-256), so that nobody who cannot read the key writes one.
class ReceiptKey {
 public:
  /// 32 random bytes in `folder`/receipt.key, mode 0600, made on first use. kIo; kCorrupt for a
  /// file of another length.
  static Result<ReceiptKey> of(const std::filesystem::path& folder);
  /// The same, and kNotFound where none was made.
  static Result<ReceiptKey> existing(const std::filesystem::path& folder);
  [[nodiscard]] base::Digest mac(const Receipt& receipt) const;

 private:
  explicit ReceiptKey(base::Digest bytes) : bytes_(bytes) {}
  base::Digest bytes_;
};

/// Nothing where it is missing, unreadable or of another key: that is a doubt, and a doubt means
/// hashing.
std::optional<Receipt> read_receipt(const std::filesystem::path& path, const ReceiptKey& key);
Status write_receipt(const std::filesystem::path& path, const Receipt& receipt,
                     const ReceiptKey& key);

/// Whether `receipt` vouches for a file that now looks like `stamp`. A file changed less than 2 s
/// before it was hashed could have been changed again within the same tick of its times, so such a
/// receipt vouches for nothing; neither does one from the future.
bool vouches(const Receipt& receipt, const base::FileStamp& stamp);

}  // namespace lantern::supply
