#include "supply/receipt.h"

#include <sys/stat.h>

#include <cerrno>
#include <ctime>

#include "base/json.h"

namespace lantern::supply {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
constexpr int64_t kYoung_ns = 2 * kSecond_ns;  // the coarsest tick of the file systems in use (FAT)

int64_t nanoseconds(const timespec& t) { return int64_t{t.tv_sec} * kSecond_ns + t.tv_nsec; }

}  // namespace

Result<Stamp> stamp_of(int fd, const std::filesystem::path& path) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return base::errno_error(errno, path.string());
  return Stamp{.device = info.st_dev,
               .inode = info.st_ino,
               .size = static_cast<uint64_t>(info.st_size),
               .mtime_ns = nanoseconds(info.st_mtim),
               .ctime_ns = nanoseconds(info.st_ctim)};
}

int64_t wall_clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

std::optional<Receipt> read_receipt(const std::filesystem::path& path) {
  auto text = base::read_text_file(path, 4096);
  if (!text.ok()) return std::nullopt;
  auto json = base::parse_json(*text, path.string(), {.bytes_max = 4096, .depth_max = 2});
  if (!json.ok() || !json->is_object()) return std::nullopt;
  auto number = [&](const char* key, auto& out) {
    auto found = json->find(key);
    if (found == json->end() || !found->is_number_integer()) return false;
    out = found->get<std::remove_reference_t<decltype(out)>>();
    return true;
  };
  Receipt receipt;
  auto hex = json->find("sha256");
  if (hex == json->end() || !hex->is_string()) return std::nullopt;
  auto digest = base::digest_from_hex(hex->get_ref<const std::string&>());
  if (!digest.ok()) return std::nullopt;
  receipt.digest = *digest;
  bool whole = number("device", receipt.stamp.device) && number("inode", receipt.stamp.inode) &&
               number("size", receipt.stamp.size) && number("mtime_ns", receipt.stamp.mtime_ns) &&
               number("ctime_ns", receipt.stamp.ctime_ns) &&
               number("hashed_at_ns", receipt.hashed_at_ns);
  return whole ? std::optional(receipt) : std::nullopt;
}

Status write_receipt(const std::filesystem::path& path, const Receipt& receipt) {
  base::OrderedJson json = {
      {"sha256", base::to_hex(receipt.digest)}, {"device", receipt.stamp.device},
      {"inode", receipt.stamp.inode},           {"size", receipt.stamp.size},
      {"mtime_ns", receipt.stamp.mtime_ns},     {"ctime_ns", receipt.stamp.ctime_ns},
      {"hashed_at_ns", receipt.hashed_at_ns}};
  return base::write_file_atomically(path, json.dump() + "\n");
}

bool vouches(const Receipt& receipt, const Stamp& stamp) {
  // Every write moves ctime, and unlike mtime nobody can set it.
  return receipt.stamp == stamp && receipt.hashed_at_ns - kYoung_ns >= stamp.ctime_ns &&
         receipt.hashed_at_ns <= wall_clock_ns();
}

}  // namespace lantern::supply
