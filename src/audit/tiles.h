// The files of a log in C2SP's tlog-tiles layout: hashes in tiles of 256, entries in bundles of
// 256, both append-only. Level L holds the hashes of complete subtrees of 256^L entries.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "audit/merkle.h"
#include "base/result.h"

namespace lantern::audit {

inline constexpr uint64_t kTileWidth = 256;
inline constexpr int kTileHeight = 8;  // kTileWidth is 2^kTileHeight

/// "tile/1/x001/067" or, with a width below 256, "tile/1/x001/067.p/17".
std::string tile_path(int level, uint64_t index, uint64_t width);
/// The same under "tile/entries/".
std::string bundle_path(uint64_t index, uint64_t width);

/// How many hashes tile `index` of `level` has in a log of `size` entries: 0 to 256.
uint64_t tile_width(int level, uint64_t index, uint64_t size);

/// A tile's hashes. kCorrupt unless the file is exactly `width` hashes.
Result<std::vector<Hash>> parse_tile(std::span<const std::byte> bytes, uint64_t width,
                                     std::string_view what);
/// A bundle's entries, each with a 16-bit big-endian length before it. kCorrupt unless the file is
/// exactly `width` entries. They point into `bytes`.
Result<std::vector<std::string_view>> parse_bundle(std::string_view bytes, uint64_t width,
                                                   std::string_view what);
/// Appends an entry to a bundle; its size fits in 16 bits.
void append_to_bundle(std::string& bundle, std::string_view entry);

/// The first `width` hashes of a tile, from its own file or, where that is gone, from the full one.
Result<std::vector<Hash>> read_tile(const std::filesystem::path& folder, int level, uint64_t index,
                                    uint64_t width);
/// A bundle's bytes, likewise cut to its first `width` entries.
Result<std::string> read_bundle(const std::filesystem::path& folder, uint64_t index,
                                uint64_t width);

/// A file of the log that only one of more than `size` entries has, where there is one: tiles and
/// bundles are written for entries that are durable already, so the log was longer once.
Result<std::optional<std::filesystem::path>> file_beyond(const std::filesystem::path& folder,
                                                         uint64_t size);

/// The hashes of a log on disk. What it returns is as trustworthy as the files: the caller holds a
/// root made of it against a signed one. One thread at a time.
class TileSource : public HashSource {
 public:
  TileSource(std::filesystem::path folder, uint64_t size)
      : folder_(std::move(folder)), size_(size) {}
  [[nodiscard]] uint64_t size() const { return size_; }
  Result<Hash> node(int level, uint64_t index) override;

 private:
  std::filesystem::path folder_;
  uint64_t size_;
  TreeHasher hasher_;
  std::map<std::pair<int, uint64_t>, std::vector<Hash>> cache_;
};

/// Extends the tiles of a log of `size` entries. A file that a published checkpoint needs is never
/// written again or removed before what replaces it is durable, so a crash leaves at most files
/// that nobody needs, which the next run writes anew.
class TileWriter {
 public:
  /// Reads the partial tiles of a log of `size` entries back.
  static Result<TileWriter> open(std::filesystem::path folder, uint64_t size);

  [[nodiscard]] uint64_t size() const { return size_; }
  /// `leaf` is leaf_hash(entry).
  Status add(std::string_view entry, const Hash& leaf);
  /// Writes the partial tiles and makes all files durable, their folders too; then removes the
  /// partial ones of tiles that are full now.
  Status flush();

 private:
  explicit TileWriter(std::filesystem::path folder) : folder_(std::move(folder)) {}
  Status add_hash(int level, const Hash& hash);
  Status write(const std::string& path, std::span<const std::byte> bytes);
  Status make_durable();

  std::filesystem::path folder_;
  uint64_t size_ = 0;
  std::string bundle_;                          // the entries after the last full bundle
  std::vector<std::vector<Hash>> tiles_;        // per level, the hashes after the last full tile
  std::vector<uint64_t> full_tiles_;            // per level, how many full ones precede
  std::vector<bool> changed_;                   // per level, since the last flush()
  std::vector<std::filesystem::path> written_;  // not durable yet
  TreeHasher hasher_;
};

}  // namespace lantern::audit
