#include "audit/key_backup.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <cstring>

#include "base/aead.h"
#include "base/byte_reader.h"
#include "base/hash.h"

namespace lantern::audit {
namespace {

constexpr std::string_view kBackupMagic = "LANTKEYS";
constexpr uint32_t kBackupVersion = 1;
constexpr uint32_t kScrypt = 1;
constexpr uint32_t kBlocks = 8;  // scrypt's r
constexpr size_t kSaltBytes = 32, kNonceBytes = 12, kTagBytes = 16, kSumBytes = 32, kKeyBytes = 32;
constexpr size_t kHeaderBytes = 80;
// What a file may ask of its reader: at most 1 GiB of memory, four times over.
constexpr uint32_t kCostMin = 14, kCostMax = 20, kPassesMax = 4;

unsigned char* raw(char* bytes) { return reinterpret_cast<unsigned char*>(bytes); }
const unsigned char* raw(std::string_view bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

void put_u32(std::string& out, uint32_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  out.append(bytes, sizeof value);
}

std::string random_bytes(size_t n) {
  std::string bytes(n, '\0');
  LANTERN_CHECK(RAND_bytes(raw(bytes.data()), static_cast<int>(n)) == 1);
  return bytes;
}

std::string sum_of(std::string_view bytes) {
  const base::Digest digest = base::sha256(std::as_bytes(std::span(bytes)));
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

/// The parts of a file that is whole.
struct Parts {
  ScryptCost cost = {};
  std::string_view header, salt, nonce, ciphertext, tag;
};

Result<Parts> parse(std::string_view file, std::string_view what) {
  if (file.size() > kBackupBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes, at most {} are read", what, file.size(),
                      kBackupBytesMax);
  if (!file.starts_with(kBackupMagic.substr(0, std::min(kBackupMagic.size(), file.size()))) ||
      file.empty())
    return make_error(ErrorCode::kCorrupt, "{}: no backup of keys", what);
  const auto is_cut = [&](uint64_t needed) {
    return make_error(ErrorCode::kCorrupt,
                      "{}: the backup was cut: {} bytes of {}; take another copy of it", what,
                      file.size(), needed);
  };
  if (file.size() < kHeaderBytes) return is_cut(kHeaderBytes + kTagBytes + kSumBytes);
  base::ByteReader reader(std::as_bytes(std::span(file)));
  LANTERN_TRY(reader.seek(kBackupMagic.size(), "version"));
  LANTERN_ASSIGN(const auto version, reader.read<uint32_t>("version"));
  LANTERN_ASSIGN(const auto kdf, reader.read<uint32_t>("key derivation"));
  Parts parts;
  LANTERN_ASSIGN(parts.cost.n_log2, reader.read<uint32_t>("cost"));
  LANTERN_ASSIGN(const auto blocks, reader.read<uint32_t>("blocks"));
  LANTERN_ASSIGN(parts.cost.p, reader.read<uint32_t>("passes"));
  LANTERN_ASSIGN(const auto n_bytes, reader.read<uint32_t>("bytes"));
  const uint64_t needed = uint64_t{kHeaderBytes} + n_bytes + kTagBytes + kSumBytes;
  if (needed > file.size()) return is_cut(needed);
  if (needed < file.size() ||
      file.substr(file.size() - kSumBytes) != sum_of(file.substr(0, file.size() - kSumBytes)))
    return make_error(ErrorCode::kCorrupt,
                      "{}: the backup was changed: it is not what its checksum covers; take "
                      "another copy of it",
                      what);
  if (version != kBackupVersion || kdf != kScrypt)
    return make_error(ErrorCode::kUnsupported,
                      "{}: backup version {}, key derivation {}; this program knows {} and {}",
                      what, version, kdf, kBackupVersion, kScrypt);
  if (parts.cost.n_log2 < kCostMin || parts.cost.n_log2 > kCostMax || blocks != kBlocks ||
      parts.cost.p < 1 || parts.cost.p > kPassesMax)
    return make_error(ErrorCode::kUnsupported,
                      "{}: asks for a key derivation of cost 2^{}, {} blocks, {} passes", what,
                      parts.cost.n_log2, blocks, parts.cost.p);
  parts.header = file.substr(0, kHeaderBytes);
  parts.salt = file.substr(32, kSaltBytes);
  parts.nonce = file.substr(64, kNonceBytes);
  parts.ciphertext = file.substr(kHeaderBytes, n_bytes);
  parts.tag = file.substr(kHeaderBytes + n_bytes, kTagBytes);
  return parts;
}

Result<base::Secret> derive(std::string_view passphrase, std::string_view salt, ScryptCost cost) {
  base::Secret key(kKeyBytes);
  const uint64_t n = uint64_t{1} << cost.n_log2;
  const uint64_t memory = uint64_t{128} * kBlocks * (n + cost.p + 2) + (uint64_t{1} << 20);
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(), raw(salt), salt.size(), n, kBlocks,
                     cost.p, memory, raw(key.bytes().data()), key.size()) != 1) {
    ERR_clear_error();
    return make_error(ErrorCode::kExhausted,
                      "no {} MiB of memory for the key of the backup's passphrase", memory >> 20);
  }
  return key;
}

}  // namespace

Result<std::string> seal_backup(std::span<const KeyCopy> keys, std::string_view passphrase,
                                ScryptCost cost) {
  if (passphrase.size() < kPassphraseBytesMin)
    return make_error(ErrorCode::kInvalidArgument,
                      "a passphrase of {} bytes: whoever has the backup can try as many as they "
                      "like, so give at least {}",
                      passphrase.size(), kPassphraseBytesMin);
  const base::Secret content = backup_content(keys);
  if (content.size() > kBackupBytesMax - kHeaderBytes - kTagBytes - kSumBytes)
    return make_error(ErrorCode::kTooLarge, "{} keys are too many for one backup", keys.size());
  std::string file(kBackupMagic);
  for (const uint32_t field : {kBackupVersion, kScrypt, cost.n_log2, kBlocks, cost.p,
                               static_cast<uint32_t>(content.size())})
    put_u32(file, field);
  const std::string salt = random_bytes(kSaltBytes), nonce = random_bytes(kNonceBytes);
  file += salt + nonce;
  put_u32(file, 0);
  LANTERN_CHECK(file.size() == kHeaderBytes);
  LANTERN_ASSIGN(const base::Secret key, derive(passphrase, salt, cost));

  file += base::aead_seal({.key = key.view(), .nonce = nonce, .context = file}, content.view());
  return file + sum_of(file);
}

Status check_backup(std::string_view file, std::string_view what) {
  LANTERN_ASSIGN(const Parts parts, parse(file, what));
  (void)parts;
  return {};
}

Result<std::vector<KeyCopy>> open_backup(std::string_view file, std::string_view passphrase,
                                         std::string_view what) {
  LANTERN_ASSIGN(const Parts parts, parse(file, what));
  LANTERN_ASSIGN(const base::Secret key, derive(passphrase, parts.salt, parts.cost));
  const auto content =
      base::aead_open({.key = key.view(), .nonce = parts.nonce, .context = parts.header},
                      std::string(parts.ciphertext).append(parts.tag));
  if (!content.ok())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: the passphrase is wrong (or somebody changed the backup and its "
                      "checksum)",
                      what);
  return parse_backup_content(content->view(), what);
}

base::Secret backup_content(std::span<const KeyCopy> keys) {
  std::vector<std::string> infos;
  size_t n_bytes = 4;
  for (const KeyCopy& key : keys) {
    infos.push_back(key_info_to_json(key.info));
    n_bytes += 8 + infos.back().size() + key.private_half.size();
  }
  base::Secret content(n_bytes);
  char* out = content.bytes().data();
  const auto put = [&](std::string_view bytes) {
    out = std::copy(bytes.begin(), bytes.end(), out);
  };
  const auto put_size = [&](size_t size) {
    std::string bytes;
    put_u32(bytes, static_cast<uint32_t>(size));
    put(bytes);
  };
  put_size(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    put_size(infos[i].size());
    put(infos[i]);
    put_size(keys[i].private_half.size());
    put(keys[i].private_half.view());
  }
  return content;
}

Result<std::vector<KeyCopy>> parse_backup_content(std::string_view content, std::string_view what) {
  base::ByteReader reader(std::as_bytes(std::span(content)));
  const auto within = [&](auto result) {
    if (!result.ok()) result = std::move(result).error().within(what);
    return result;
  };
  const auto text = [&](std::string_view field) -> Result<std::string_view> {
    LANTERN_ASSIGN(const auto size, within(reader.read<uint32_t>(field)));
    LANTERN_ASSIGN(const auto bytes, within(reader.read_bytes(size, field)));
    return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  LANTERN_ASSIGN(const auto n_keys, within(reader.read<uint32_t>("number of keys")));
  if (n_keys > kRingKeysMax)
    return make_error(ErrorCode::kCorrupt, "{}: {} keys, at most {} are read", what, n_keys,
                      kRingKeysMax);
  std::vector<KeyCopy> keys;
  for (uint32_t i = 0; i < n_keys; ++i) {
    KeyCopy key;
    LANTERN_ASSIGN(const std::string_view info, text("key"));
    LANTERN_ASSIGN(key.info, key_info_from_json(info, what));
    LANTERN_ASSIGN(const std::string_view secret, text("private half"));
    if (!secret.empty()) LANTERN_TRY(check_private_half(key.info, secret, what));
    key.private_half = base::Secret::of(secret);
    key.info.has_private = !secret.empty();
    keys.push_back(std::move(key));
  }
  if (reader.remaining() > 0)
    return make_error(ErrorCode::kCorrupt, "{}: {} bytes after its {} keys", what,
                      reader.remaining(), n_keys);
  return keys;
}

}  // namespace lantern::audit
