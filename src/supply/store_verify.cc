// Verification: whether files in the store, and files admitted where they lie, still are what
// their digests say.
#include <cerrno>
#include <functional>
#include <numeric>
#include <optional>
#include <vector>

#include "base/file.h"
#include "base/paths.h"
#include "supply/parallel.h"
#include "supply/receipt.h"
#include "supply/store.h"

namespace lantern::supply {
namespace fs = std::filesystem;
namespace {

/// A blob's name is its digest, of which the first digits will do.
constexpr size_t kLabelBytes = 40;

/// Hashes the whole file and says what its inode looked like meanwhile. A file that is sealed has
/// its fs-verity digest computed too, which is recorded where it is the one that the kernel says.
Result<Receipt> hash_now(const base::ReadFile& file, const Verity& verity,
                         const VerifyOptions& options) {
  Receipt receipt;
  LANTERN_ASSIGN(receipt.stamp, base::stamp_of(file.fd(), file.path()));
  receipt.hashed_at_ns = wall_clock_ns();
  const auto measured = verity.measure(file.fd(), file.path());
  const bool sealed = measured.ok() && measured->has_value();
  std::optional<base::Progress> own;
  if (options.shared == nullptr)
    own.emplace(
        base::Progress::Options{
            .label = "Verifying " + file.path().filename().string().substr(0, kLabelBytes),
            .total = receipt.stamp.size},
        options.progress);
  LANTERN_ASSIGN(ContentHash hash, hash_prefix(file, receipt.stamp.size,
                                               {.stop = options.stop,
                                                .progress = own ? &*own : options.shared,
                                                .verity = sealed ? ContentHash::Verity::kYes
                                                                 : ContentHash::Verity::kNo}));
  if (own) own->finish();
  const ContentHash::Digests digests = hash.finish();
  receipt.digest = digests.sha256;
  if (sealed && digests.verity == *measured) receipt.verity = digests.verity;
  LANTERN_ASSIGN(base::FileStamp after, base::stamp_of(file.fd(), file.path()));
  if (after != receipt.stamp)
    return make_error(ErrorCode::kCorrupt, "{}: it changed while it was being hashed",
                      file.path().string());
  return receipt;
}

/// Sizes as far as they are known; what is missing is said by whoever opens it.
std::vector<uint64_t> sizes_of(std::span<const fs::path> paths) {
  std::vector<uint64_t> sizes;
  for (const fs::path& path : paths) {
    std::error_code missing;
    const uint64_t size = fs::file_size(path, missing);
    sizes.push_back(missing ? 0 : size);
  }
  return sizes;
}

/// check(i, options) for each file, under one progress.
Status check_files(std::span<const fs::path> paths, const VerifyOptions& options,
                   const std::function<Status(size_t, const VerifyOptions&)>& check) {
  if (paths.size() == 1) return check(0, options);
  const std::vector<uint64_t> sizes = sizes_of(paths);
  base::Progress progress({.label = fmt::format("Verifying {} files", paths.size()),
                           .total = std::accumulate(sizes.begin(), sizes.end(), uint64_t{0})},
                          options.progress);
  LANTERN_TRY(for_each_file(sizes, options.stop, [&](size_t i, const std::stop_token& stop) {
    VerifyOptions each = options;
    each.stop = stop;
    each.shared = &progress;
    return check(i, each);
  }));
  progress.finish();
  return {};
}

}  // namespace

/// What the receipt has to say for the file as it is; nothing: it must be hashed. A file that was
/// sealed and is not what it was gives no credit to its times either.
Result<std::optional<Verified>> Store::vouched(const base::ReadFile& file,
                                               const std::optional<Receipt>& receipt) const {
  using Answer = std::optional<Verified>;
  if (!receipt) return Answer();
  if (receipt->verity) {
    const auto measured = verity_->measure(file.fd(), file.path());
    const bool equal = measured.ok() && *measured == receipt->verity;
    return equal ? Answer(Verified::kByVerity) : Answer();
  }
  LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(file.fd(), file.path()));
  return vouches(*receipt, stamp) ? Answer(Verified::kByReceipt) : Answer();
}

