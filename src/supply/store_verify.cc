// Verification: whether files in the store, and files admitted where they lie, still are what
// their digests say.
#include <cerrno>

#include "base/file.h"
#include "base/paths.h"
#include "supply/receipt.h"
#include "supply/store.h"

namespace lantern::supply {
namespace fs = std::filesystem;
namespace {

/// A blob's name is its digest, of which the first digits will do.
constexpr size_t kLabelBytes = 40;

/// Hashes the whole file and says what its inode looked like meanwhile.
Result<Receipt> hash_now(const base::ReadFile& file, const VerifyOptions& options) {
  Receipt receipt;
  LANTERN_ASSIGN(receipt.stamp, stamp_of(file.fd(), file.path()));
  receipt.hashed_at_ns = wall_clock_ns();
  base::Progress progress(
      {.label = "Verifying " + file.path().filename().string().substr(0, kLabelBytes),
       .total = receipt.stamp.size},
      options.progress);
  LANTERN_ASSIGN(base::Sha256 hash, hash_prefix(file, receipt.stamp.size,
                                                {.stop = options.stop, .progress = &progress}));
  progress.finish();
  receipt.digest = hash.finish();
  LANTERN_ASSIGN(Stamp after, stamp_of(file.fd(), file.path()));
  if (after != receipt.stamp)
    return make_error(ErrorCode::kCorrupt, "{}: it changed while it was being hashed",
                      file.path().string());
  return receipt;
}

}  // namespace

Result<Verified> Store::verify_blob(const base::Digest& digest,
                                    const VerifyOptions& options) const {
  fs::path blob = blob_path(digest);
  fs::path receipt_path = root_ / "receipts" / (base::to_hex(digest) + ".json");
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(blob));
  const auto key = ReceiptKey::of(root_);
  if (options.how == Verify::kFast && key.ok()) {
    LANTERN_ASSIGN(Stamp stamp, stamp_of(file.fd(), blob));
    auto receipt = read_receipt(receipt_path, *key);
    if (receipt && receipt->digest == digest && vouches(*receipt, stamp))
      return Verified::kByReceipt;
  }
  LANTERN_ASSIGN(Receipt now, hash_now(file, options));
  if (now.digest != digest)
    return make_error(ErrorCode::kCorrupt,
                      "{}: its content has changed since it was pulled (SHA-256 is {} now): remove "
                      "the model and pull it again",
                      blob.string(), base::to_hex(now.digest));
  // A store that cannot be written to still serves; it is hashed again the next time.
  if (key.ok()) (void)write_receipt(receipt_path, now, *key).ok();
  return Verified::kByHashing;
}

Result<Store::InPlace> Store::digest_in_place(const fs::path& path,
                                              const VerifyOptions& options) const {
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(path));
  LANTERN_ASSIGN(Stamp stamp, stamp_of(file.fd(), path));
  // By inode, so that one file reached by two paths is hashed once.
  fs::path folder = root_ / "receipts";
  fs::path receipt_path = folder / fmt::format("in-place-{}-{}.json", stamp.device, stamp.inode);
  const auto key = ReceiptKey::of(root_);
  if (options.how == Verify::kFast && key.ok()) {
    auto receipt = read_receipt(receipt_path, *key);
    if (receipt && vouches(*receipt, stamp))
      return InPlace{.digest = receipt->digest, .size = stamp.size, .how = Verified::kByReceipt};
  }
  LANTERN_ASSIGN(Receipt now, hash_now(file, options));
  if (key.ok() && base::make_private_folder(folder).ok())
    (void)write_receipt(receipt_path, now, *key).ok();
  return InPlace{.digest = now.digest, .size = now.stamp.size, .how = Verified::kByHashing};
}

}  // namespace lantern::supply
