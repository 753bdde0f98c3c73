// The service's certificate and key, as OpenSSL takes them: TLS 1.2 and later, forward secrecy and
// authenticated encryption alone, HTTP/1.1 by ALPN.
#pragma once

#include <openssl/ssl.h>

#include <filesystem>
#include <memory>

#include "base/result.h"

namespace lantern::server {

struct TlsFiles {
  std::filesystem::path certificate = {};  // PEM: the service's own first, then those above it
  std::filesystem::path key = {};          // PEM, without a passphrase; for its owner alone
};

/// Shared by the connections that began under it.
using TlsContext = std::shared_ptr<SSL_CTX>;

/// Errors: kInvalidArgument where they are no certificate and key, do not belong together, or
/// others may read the key; kNotFound, kIo.
Result<TlsContext> load_tls(const TlsFiles& files);

}  // namespace lantern::server
