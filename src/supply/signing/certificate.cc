#include "supply/signing/certificate.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "base/printable.h"

namespace lantern::supply {
namespace {

constexpr size_t kPemCertificatesMax = 64;
constexpr size_t kPemBytesMax = 4u << 20;
constexpr int kChainDepthMax = 8;
// OpenSSL's level 2: 112 bits of strength, no SHA-1.
constexpr int kSecurityLevel = 2;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
  // The certificates in it stay with their owners.
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using Bio = std::unique_ptr<BIO, Free>;

std::shared_ptr<X509> own(X509* certificate) { return {certificate, X509_free}; }

std::string name_text(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  LANTERN_CHECK(bio != nullptr);
  // RFC 2253 escapes control characters and bytes that are no UTF-8.
  if (X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return {};
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

std::string time_text(const ASN1_TIME* time) {
  std::tm fields{};
  if (ASN1_TIME_to_tm(time, &fields) != 1) return "an unreadable time";
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", fields.tm_year + 1900,
                     fields.tm_mon + 1, fields.tm_mday, fields.tm_hour, fields.tm_min,
                     fields.tm_sec);
}

ChainJudgement refuse(ChainJudgement judgement, ChainFault fault, std::string reason) {
  judgement.fault = fault;
  judgement.reason = std::move(reason);
  return judgement;
}

ChainJudgement refuse_by_code(ChainJudgement judgement, const X509_STORE_CTX* context) {
  const int code = X509_STORE_CTX_get_error(context);
  X509* at = X509_STORE_CTX_get_current_cert(context);
  const std::string subject =
      base::printable(at == nullptr ? judgement.subject : name_text(X509_get_subject_name(at)));
  switch (code) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return refuse(std::move(judgement), ChainFault::kExpired,
                    fmt::format("the certificate {} expired on {}", subject,
                                at == nullptr ? "" : time_text(X509_get0_notAfter(at))));
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return refuse(std::move(judgement), ChainFault::kNotYetValid,
                    fmt::format("the certificate {} is not valid before {}", subject,
                                at == nullptr ? "" : time_text(X509_get0_notBefore(at))));
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
      return refuse(
          std::move(judgement), ChainFault::kUntrusted,
          fmt::format("the certificate {} leads to none of the trust roots given", subject));
    default:
      return refuse(
          std::move(judgement), ChainFault::kUntrusted,
          fmt::format("the certificate {}: {}", subject, X509_verify_cert_error_string(code)));
  }
}

// OpenSSL 3.0 has no purpose "code signing", so the chain's extended key usages are checked here:
// the leaf must name it, and an intermediate that names uses must name it too.
bool allows_code_signing(X509* certificate) {
  const uint32_t usage = X509_get_extended_key_usage(certificate);
  return usage == UINT32_MAX || (usage & (XKU_CODE_SIGN | XKU_ANYEKU)) != 0;
}

ChainJudgement judge_uses(ChainJudgement judgement, std::span<const Certificate> chain,
                          const STACK_OF(X509) * built) {
  if (!chain[0].may_sign_code())
    return refuse(std::move(judgement), ChainFault::kNotForCodeSigning,
                  fmt::format("the certificate {} is not for code signing",
                              base::printable(judgement.subject)));
  const int n = sk_X509_num(built);
  for (int i = 1; i < n; ++i)
    if (X509* above = sk_X509_value(built, i); !allows_code_signing(above))
      return refuse(std::move(judgement), ChainFault::kNotForCodeSigning,
                    fmt::format("the certificate {} is limited to uses other than code signing",
                                base::printable(name_text(X509_get_subject_name(above)))));
  judgement.fault = ChainFault::kNone;
  return judgement;
}

}  // namespace

Result<Certificate> Certificate::from_der(std::span<const std::byte> der, std::string_view what) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const auto* at = begin;
  auto certificate = own(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  ERR_clear_error();
  if (certificate == nullptr || at != begin + der.size())
    return make_error(ErrorCode::kCorrupt, "{}: no X.509 certificate", what);
  return Certificate(std::move(certificate));
}

Result<std::vector<Certificate>> Certificate::from_pem(std::string_view pem,
                                                       std::string_view what) {
  if (pem.size() > kPemBytesMax)
    return make_error(ErrorCode::kTooLarge, "{}: too large for certificates", what);
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  LANTERN_CHECK(bio != nullptr);
  std::vector<Certificate> certificates;
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    certificates.push_back(Certificate(own(next)));
    if (certificates.size() > kPemCertificatesMax)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} certificates", what,
                        kPemCertificatesMax);
  }
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!at_end || certificates.empty())
    return make_error(ErrorCode::kCorrupt, "{}: {} in PEM (BEGIN CERTIFICATE)", what,
                      certificates.empty() ? "no certificate" : "a broken certificate");
  return certificates;
}

