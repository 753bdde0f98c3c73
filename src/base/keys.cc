#include "base/keys.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"

namespace lantern::base {
namespace {

constexpr uint64_t kKeyFileBytesMax = 64u << 10;

struct Kind {
  KeyKind kind;
  std::string_view name;
  const char* group;          // OpenSSL's name of the curve; null for Ed25519
  const EVP_MD* (*digest)();  // null: the scheme hashes by itself
};
constexpr Kind kKinds[] = {
    {KeyKind::kEd25519, "ed25519", nullptr, nullptr},
    {KeyKind::kP256, "p256", "prime256v1", EVP_sha256},
    {KeyKind::kP384, "p384", "secp384r1", EVP_sha384},
    {KeyKind::kP521, "p521", "secp521r1", EVP_sha512},
};

const Kind& kind_of(KeyKind kind) { return kKinds[static_cast<size_t>(kind)]; }

const EVP_MD* digest_of(KeyKind kind) {
  const auto digest = kind_of(kind).digest;
  return digest == nullptr ? nullptr : digest();
}

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Bio = std::unique_ptr<BIO, Free>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free>;

std::shared_ptr<EVP_PKEY> own(EVP_PKEY* key) { return {key, EVP_PKEY_free}; }

Result<KeyKind> recognise(EVP_PKEY* key, std::string_view what) {
  if (EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519) return KeyKind::kEd25519;
  char group[64] = {};
  size_t length = 0;
  if (EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1)
    for (const Kind& kind : kKinds)
      if (kind.group != nullptr && std::string_view(group, length) == kind.group) return kind.kind;
  ERR_clear_error();
  return make_error(ErrorCode::kUnsupported,
                    "{}: a key of another kind; Ed25519, P-256, P-384 and P-521 are supported",
                    what);
}

Result<Bio> read_bio(std::string_view text, std::string_view what) {
  if (text.size() > kKeyFileBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: too large for a key", what);
  Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  LANTERN_CHECK(bio != nullptr);
  return bio;
}

std::string_view contents(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(size)};
}

int give_passphrase(char* out, int capacity, int, void* passphrase) {
  const auto* text = static_cast<const std::string_view*>(passphrase);
  if (text->empty() || text->size() > static_cast<size_t>(capacity)) return -1;
  text->copy(out, text->size());
  return static_cast<int>(text->size());
}

const unsigned char* bytes_of(std::span<const std::byte> bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());
}

}  // namespace

std::string_view key_kind_name(KeyKind kind) { return kind_of(kind).name; }

Result<KeyKind> key_kind_from_name(std::string_view name) {
  for (const Kind& kind : kKinds)
    if (kind.name == name) return kind.kind;
  return make_error(ErrorCode::kInvalidArgument,
                    "no kind of key is called {}; choose ed25519, p256, p384 or p521", name);
}

Result<PublicKey> PublicKey::from_pem(std::string_view pem, std::string_view what) {
  LANTERN_ASSIGN(const Bio bio, read_bio(pem, what));
  const auto key = own(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (key == nullptr)
    return make_error(ErrorCode::kCorrupt, "{}: no public key in PEM (BEGIN PUBLIC KEY)", what);
  return from_openssl(key.get(), what);
}

Result<PublicKey> PublicKey::from_ed25519(std::span<const std::byte, 32> raw) {
  auto key = own(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(raw), raw.size()));
  ERR_clear_error();
  if (key == nullptr)
    return make_error(ErrorCode::kCorrupt, "these 32 bytes are no Ed25519 public key");
  return PublicKey(std::move(key), KeyKind::kEd25519);
}

Result<PublicKey> PublicKey::from_openssl(EVP_PKEY* key, std::string_view what) {
  LANTERN_ASSIGN(const KeyKind kind, recognise(key, what));
  LANTERN_CHECK(EVP_PKEY_up_ref(key) == 1);
  return PublicKey(own(key), kind);
}

std::string PublicKey::to_pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  LANTERN_CHECK(bio != nullptr && PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return std::string(contents(bio.get()));
}

std::vector<std::byte> PublicKey::to_der() const {
  const int size = i2d_PUBKEY(key_.get(), nullptr);
  LANTERN_CHECK(size > 0);
  std::vector<std::byte> der(static_cast<size_t>(size));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  LANTERN_CHECK(i2d_PUBKEY(key_.get(), &out) == size);
  return der;
}

Digest PublicKey::id() const { return sha256(to_der()); }

