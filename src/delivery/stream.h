// Connections to receivers that only read: TCP, and TLS over it.
//
// A kernel confirms a segment long before a program has read it, and a receiver that is ended in
// between loses what its kernel had confirmed. So what was sent counts as read once the other side
// has ended the connection in answer to our end of it: a program that has read to the end closes,
// one that ends with bytes unread makes its kernel reset the connection (RFC 9293, 3.10.4; RFC
// 1122, 4.2.2.13). Under TLS that answer is the close_notify that RFC 5425, 4.4 asks for, which
// nobody on the way can forge.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"

struct ssl_ctx_st;  // OpenSSL's SSL_CTX

namespace lantern::delivery {

/// How long each step may take, and what ends it early (kCancelled).
struct Patience {
  std::chrono::milliseconds connect{10'000}, write{30'000}, close{15'000};
  std::stop_token stop = {};
};

/// When bytes count as read.
enum class Acknowledge {
  kClose,   // as above
  kKernel,  // with the other kernel's word for it, for receivers that never end a connection
};

class Stream {
 public:
  virtual ~Stream() = default;
  Stream() = default;
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  virtual Status write(std::string_view bytes) = 0;
  /// Ends our side. An error: what was written may not have been read.
  virtual Status finish(Acknowledge acknowledge) = 0;
};

/// Errors: kIo, kCancelled.
Result<std::unique_ptr<Stream>> connect_tcp(const std::string& host, int port,
                                            const Patience& patience);

/// PEM files; empty: none. Without `ca` the system's certificates are trusted.
struct TlsFiles {
  std::string ca = {}, certificate = {}, key = {};
};
using TlsContext = std::shared_ptr<ssl_ctx_st>;
/// For clients, TLS 1.2 or later, the peer's certificate verified. kInvalidArgument, kIo: a file
/// that cannot be read or is none of these, a key that others may read.
Result<TlsContext> make_tls_context(const TlsFiles& files);

/// The certificate is for `host`, a name or an IP address.
Result<std::unique_ptr<Stream>> connect_tls(const std::string& host, int port,
                                            const TlsContext& context, const Patience& patience);

}  // namespace lantern::delivery
