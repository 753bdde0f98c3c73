// Files on their way into the store: written by us alone, hashed as they are written, and invisible
// until the store admits them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>

#include "base/file.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "supply/verity.h"

namespace lantern::supply {

/// A finished file: synced to disk, its digest that of the bytes which were written.
struct StagedFile {
  std::string name = {};          // its path inside the model
  std::filesystem::path at = {};  // empty: the store has a blob of this digest already
  uint64_t size = 0;
  base::Digest digest{};
  std::optional<base::Digest> verity = {};    // where its file system can seal it
  std::shared_ptr<base::UniqueFd> held = {};  // keeps other processes from it until it is admitted
};

/// A folder of its own inside the store, locked while in use and deleted with its content at the
/// end. What a killed process left is deleted by the next one (Store::stage).
class StagingFolder {
 public:
  StagingFolder(std::filesystem::path path, base::UniqueFd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  StagingFolder(StagingFolder&&) noexcept = default;
  StagingFolder& operator=(StagingFolder&&) = delete;
  ~StagingFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  base::UniqueFd lock_;
};

/// Writes one file and hashes what it writes. Not finished, it is removed.
class StagedWriter {
 public:
  /// `at` must not exist yet. Its fs-verity digest is computed where `verity` can seal files there.
  static Result<StagedWriter> create(const std::filesystem::path& at, std::string name,
                                     const Verity& verity = kernel_verity());
  StagedWriter(StagedWriter&& other) noexcept;
  StagedWriter& operator=(StagedWriter&&) = delete;
  ~StagedWriter();

  Status write(std::span<const std::byte> bytes);

  struct CopyOptions {
    std::stop_token stop = {};
    base::Progress* progress = nullptr;  // advanced by the bytes that were copied
    int n_threads = 1;                   // 2: hashing goes on beside reading and writing
  };
  /// Writes the whole of `from`, in chunks of 1 MiB that are private while they are hashed and
  /// written: what was hashed is what lies in the copy, whatever happens to `from` meanwhile.
  Status copy(const base::ReadFile& from, const CopyOptions& options);
  Result<StagedFile> finish();

 private:
  StagedWriter(std::filesystem::path at, std::string name, base::UniqueFd fd,
               ContentHash::Verity verity)
      : at_(std::move(at)), name_(std::move(name)), fd_(std::move(fd)), hash_(verity) {}
  std::filesystem::path at_;
  std::string name_;
  base::UniqueFd fd_;
  ContentHash hash_;
  uint64_t size_ = 0;
};

/// Writes all of `bytes` to `fd`. ENOSPC, EDQUOT and EFBIG are kExhausted; `path` is for the
/// message.
Status write_fully(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path);

/// Bytes free to this user on the file system of `path`.
Result<uint64_t> available_bytes(const std::filesystem::path& path);

/// kCancelled once a stop was asked for.
Status check_stop(const std::stop_token& stop);

struct HashOptions {
  std::stop_token stop = {};
  base::Progress* progress = nullptr;  // advanced by the bytes that were hashed
  ContentHash::Verity verity = ContentHash::Verity::kNo;
};
/// The digests of the first `bytes` bytes of a file, which has at least as many.
Result<ContentHash> hash_prefix(const base::ReadFile& file, uint64_t bytes,
                                const HashOptions& options);

}  // namespace lantern::supply