Result<std::array<std::byte, 32>> PublicKey::ed25519_bytes() const {
  std::array<std::byte, 32> raw{};
  size_t size = raw.size();
  if (kind_ != KeyKind::kEd25519 ||
      EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(raw.data()),
                                  &size) != 1)
    return make_error(ErrorCode::kUnsupported, "a key of kind {}, where Ed25519 is needed",
                      key_kind_name(kind_));
  return raw;
}

bool PublicKey::verifies(std::span<const std::byte> message,
                         std::span<const std::byte> signature) const {
  const DigestContext context(EVP_MD_CTX_new());
  LANTERN_CHECK(context != nullptr);
  const bool verified =
      EVP_DigestVerifyInit(context.get(), nullptr, digest_of(kind_), nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message),
                       message.size()) == 1;
  ERR_clear_error();
  return verified;
}

Result<PrivateKey> PrivateKey::generate(KeyKind kind) {
  const char* group = kind_of(kind).group;
  auto key = own(group == nullptr ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                  : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", group));
  ERR_clear_error();
  if (key == nullptr)
    return make_error(ErrorCode::kInternal, "OpenSSL could not make a {} key", key_kind_name(kind));
  return PrivateKey(std::move(key), kind);
}

Result<PrivateKey> PrivateKey::from_pem(std::string_view pem, std::string_view what,
                                        std::string_view passphrase) {
  LANTERN_ASSIGN(const Bio bio, read_bio(pem, what));
  auto key = own(PEM_read_bio_PrivateKey(bio.get(), nullptr, give_passphrase, &passphrase));
  ERR_clear_error();
  if (key == nullptr) {
    if (pem.find("ENCRYPTED") != std::string_view::npos)
      return make_error(ErrorCode::kInvalidArgument,
                        "{}: an encrypted key, and the passphrase is {}", what,
                        passphrase.empty() ? "missing" : "wrong");
    return make_error(ErrorCode::kCorrupt, "{}: no private key in PEM", what);
  }
  LANTERN_ASSIGN(const KeyKind kind, recognise(key.get(), what));
  return PrivateKey(std::move(key), kind);
}

Result<PrivateKey> PrivateKey::load(const std::filesystem::path& path,
                                    std::string_view passphrase) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return errno_error(errno, path.string());
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: others than its owner may use this private key; chmod 600 it",
                      path.string());
  LANTERN_ASSIGN(std::string pem, read_text_file(path, kKeyFileBytesMax));
  auto key = from_pem(pem, path.string(), passphrase);
  explicit_bzero(pem.data(), pem.size());
  return key;
}

Status PrivateKey::save(const std::filesystem::path& path, std::string_view passphrase) const {
  const Bio bio(BIO_new(BIO_s_secmem()));
  LANTERN_CHECK(bio != nullptr);
  const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
  LANTERN_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), cipher, passphrase.data(),
                                              static_cast<int>(passphrase.size()), nullptr,
                                              nullptr) == 1);
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.get() < 0) {
    if (errno == EEXIST)
      return make_error(ErrorCode::kInvalidArgument,
                        "{}: exists already; a key is never overwritten", path.string());
    return errno_error(errno, path.string());
  }
  std::string_view text = contents(bio.get());
  while (!text.empty()) {
    const ssize_t n = ::write(fd.get(), text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      const int why = errno;
      ::unlink(path.c_str());
      return errno_error(why, path.string());
    }
    text.remove_prefix(static_cast<size_t>(n));
  }
  if (fsync(fd.get()) != 0) return errno_error(errno, path.string());
  return {};
}

PublicKey PrivateKey::public_key() const { return PublicKey(key_, kind_); }

Result<std::vector<std::byte>> PrivateKey::sign(std::span<const std::byte> message) const {
  const DigestContext context(EVP_MD_CTX_new());
  LANTERN_CHECK(context != nullptr);
  size_t size = 0;
  std::vector<std::byte> signature;
  bool signed_it =
      EVP_DigestSignInit(context.get(), nullptr, digest_of(kind_), nullptr, key_.get()) == 1 &&
      EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) == 1;
  if (signed_it) {
    signature.resize(size);
    signed_it = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()),
                               &size, bytes_of(message), message.size()) == 1;
    signature.resize(size);
  }
  ERR_clear_error();
  if (!signed_it) return make_error(ErrorCode::kInternal, "OpenSSL could not sign");
  return signature;
}

}  // namespace lantern::base
