#include "audit/tiles.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <mutex>
#include <set>
#include <system_error>
#include <thread>

#include "base/file.h"
#include "base/paths.h"

namespace lantern::audit {
namespace {

namespace fs = std::filesystem;

// 256 entries of at most 65,535 bytes and their lengths.
constexpr uint64_t kBundleBytesMax = kTileWidth * (65535 + 2);
constexpr size_t kCachedTilesMax = 256;  // 2 MiB

std::string number_path(uint64_t index) {
  std::string path = fmt::format("{:03}", index % 1000);
  for (index /= 1000; index > 0; index /= 1000) path = fmt::format("x{:03}/{}", index % 1000, path);
  return path;
}

std::string with_width(std::string path, uint64_t width) {
  return width == kTileWidth ? path : fmt::format("{}.p/{}", path, width);
}

/// The file, or nothing where there is none.
Result<std::string> read_or_full(const fs::path& folder, const std::string& partial,
                                 const std::string& full, uint64_t bytes_max) {
  auto bytes = base::read_text_file(folder / partial, bytes_max);
  if (bytes.ok() || bytes.error().code != ErrorCode::kNotFound || partial == full) return bytes;
  auto whole = base::read_text_file(folder / full, bytes_max);
  if (!whole.ok() && whole.error().code == ErrorCode::kNotFound) return bytes;
  return whole;
}

std::span<const std::byte> bytes_of(const std::vector<Hash>& hashes) {
  return std::as_bytes(std::span(hashes));
}

}  // namespace

std::string tile_path(int level, uint64_t index, uint64_t width) {
  return with_width(fmt::format("tile/{}/{}", level, number_path(index)), width);
}

std::string bundle_path(uint64_t index, uint64_t width) {
  return with_width(fmt::format("tile/entries/{}", number_path(index)), width);
}

uint64_t tile_width(int level, uint64_t index, uint64_t size) {
  const uint64_t n_hashes = level * kTileHeight >= 64 ? 0 : size >> (level * kTileHeight);
  if (index > n_hashes / kTileWidth) return 0;
  return std::min(kTileWidth, n_hashes - index * kTileWidth);
}

Result<std::vector<Hash>> parse_tile(std::span<const std::byte> bytes, uint64_t width,
                                     std::string_view what) {
  if (width > kTileWidth || bytes.size() != width * sizeof(Hash))
    return make_error(ErrorCode::kCorrupt, "{}: {} bytes, a tile of {} hashes has {}", what,
                      bytes.size(), width, width * sizeof(Hash));
  std::vector<Hash> hashes(width);
  if (width > 0) std::memcpy(hashes.data(), bytes.data(), bytes.size());
  return hashes;
}

Result<std::vector<std::string_view>> parse_bundle(std::string_view bytes, uint64_t width,
                                                   std::string_view what) {
  std::vector<std::string_view> entries;
  entries.reserve(width);
  for (uint64_t i = 0; i < width; ++i) {
    const size_t length = bytes.size() < 2
                              ? 0
                              : static_cast<size_t>(static_cast<uint8_t>(bytes[0])) << 8 |
                                    static_cast<uint8_t>(bytes[1]);
    if (bytes.size() < 2 || bytes.size() - 2 < length)
      return make_error(ErrorCode::kCorrupt, "{}: ends within entry {} of {}", what, i, width);
    entries.push_back(bytes.substr(2, length));
    bytes.remove_prefix(2 + length);
  }
  if (!bytes.empty())
    return make_error(ErrorCode::kCorrupt, "{}: {} bytes after its {} entries", what, bytes.size(),
                      width);
  return entries;
}

void append_to_bundle(std::string& bundle, std::string_view entry) {
  LANTERN_CHECK(entry.size() <= 65535);
  bundle += static_cast<char>(entry.size() >> 8);
  bundle += static_cast<char>(entry.size() & 255);
  bundle += entry;
}

Result<std::vector<Hash>> read_tile(const fs::path& folder, int level, uint64_t index,
                                    uint64_t width) {
  const std::string path = tile_path(level, index, width);
  LANTERN_ASSIGN(
      const std::string bytes,
      read_or_full(folder, path, tile_path(level, index, kTileWidth), kTileWidth * sizeof(Hash)));
  std::span<const std::byte> view = std::as_bytes(std::span(bytes));
  if (view.size() == kTileWidth * sizeof(Hash)) view = view.first(width * sizeof(Hash));
  return parse_tile(view, width, (folder / path).string());
}

Result<std::string> read_bundle(const fs::path& folder, uint64_t index, uint64_t width) {
  const std::string path = bundle_path(index, width);
  LANTERN_ASSIGN(std::string bytes,
                 read_or_full(folder, path, bundle_path(index, kTileWidth), kBundleBytesMax));
  const std::string what = (folder / path).string();
  if (width == kTileWidth || parse_bundle(bytes, width, what).ok()) return bytes;
  LANTERN_ASSIGN(const auto all, parse_bundle(bytes, kTileWidth, what));
  const std::string_view last = all[width - 1];
  bytes.resize(static_cast<size_t>(last.data() + last.size() - bytes.data()));
  return bytes;
}

namespace {

/// The entries that a log has at least which has the file at `path` ("0/x001/067.p/17", under
/// tile/); nothing for another file.
std::optional<uint64_t> entries_of(const fs::path& path) {
  const auto number = [](std::string_view digits) -> std::optional<uint64_t> {
    uint64_t value = 0;
    const auto [end, fault] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (fault != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    return value;
  };
  std::vector<std::string> parts;
  for (const fs::path& part : path) parts.push_back(part.string());
  if (parts.size() < 2 || parts.size() > 10) return std::nullopt;
  uint64_t width = kTileWidth;
  if (parts[parts.size() - 2].ends_with(".p")) {
    const auto partial = number(parts.back());
    if (!partial || *partial == 0 || *partial >= kTileWidth) return std::nullopt;
    width = *partial;
    parts.pop_back();
    parts.back().resize(parts.back().size() - 2);
  }
  const auto level = parts[0] == "entries" ? 0 : number(parts[0]);
  if (!level || *level > 7) return std::nullopt;
  uint64_t index = 0;
  for (size_t i = 1; i < parts.size(); ++i) {
    const bool inner = i + 1 < parts.size();
    if (inner != parts[i].starts_with('x')) return std::nullopt;
    const auto digits = number(std::string_view(parts[i]).substr(inner ? 1 : 0));
    if (!digits || *digits > 999 || index > (uint64_t{1} << 50) / 1000) return std::nullopt;
    index = index * 1000 + *digits;
  }
  if (index >> (55 - *level * kTileHeight) != 0) return std::nullopt;
  return (index * kTileWidth + width) << (*level * kTileHeight);
}

}  // namespace

Result<std::optional<fs::path>> file_beyond(const fs::path& folder, uint64_t size) {
  const fs::path root = folder / "tile";
  std::error_code error;
  fs::recursive_directory_iterator at(root, error), end;
  for (; !error && at != end; at.increment(error)) {
    if (at.depth() > 10) at.disable_recursion_pending();
    if (!at->is_regular_file(error)) continue;
    const auto needed = entries_of(at->path().lexically_relative(root));
    if (needed && *needed > size) return std::optional(at->path());
  }
  if (error && error != std::errc::no_such_file_or_directory)
    return base::errno_error(error.value(), root.string());
  return std::optional<fs::path>();
}

Result<Hash> TileSource::node(int level, uint64_t index) {
  const int tile_level = level / kTileHeight;
  const int above = level % kTileHeight;  // rows above the tile's own
  const uint64_t first = index << above;
  const uint64_t tile = first / kTileWidth;
  const uint64_t width = tile_width(tile_level, tile, size_);
  const uint64_t begin = first % kTileWidth, count = uint64_t{1} << above;
  if (begin + count > width)
    return make_error(ErrorCode::kInternal, "no node {} at level {} in a log of {} entries", index,
                      level, size_);
  auto found = cache_.find({tile_level, tile});
  if (found == cache_.end()) {
    LANTERN_ASSIGN(std::vector<Hash> hashes, read_tile(folder_, tile_level, tile, width));
    if (cache_.size() >= kCachedTilesMax) cache_.clear();
    found = cache_.emplace(std::pair(tile_level, tile), std::move(hashes)).first;
  }
  std::vector<Hash> row(found->second.begin() + static_cast<ptrdiff_t>(begin),
                        found->second.begin() + static_cast<ptrdiff_t>(begin + count));
  for (; row.size() > 1; row.resize(row.size() / 2))
    for (size_t i = 0; i < row.size() / 2; ++i) row[i] = hasher_.node(row[2 * i], row[2 * i + 1]);
  return row[0];
}

Result<TileWriter> TileWriter::open(fs::path folder, uint64_t size) {
  TileWriter writer(std::move(folder));
  writer.size_ = size;
  if (const uint64_t width = size % kTileWidth; width > 0) {
    LANTERN_ASSIGN(writer.bundle_, read_bundle(writer.folder_, size / kTileWidth, width));
  }
  for (int level = 0; size >> (level * kTileHeight) > 0; ++level) {
    const uint64_t n_hashes = size >> (level * kTileHeight);
    writer.full_tiles_.push_back(n_hashes / kTileWidth);
    writer.tiles_.emplace_back();
    writer.changed_.push_back(false);
    if (const uint64_t width = n_hashes % kTileWidth; width > 0) {
      LANTERN_ASSIGN(writer.tiles_.back(),
                     read_tile(writer.folder_, level, n_hashes / kTileWidth, width));
    }
    if (level == 7) break;  // 256^8 entries are out of any reach
  }
  return writer;
}

Status TileWriter::write(const std::string& path, std::span<const std::byte> bytes) {
  const fs::path target = folder_ / path;
  const fs::path folder = target.parent_path();
  std::error_code ignored;
  if (!fs::exists(folder, ignored)) {
    LANTERN_TRY(base::make_private_folder(folder));
    for (fs::path above = folder.parent_path(); above != folder_; above = above.parent_path())
      LANTERN_TRY(base::sync_folder(above));
    LANTERN_TRY(base::sync_folder(folder_));
  }
  const base::UniqueFd fd(
      ::open(target.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return base::errno_error(errno, target.string());
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd.get(), bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return base::errno_error(n < 0 ? errno : EIO, target.string());
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  written_.push_back(target);
  return {};
}

namespace {

// Each fsync waits for the disk to flush; those that wait together are served by one flush.
constexpr size_t kFsyncsAtOnce = 8;

Status sync_files(std::span<const fs::path> files) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  Status status;
  const auto work = [&] {
    for (size_t i = next++; i < files.size(); i = next++) {
      const base::UniqueFd fd(::open(files[i].c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
      if (fd.get() >= 0 && ::fsync(fd.get()) == 0) continue;
      const int fault = errno;
      const std::lock_guard guard(mutex);
      status = base::errno_error(fault, files[i].string());
    }
  };
  std::vector<std::jthread> threads;
  const auto start_helpers = [&] {
    try {
      for (size_t i = 1; i < std::min(kFsyncsAtOnce, files.size()); ++i) threads.emplace_back(work);
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  };
  (void)start_helpers();  // without threads to be had this one does it all
  work();
  threads.clear();
  return status;
}

}  // namespace

Status TileWriter::make_durable() {
  std::set<fs::path> folders;
  for (const fs::path& file : written_) folders.insert(file.parent_path());
  LANTERN_TRY(sync_files(written_));
  for (const fs::path& folder : folders) LANTERN_TRY(base::sync_folder(folder));
  // The partial files of a full tile have served: who still wants one takes the full one's first
  // entries.
  std::error_code ignored;
  for (const fs::path& file : written_)
    if (file.parent_path().extension() != ".p") fs::remove_all(file.string() + ".p", ignored);
  written_.clear();
  return {};
}

Status TileWriter::add_hash(int level, const Hash& hash) {
  // One level up for each tile that this hash completes.
  for (Hash carry = hash;; ++level) {
    const auto at = static_cast<size_t>(level);
    if (at == tiles_.size()) {
      tiles_.emplace_back();
      full_tiles_.push_back(0);
      changed_.push_back(false);
    }
    std::vector<Hash>& tile = tiles_[at];
    tile.push_back(carry);
    changed_[at] = true;
    if (tile.size() < kTileWidth) return {};
    LANTERN_TRY(write(tile_path(level, full_tiles_[at], kTileWidth), bytes_of(tile)));
    for (; tile.size() > 1; tile.resize(tile.size() / 2))
      for (size_t i = 0; i < tile.size() / 2; ++i)
        tile[i] = hasher_.node(tile[2 * i], tile[2 * i + 1]);
    carry = tile[0];
    tile.clear();
    ++full_tiles_[at];
  }
}

Status TileWriter::add(std::string_view entry, const Hash& leaf) {
  append_to_bundle(bundle_, entry);
  ++size_;
  if (size_ % kTileWidth == 0) {
    LANTERN_TRY(
        write(bundle_path(size_ / kTileWidth - 1, kTileWidth), std::as_bytes(std::span(bundle_))));
    bundle_.clear();
  }
  return add_hash(0, leaf);
}

Status TileWriter::flush() {
  // What did not change is there already, and published: it is not touched.
  if (const uint64_t width = size_ % kTileWidth; width > 0 && changed_[0])
    LANTERN_TRY(write(bundle_path(size_ / kTileWidth, width), std::as_bytes(std::span(bundle_))));
  for (size_t level = 0; level < tiles_.size(); ++level)
    if (!tiles_[level].empty() && changed_[level])
      LANTERN_TRY(
          write(tile_path(static_cast<int>(level), full_tiles_[level], tiles_[level].size()),
                bytes_of(tiles_[level])));
  changed_.assign(changed_.size(), false);
  return make_durable();
}

}  // namespace lantern::audit