std::vector<std::byte> Certificate::to_der() const {
  const int size = i2d_X509(certificate_.get(), nullptr);
  LANTERN_CHECK(size > 0);
  std::vector<std::byte> der(static_cast<size_t>(size));
  auto* out = reinterpret_cast<unsigned char*>(der.data());
  LANTERN_CHECK(i2d_X509(certificate_.get(), &out) == size);
  return der;
}

base::Digest Certificate::fingerprint() const { return base::sha256(to_der()); }

std::string Certificate::subject() const {
  return name_text(X509_get_subject_name(certificate_.get()));
}

Result<base::PublicKey> Certificate::public_key() const {
  const std::string what = fmt::format("the certificate {}", base::printable(subject()));
  EVP_PKEY* key = X509_get0_pubkey(certificate_.get());
  ERR_clear_error();
  if (key == nullptr)
    return make_error(ErrorCode::kUnsupported, "{}: its key cannot be read", what);
  return base::PublicKey::from_openssl(key, what);
}

bool Certificate::may_sign_code() const {
  const uint32_t extended = X509_get_extended_key_usage(certificate_.get());
  if (extended == UINT32_MAX || (extended & XKU_CODE_SIGN) == 0) return false;
  const uint32_t usage = X509_get_key_usage(certificate_.get());
  return usage == UINT32_MAX || (usage & KU_DIGITAL_SIGNATURE) != 0;
}

std::string Certificate::not_before() const {
  return time_text(X509_get0_notBefore(certificate_.get()));
}

std::string Certificate::not_after() const {
  return time_text(X509_get0_notAfter(certificate_.get()));
}

ChainJudgement judge_chain(std::span<const Certificate> chain, std::span<const Certificate> roots,
                           TimePoint at) {
  ChainJudgement judgement;
  if (chain.empty())
    return refuse(std::move(judgement), ChainFault::kUntrusted, "there is no certificate");
  judgement.subject = chain[0].subject();
  // Root and subject name the signer, so one without a subject is nobody.
  if (judgement.subject.empty())
    return refuse(std::move(judgement), ChainFault::kUntrusted,
                  "the signing certificate names no subject");

  const std::unique_ptr<X509_STORE, Free> store(X509_STORE_new());
  const std::unique_ptr<STACK_OF(X509), Free> others(sk_X509_new_null());
  const std::unique_ptr<X509_STORE_CTX, Free> context(X509_STORE_CTX_new());
  LANTERN_CHECK(store != nullptr && others != nullptr && context != nullptr);
  for (const Certificate& root : roots)
    LANTERN_CHECK(X509_STORE_add_cert(store.get(), root.openssl()) == 1);
  for (const Certificate& other : chain.subspan(1))
    LANTERN_CHECK(sk_X509_push(others.get(), other.openssl()) > 0);
  LANTERN_CHECK(X509_STORE_CTX_init(context.get(), store.get(), chain[0].openssl(), others.get()) ==
                1);
  X509_VERIFY_PARAM* parameters = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(parameters, std::chrono::system_clock::to_time_t(at));
  X509_VERIFY_PARAM_set_depth(parameters, kChainDepthMax);
  X509_VERIFY_PARAM_set_auth_level(parameters, kSecurityLevel);
  const bool verified = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (!verified) return refuse_by_code(std::move(judgement), context.get());

  const STACK_OF(X509)* built = X509_STORE_CTX_get0_chain(context.get());
  X509* root = sk_X509_value(built, sk_X509_num(built) - 1);
  LANTERN_CHECK(root != nullptr);
  for (const Certificate& candidate : roots)
    if (X509_cmp(candidate.openssl(), root) == 0) {
      judgement.root = candidate.fingerprint();
      judgement.root_subject = candidate.subject();
      return judge_uses(std::move(judgement), chain, built);
    }
  return refuse(std::move(judgement), ChainFault::kUntrusted,
                "the certificates lead to none of the trust roots given");
}

}  // namespace lantern::supply
