#include "supply/receipt.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/json.h"
#include "base/paths.h"

namespace lantern::supply {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;
constexpr int64_t kYoung_ns = 2 * kSecond_ns;  // the coarsest tick of the file systems in use (FAT)

}  // namespace

int64_t wall_clock_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return int64_t{now.tv_sec} * kSecond_ns + now.tv_nsec;
}

Result<ReceiptKey> ReceiptKey::existing(const std::filesystem::path& folder) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(folder / "receipt.key", 4096));
  LANTERN_ASSIGN(const base::Digest bytes, base::digest_from_hex(text));
  return ReceiptKey(bytes);
}

Result<ReceiptKey> ReceiptKey::of(const std::filesystem::path& folder) {
  auto key = existing(folder);
  if (!key.ok() && key.error().code == ErrorCode::kNotFound) {
    const std::filesystem::path path = folder / "receipt.key";
    base::Digest fresh;
    if (::getrandom(fresh.data(), fresh.size(), 0) != static_cast<ssize_t>(fresh.size()))
      return base::errno_error(errno, "random numbers");
    LANTERN_TRY(base::make_private_folder(folder));
    // Made whole beside it, then linked: of two processes one wins, and both read the winner's.
    const std::filesystem::path own = folder / fmt::format("receipt.key.{}", ::getpid());
    LANTERN_TRY(base::write_file_atomically(own, base::to_hex(fresh)));
    const bool linked = ::chmod(own.c_str(), 0600) == 0 &&
                        (::link(own.c_str(), path.c_str()) == 0 || errno == EEXIST);
    const int why = errno;
    ::unlink(own.c_str());
    if (!linked) return base::errno_error(why, path.string());
    return existing(folder);
  }
  return key;
}

base::Digest ReceiptKey::mac(const Receipt& r) const {
  std::string text = fmt::format("lantern-receipt-v{}\n{} {} {} {} {} {} {}\n", r.verity ? 2 : 1,
                                 base::to_hex(r.digest), r.stamp.device, r.stamp.inode,
                                 r.stamp.size, r.stamp.mtime_ns, r.stamp.ctime_ns, r.hashed_at_ns);
  if (r.verity) text += base::to_hex(*r.verity) + "\n";
  return base::hmac_sha256(bytes_, std::as_bytes(std::span(text)));
}

std::optional<Receipt> read_receipt(const std::filesystem::path& path, const ReceiptKey& key) {
  auto text = base::read_text_file(path, 4096);
  if (!text.ok()) return std::nullopt;
  auto json = base::parse_json(*text, path.string(), {.bytes_max = 4096, .depth_max = 2});
  if (!json.ok() || !json->is_object()) return std::nullopt;
  auto number = [&](const char* name, auto& out) {
    auto found = json->find(name);
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
  if (auto verity = json->find("verity"); verity != json->end()) {
    if (!verity->is_string()) return std::nullopt;
    auto root = base::digest_from_hex(verity->get_ref<const std::string&>());
    if (!root.ok()) return std::nullopt;
    receipt.verity = *root;
  }
  bool whole = number("device", receipt.stamp.device) && number("inode", receipt.stamp.inode) &&
               number("size", receipt.stamp.size) && number("mtime_ns", receipt.stamp.mtime_ns) &&
               number("ctime_ns", receipt.stamp.ctime_ns) &&
               number("hashed_at_ns", receipt.hashed_at_ns);
  const auto mac = json->find("hmac");
  if (!whole || mac == json->end() || !mac->is_string()) return std::nullopt;
  const auto said = base::digest_from_hex(mac->get_ref<const std::string&>());
  return said.ok() && *said == key.mac(receipt) ? std::optional(receipt) : std::nullopt;
}

Status write_receipt(const std::filesystem::path& path, const Receipt& receipt,
                     const ReceiptKey& key) {
  base::OrderedJson json = {
      {"sha256", base::to_hex(receipt.digest)}, {"device", receipt.stamp.device},
      {"inode", receipt.stamp.inode},           {"size", receipt.stamp.size},
      {"mtime_ns", receipt.stamp.mtime_ns},     {"ctime_ns", receipt.stamp.ctime_ns},
      {"hashed_at_ns", receipt.hashed_at_ns},   {"hmac", base::to_hex(key.mac(receipt))}};
  if (receipt.verity) json["verity"] = base::to_hex(*receipt.verity);
  return base::write_file_atomically(path, json.dump() + "\n");
}

bool vouches(const Receipt& receipt, const base::FileStamp& stamp) {
  // Every write moves ctime, and unlike mtime nobody can set it.
  return receipt.stamp == stamp && receipt.hashed_at_ns - kYoung_ns >= stamp.ctime_ns &&
         receipt.hashed_at_ns <= wall_clock_ns();
}

}  // namespace lantern::supply
