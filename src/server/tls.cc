#include "server/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <cerrno>
#include <string>
#include <string_view>

#include "base/file.h"

namespace lantern::server {
namespace {

constexpr uint64_t kPemBytesMax = 1u << 20;
constexpr int kChainMax = 16;

using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;
using X509Ptr = std::unique_ptr<X509, decltype(&X509_free)>;
using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

Bio bio_of(const std::string& text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free};
}

/// A key with a passphrase is refused rather than asked about on a terminal.
int no_passphrase(char*, int, int, void*) { return -1; }

Error fault_of(const std::filesystem::path& file, std::string_view what) {
  ERR_clear_error();
  return make_error(ErrorCode::kInvalidArgument, "{}: {}", file.string(), what);
}

Status use_certificates(SSL_CTX& context, const TlsFiles& files) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(files.certificate, kPemBytesMax));
  const Bio bio = bio_of(text);
  const X509Ptr own(PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr), &X509_free);
  if (own == nullptr || SSL_CTX_use_certificate(&context, own.get()) != 1)
    return fault_of(files.certificate, "no certificate in PEM that TLS can use");
  for (int n = 0;; ++n) {
    const X509Ptr above(PEM_read_bio_X509(bio.get(), nullptr, &no_passphrase, nullptr), &X509_free);
    if (above == nullptr) break;
    if (n == kChainMax) return fault_of(files.certificate, "more than 16 certificates");
    if (SSL_CTX_add1_chain_cert(&context, above.get()) != 1)
      return fault_of(files.certificate, "a certificate of the chain cannot be used");
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return fault_of(files.certificate, "a certificate of the chain is broken");
  ERR_clear_error();
  return {};
}

Status use_key(SSL_CTX& context, const TlsFiles& files) {
  struct stat info {};
  if (::stat(files.key.c_str(), &info) != 0) return base::errno_error(errno, files.key.string());
  if ((info.st_mode & S_IRWXO) != 0)
    return fault_of(files.key, "others may read this key: chmod o= it");
  LANTERN_ASSIGN(const std::string text, base::read_text_file(files.key, kPemBytesMax));
  const KeyPtr key(PEM_read_bio_PrivateKey(bio_of(text).get(), nullptr, &no_passphrase, nullptr),
                   &EVP_PKEY_free);
  if (key == nullptr) return fault_of(files.key, "no private key in PEM without a passphrase");
  if (SSL_CTX_use_PrivateKey(&context, key.get()) != 1 || SSL_CTX_check_private_key(&context) != 1)
    return fault_of(files.key, "the key of another certificate, or of a kind that TLS cannot use");
  return {};
}

/// HTTP/1.1, where the client offers protocols at all.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_length,
                    const unsigned char* in, unsigned int in_length, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kHttp11, sizeof kHttp11 - 1, in, in_length) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext> load_tls(const TlsFiles& files) {
  const TlsContext context(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  if (context == nullptr) return make_error(ErrorCode::kExhausted, "no memory for TLS");
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1 ||
      SSL_CTX_set_cipher_list(context.get(), "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
    return make_error(ErrorCode::kInternal, "OpenSSL does not take the settings of TLS");
  SSL_CTX_set_options(context.get(), SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_alpn_select_cb(context.get(), &choose_protocol, nullptr);
  LANTERN_TRY(use_certificates(*context, files));
  LANTERN_TRY(use_key(*context, files));
  return context;
}

}  // namespace lantern::server
