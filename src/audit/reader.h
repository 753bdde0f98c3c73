// A log as it stands on disk, for reading: the published tiles and, after them, the journal.
// Nothing is verified here (audit/verify.h does), so what it returns is a claim of the files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "audit/checkpoint.h"
#include "audit/journal.h"
#include "audit/merkle.h"
#include "audit/tiles.h"
#include "base/result.h"

namespace lantern::audit {

/// The files of a log's folder, by name.
inline constexpr std::string_view kCheckpointFile = "checkpoint";  // published: in tiles
inline constexpr std::string_view kJournalFile = "journal";
inline constexpr std::string_view kHeadFile = "head";  // the newest checkpoint
inline constexpr std::string_view kLockFile = "lock";
inline constexpr std::string_view kPrunedFile =
    "pruned";  // the first entry kept, and the record of it

/// A snapshot: what is appended after open() is not seen. One thread at a time.
class LogView : public HashSource {
 public:
  /// kNotFound where the folder has no log. Waits for a writer that is in the middle of a batch
  /// where it may take the log's lock, and reads a copy that it may not lock as it is.
  static Result<LogView> open(const std::filesystem::path& folder);
  /// The same for a caller that holds the log's lock.
  static Result<LogView> open_locked(const std::filesystem::path& folder);

  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  [[nodiscard]] uint64_t size() const { return head_.checkpoint.size; }
  /// The newest checkpoint that entries on disk stand behind; its signature is unverified.
  [[nodiscard]] const SignedCheckpoint& head() const { return head_; }
  [[nodiscard]] const SignedCheckpoint& published() const { return published_; }
  [[nodiscard]] const Journal& journal() const { return journal_; }
  /// The entries that are not in tiles, from published() on, and their leaf hashes.
  [[nodiscard]] const std::vector<std::string>& tail() const { return tail_; }
  [[nodiscard]] const std::vector<Hash>& tail_leaves() const { return tail_leaves_; }
  /// The last checkpoint that a writer noted beside the log, where it did.
  [[nodiscard]] const std::optional<SignedCheckpoint>& noted_head() const { return noted_head_; }
  /// Entries before this one were dropped by retention.
  [[nodiscard]] uint64_t first_kept() const { return first_kept_; }
  /// The entry that is said to record that drop; only where first_kept() is not 0.
  [[nodiscard]] uint64_t drop_record() const { return drop_record_; }

  Result<std::string> entry(uint64_t index);
  /// Calls f(index, entry) for [begin, end); a false from f ends it.
  Status for_each(uint64_t begin, uint64_t end,
                  const std::function<bool(uint64_t, std::string_view)>& f);
  Result<Hash> node(int level, uint64_t index) override;

 private:
  LogView(std::filesystem::path folder, uint64_t published_size)
      : folder_(std::move(folder)), tiles_(folder_, published_size) {}

  Status read_drop(std::string_view text);

  std::filesystem::path folder_;
  SignedCheckpoint published_, head_;
  std::optional<SignedCheckpoint> noted_head_;
  Journal journal_;
  uint64_t first_kept_ = 0;
  uint64_t drop_record_ = 0;
  TileSource tiles_;
  TreeHasher hasher_;
  std::vector<std::string> tail_;  // entries from published_.size on
  std::vector<Hash> tail_leaves_;
};

/// A checkpoint without a look at its signatures.
Result<SignedCheckpoint> read_unverified(std::string_view note, std::string_view what);

/// "the published checkpoint covers N entries, the journal ends at M": a log whose parts do not
/// meet was cut. Also whether the journal reaches back to the tiles.
Status parts_meet(uint64_t published_size, const Journal& journal, std::string_view what);

}  // namespace lantern::audit