fs::path Store::receipt_path(const base::Digest& digest) const {
  return root_ / "receipts" / (base::to_hex(digest) + ".json");
}

Result<Verified> Store::expected_check(const base::Digest& digest) const {
  LANTERN_ASSIGN(const base::ReadFile file, base::ReadFile::open(blob_path(digest)));
  const auto key = ReceiptKey::existing(root_);
  if (!key.ok()) return Verified::kByHashing;
  const auto receipt = read_receipt(receipt_path(digest), *key);
  if (!receipt || receipt->digest != digest) return Verified::kByHashing;
  LANTERN_ASSIGN(const auto how, vouched(file, receipt));
  return how.value_or(Verified::kByHashing);
}

Result<Verified> Store::verify_blob(const base::Digest& digest,
                                    const VerifyOptions& options) const {
  fs::path blob = blob_path(digest);
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(blob));
  const auto key = ReceiptKey::of(root_);
  if (options.how == Verify::kFast && key.ok()) {
    const auto receipt = read_receipt(receipt_path(digest), *key);
    LANTERN_ASSIGN(const auto how, vouched(file, receipt));
    if (how && receipt->digest == digest) return *how;
  }
  LANTERN_ASSIGN(Receipt now, hash_now(file, *verity_, options));
  if (now.digest != digest)
    return make_error(ErrorCode::kCorrupt,
                      "{}: its content has changed since it was pulled (SHA-256 is {} now): remove "
                      "the model and pull it again",
                      blob.string(), base::to_hex(now.digest));
  // A store that cannot be written to still serves; it is hashed again the next time.
  if (key.ok()) (void)write_receipt(receipt_path(digest), now, *key).ok();
  return Verified::kByHashing;
}

Result<std::vector<Verified>> Store::verify_blobs(std::span<const base::Digest> digests,
                                                  const VerifyOptions& options) const {
  std::vector<fs::path> paths;
  for (const base::Digest& digest : digests) paths.push_back(blob_path(digest));
  std::vector<Verified> verified(digests.size());
  LANTERN_TRY(check_files(paths, options, [&](size_t i, const VerifyOptions& each) -> Status {
    LANTERN_ASSIGN(verified[i], verify_blob(digests[i], each));
    return {};
  }));
  return verified;
}

Result<std::vector<Store::InPlace>> Store::digests_in_place(std::span<const fs::path> paths,
                                                            const VerifyOptions& options) const {
  std::vector<InPlace> found(paths.size());
  LANTERN_TRY(check_files(paths, options, [&](size_t i, const VerifyOptions& each) -> Status {
    LANTERN_ASSIGN(found[i], digest_in_place(paths[i], each));
    return {};
  }));
  return found;
}

Result<Store::InPlace> Store::digest_in_place(const fs::path& path,
                                              const VerifyOptions& options) const {
  LANTERN_ASSIGN(base::ReadFile file, base::ReadFile::open(path));
  LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(file.fd(), path));
  // By inode, so that one file reached by two paths is hashed once.
  fs::path folder = root_ / "receipts";
  const fs::path receipt_path =
      folder / fmt::format("in-place-{}-{}.json", stamp.device, stamp.inode);
  const auto key = ReceiptKey::of(root_);
  if (options.how == Verify::kFast && key.ok()) {
    const auto receipt = read_receipt(receipt_path, *key);
    LANTERN_ASSIGN(const auto how, vouched(file, receipt));
    if (how) return InPlace{.digest = receipt->digest, .stamp = stamp, .how = *how};
  }
  LANTERN_ASSIGN(Receipt now, hash_now(file, *verity_, options));
  if (key.ok() && base::make_private_folder(folder).ok())
    (void)write_receipt(receipt_path, now, *key).ok();
  return InPlace{.digest = now.digest, .stamp = now.stamp, .how = Verified::kByHashing};
}

}  // namespace lantern::supply
