#include "gate/session.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/aead.h"
#include "base/byte_reader.h"
#include "base/check.h"
#include "base/file.h"
#include "base/paths.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMagic = "LANTSESS";
constexpr uint32_t kVersion = 1;
constexpr size_t kKeyIdBytes = 64, kSaltBytes = 32;
constexpr size_t kHeaderBytes = 8 + 4 + kKeyIdBytes + kSaltBytes + base::kAeadNonceBytes + 8;
/// More than any cache that fits a machine which this runs on.
constexpr uint64_t kSessionBytesMax = uint64_t{32} << 30;

/// base::kAeadKeyBytes bytes.
base::Secret derive(const audit::SecretKey& key, std::string_view salt) {
  base::Digest digest = key.hmac("lantern-session-v1\n" + std::string(salt));
  base::Secret out(digest.size());
  std::memcpy(out.bytes().data(), digest.data(), digest.size());
  OPENSSL_cleanse(digest.data(), digest.size());
  return out;
}

struct Parts {
  std::string_view header, key_id, salt, nonce, sealed;
};

Result<Parts> parse(std::string_view file, std::string_view what) {
  if (!file.starts_with(kMagic)) return make_error(ErrorCode::kCorrupt, "{}: no session", what);
  if (file.size() < kHeaderBytes + base::kAeadTagBytes)
    return make_error(ErrorCode::kCorrupt, "{}: the session was cut: {} bytes", what, file.size());
  base::ByteReader reader(std::as_bytes(std::span(file)));
  LANTERN_TRY(reader.seek(kMagic.size(), "version"));
  LANTERN_ASSIGN(const auto version, reader.read<uint32_t>("version"));
  if (version != kVersion)
    return make_error(ErrorCode::kUnsupported, "{}: session version {}; this program knows {}",
                      what, version, kVersion);
  LANTERN_TRY(reader.seek(kHeaderBytes - 8, "bytes"));
  LANTERN_ASSIGN(const auto n_bytes, reader.read<uint64_t>("bytes"));
  if (n_bytes != file.size() - kHeaderBytes - base::kAeadTagBytes)
    return make_error(ErrorCode::kCorrupt, "{}: the session was cut or added to: {} bytes of {}",
                      what, file.size() - kHeaderBytes - base::kAeadTagBytes, n_bytes);
  Parts parts;
  parts.header = file.substr(0, kHeaderBytes);
  parts.key_id = file.substr(12, kKeyIdBytes);
  parts.salt = file.substr(12 + kKeyIdBytes, kSaltBytes);
  parts.nonce = file.substr(12 + kKeyIdBytes + kSaltBytes, base::kAeadNonceBytes);
  parts.sealed = file.substr(kHeaderBytes);
  const bool is_id = std::ranges::all_of(
      parts.key_id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  if (!is_id) return make_error(ErrorCode::kCorrupt, "{}: the session names no key", what);
  return parts;
}

}  // namespace

Result<fs::path> session_path(std::string_view name) {
  const bool is_name = !name.empty() && name.size() <= 64 && name.front() != '.' &&
                       std::ranges::all_of(name, [](char c) {
                         return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                       });
  if (!is_name)
    return make_error(ErrorCode::kInvalidArgument,
                      "--session: a name of at most 64 letters, digits, \".\", \"_\" and \"-\" is "
                      "needed");
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  return folders.state / "sessions" / (std::string(name) + ".session");
}

std::string seal_session(std::string_view content, const audit::SecretKey& key) {
  LANTERN_CHECK(key.id().size() == kKeyIdBytes);
  std::string file(kMagic);
  file.append(reinterpret_cast<const char*>(&kVersion), sizeof kVersion);
  file += key.id();
  std::string salt(kSaltBytes, '\0');
  LANTERN_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(salt.data()), kSaltBytes) == 1);
  const std::string nonce = base::random_nonce();
  file += salt + nonce;
  const uint64_t n_bytes = content.size();
  file.append(reinterpret_cast<const char*>(&n_bytes), sizeof n_bytes);
  LANTERN_CHECK(file.size() == kHeaderBytes);
  const base::Secret secret = derive(key, salt);
  return file + base::aead_seal({.key = secret.view(), .nonce = nonce, .context = file}, content);
}

Status check_session_file(std::string_view file, std::string_view what) {
  LANTERN_ASSIGN(const Parts parts, parse(file, what));
  (void)parts;
  return {};
}

Result<base::Secret> open_session(std::string_view file, std::string_view what,
                                  const audit::KeyRing& keys) {
  LANTERN_ASSIGN(const Parts parts, parse(file, what));
  const auto key = keys.digest_key(parts.key_id);
  if (!key.ok() && key.error().code == ErrorCode::kNotFound)
    return make_error(ErrorCode::kNotFound,
                      "{}: it was saved by another machine or account, whose key this one does not "
                      "have (lantern keys restore)",
                      what);
  if (!key.ok()) return key.error();
  const base::Secret secret = derive(*key, parts.salt);
  auto content = base::aead_open(
      {.key = secret.view(), .nonce = parts.nonce, .context = parts.header}, parts.sealed);
  if (!content.ok())
    return make_error(ErrorCode::kCorrupt,
                      "{}: it was changed since it was saved; nothing of it is used", what);
  return content;
}

Status save_session(const engine::Conversation& conversation, const fs::path& path) {
  LANTERN_ASSIGN(const audit::KeyRing keys, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const audit::SecretKey key, keys.digest_key());
  std::string content = conversation.save();
  const std::string file = seal_session(content, key);
  OPENSSL_cleanse(content.data(), content.size());
  LANTERN_TRY(base::make_private_folder(path.parent_path()));
  return base::write_file_atomically(path, file);
}

Result<bool> restore_session(engine::Conversation& conversation, const fs::path& path) {
  const auto file = base::read_text_file(path, kSessionBytesMax);
  if (!file.ok() && file.error().code == ErrorCode::kNotFound) return false;
  if (!file.ok()) return file.error();
  LANTERN_ASSIGN(const audit::KeyRing keys, audit::KeyRing::of_user());
  LANTERN_ASSIGN(const base::Secret content, open_session(*file, path.string(), keys));
  LANTERN_TRY(conversation.restore(content.view(), path.string()));
  return true;
}

}  // namespace lantern::gate
