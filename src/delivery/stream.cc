#include "delivery/stream.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/printable.h"

namespace lantern::delivery {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPoll{50};  // how soon a stop is seen
constexpr uint64_t kPemBytesMax = 1u << 20;
constexpr size_t kDiscardedBytesMax = 64u << 10;  // a receiver of syslog has nothing to say

Error says_too_much(std::string_view peer) {
  return make_error(ErrorCode::kIo, "{}: answers what is no syslog", peer);
}

Error no_answer(std::string_view peer) {
  return make_error(ErrorCode::kIo, "{}: no answer in time", peer);
}

/// Until `fd` is ready for `events`.
Status wait_for(int fd, short events, Clock::time_point deadline, const std::stop_token& stop,
                std::string_view peer) {
  for (;;) {
    if (stop.stop_requested()) return make_error(ErrorCode::kCancelled, "{}: stopped", peer);
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left <= milliseconds(0)) return no_answer(peer);
    pollfd one{.fd = fd, .events = events, .revents = 0};
    const int n = ::poll(&one, 1, static_cast<int>(std::min(left, kPoll).count()));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return base::errno_error(errno, peer);
  }
}

Result<base::UniqueFd> connect_to(const addrinfo& address, Clock::time_point deadline,
                                  const std::stop_token& stop, std::string_view peer) {
  base::UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return base::errno_error(errno, peer);
  const int on = 1;
  (void)::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return fd;
  int fault = errno;
  if (fault == EINPROGRESS) {
    LANTERN_TRY(wait_for(fd.get(), POLLOUT, deadline, stop, peer));
    socklen_t size = sizeof fault;
    if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &fault, &size) != 0) fault = errno;
  }
  if (fault != 0)
    return make_error(ErrorCode::kIo, "{}: no connection: {}", peer, std::strerror(fault));
  return fd;
}

Result<base::UniqueFd> connect_socket(const std::string& host, int port, const Patience& patience,
                                      std::string_view peer) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* raw = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
      code != 0)
    return make_error(ErrorCode::kIo, "{}: its address cannot be found: {}", peer,
                      ::gai_strerror(code));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> addresses(raw, ::freeaddrinfo);
  int n = 0;
  for (const addrinfo* at = raw; at != nullptr; at = at->ai_next) ++n;
  Error last = no_answer(peer);
  for (const addrinfo* at = raw; at != nullptr; at = at->ai_next) {
    auto fd = connect_to(*at, Clock::now() + patience.connect / n, patience.stop, peer);
    if (fd.ok()) return fd;
    last = std::move(fd).error();
    if (last.code == ErrorCode::kCancelled) break;
  }
  return last;
}

/// Whether the other kernel has confirmed every byte, waiting for it.
Status wait_until_confirmed(int fd, Clock::time_point deadline, const std::stop_token& stop,
                            std::string_view peer) {
  for (;;) {
    int n_unconfirmed = 0;
    if (::ioctl(fd, SIOCOUTQ, &n_unconfirmed) != 0) return base::errno_error(errno, peer);
    int fault = 0;
    socklen_t size = sizeof fault;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &size) != 0) fault = errno;
    if (fault != 0) return base::errno_error(fault, peer);
    if (n_unconfirmed == 0) return {};
    if (stop.stop_requested()) return make_error(ErrorCode::kCancelled, "{}: stopped", peer);
    if (Clock::now() >= deadline) return no_answer(peer);
    std::this_thread::sleep_for(milliseconds(1));
  }
}

class TcpStream : public Stream {
 public:
  TcpStream(base::UniqueFd fd, std::string peer, Patience patience)
      : fd_(std::move(fd)), peer_(std::move(peer)), patience_(std::move(patience)) {}

  Status write(std::string_view bytes) override {
    const auto deadline = Clock::now() + patience_.write;
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0)
        bytes.remove_prefix(static_cast<size_t>(n));
      else if (errno == EAGAIN)
        LANTERN_TRY(wait_for(fd_.get(), POLLOUT, deadline, patience_.stop, peer_));
      else if (errno != EINTR)
        return broke_off(errno);
    }
    return {};
  }

  Status finish(Acknowledge acknowledge) override {
    const auto deadline = Clock::now() + patience_.close;
    if (acknowledge == Acknowledge::kKernel)
      return wait_until_confirmed(fd_.get(), deadline, patience_.stop, peer_);
    if (::shutdown(fd_.get(), SHUT_WR) != 0) return broke_off(errno);
    char discarded[4096];
    for (size_t n_discarded = 0; n_discarded < kDiscardedBytesMax;) {
      const ssize_t n = ::recv(fd_.get(), discarded, sizeof discarded, 0);
      if (n == 0) return {};
      if (n > 0) n_discarded += static_cast<size_t>(n);
      if (n < 0 && errno == EAGAIN)
        LANTERN_TRY(wait_for(fd_.get(), POLLIN, deadline, patience_.stop, peer_));
      else if (n < 0 && errno != EINTR)
        return broke_off(errno);
    }
    return says_too_much(peer_);
  }

 private:
  [[nodiscard]] Error broke_off(int fault) const {
    return make_error(ErrorCode::kIo, "{}: the connection broke off: {}", peer_,
                      std::strerror(fault));
  }

  base::UniqueFd fd_;
  std::string peer_;
  Patience patience_;
};

struct FreeSsl {
  void operator()(SSL* ssl) const { SSL_free(ssl); }
};

class TlsStream : public Stream {
 public:
  TlsStream(base::UniqueFd fd, std::unique_ptr<SSL, FreeSsl> ssl, std::string peer,
            Patience patience)
      : fd_(std::move(fd)),
        ssl_(std::move(ssl)),
        peer_(std::move(peer)),
        patience_(std::move(patience)) {}

  Status handshake() {
    return step(Clock::now() + patience_.connect, [this] { return SSL_connect(ssl_.get()); });
  }

  Status write(std::string_view bytes) override {
    if (bytes.empty()) return {};
    size_t n = 0;
    Status written = step(Clock::now() + patience_.write,
                          [&] { return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &n); });
    if (written.ok() || written.error().code == ErrorCode::kCancelled) return written;
    // A peer that refuses says why before it closes.
    Status read = step(Clock::now() + milliseconds(200), [this] { return discard(); });
    return has_alert_ ? read : written;
  }

  Status finish(Acknowledge acknowledge) override {
    const auto deadline = Clock::now() + patience_.close;
    if (acknowledge == Acknowledge::kKernel) {
      LANTERN_TRY(wait_until_confirmed(fd_.get(), deadline, patience_.stop, peer_));
      // Closing with session tickets unread would reset the connection.
      while (may_read() && discard() > 0) continue;
      return {};
    }
    // Done with our close_notify alone (0); the other's is waited for below.
    LANTERN_TRY(step(deadline, [this] { return SSL_shutdown(ssl_.get()) < 0 ? -1 : 1; }));
    while (may_read()) LANTERN_TRY(step(deadline, [this] { return discard(); }));
    return has_ended() ? Status() : says_too_much(peer_);
  }

 private:
  [[nodiscard]] bool has_ended() const {
    return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
  }
  [[nodiscard]] bool may_read() const { return !has_ended() && n_discarded_ < kDiscardedBytesMax; }

  int discard() {
    char bytes[4096];
    const int n = SSL_read(ssl_.get(), bytes, sizeof bytes);
    if (n > 0) n_discarded_ += static_cast<size_t>(n);
    return n <= 0 && SSL_get_error(ssl_.get(), n) == SSL_ERROR_ZERO_RETURN ? 1 : n;
  }

  /// One operation of OpenSSL, which gives more than 0 once it is done.
  template <typename Operation>
  Status step(Clock::time_point deadline, const Operation& operation) {
    for (;;) {
      ERR_clear_error();
      errno = 0;
      const int done = operation();
      if (done > 0) return {};
      const int why = SSL_get_error(ssl_.get(), done);
      if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE) return fault(why, errno);
      LANTERN_TRY(wait_for(fd_.get(), why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline,
                           patience_.stop, peer_));
    }
  }

  [[nodiscard]] Error fault(int why, int of_system) {
    if (const long verified = SSL_get_verify_result(ssl_.get()); verified != X509_V_OK)
      return make_error(ErrorCode::kIo, "{}: its certificate is not accepted: {}", peer_,
                        X509_verify_cert_error_string(verified));
    const unsigned long code = ERR_peek_last_error();
    if (why == SSL_ERROR_SSL && ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
      return make_error(ErrorCode::kIo,
                        "{}: closed without close_notify, so nothing says what was read", peer_);
    has_alert_ = why == SSL_ERROR_SSL && ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET;
    const char* reason = ERR_reason_error_string(code);
    return make_error(ErrorCode::kIo, "{}: the TLS connection broke off: {}", peer_,
                      why == SSL_ERROR_SSL && reason != nullptr ? reason
                      : of_system != 0                          ? std::strerror(of_system)
                                                                : "the other side closed it");
  }

  base::UniqueFd fd_;  // outlives ssl_
  std::unique_ptr<SSL, FreeSsl> ssl_;
  std::string peer_;
  Patience patience_;
  bool has_alert_ = false;
  size_t n_discarded_ = 0;
};

Status use_client_key(SSL_CTX* context, const std::string& path) {
  LANTERN_ASSIGN(std::string pem, base::read_private_file(path, kPemBytesMax));
  const std::unique_ptr<BIO, void (*)(BIO*)> bio(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free_all);
  // Without this an encrypted key would have OpenSSL ask at the terminal.
  pem_password_cb* no_password = [](char*, int, int, void*) { return -1; };
  const std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), EVP_PKEY_free);
  explicit_bzero(pem.data(), pem.size());
  if (key == nullptr)
    return make_error(ErrorCode::kInvalidArgument, "{}: no private key in PEM without a passphrase",
                      path);
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1)
    return make_error(ErrorCode::kInvalidArgument, "{}: not the key of the certificate", path);
  return {};
}

std::string peer_name(const std::string& host, int port) {
  return base::printable(fmt::format("{}:{}", host, port), 300);
}

}  // namespace

Result<std::unique_ptr<Stream>> connect_tcp(const std::string& host, int port,
                                            const Patience& patience) {
  const std::string peer = peer_name(host, port);
  LANTERN_ASSIGN(base::UniqueFd fd, connect_socket(host, port, patience, peer));
  return std::unique_ptr<Stream>(new TcpStream(std::move(fd), peer, patience));
}

Result<TlsContext> make_tls_context(const TlsFiles& files) {
  const TlsContext context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  if (context == nullptr) return make_error(ErrorCode::kExhausted, "no memory for TLS");
  SSL_CTX* raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (files.ca.empty()) {
    if (SSL_CTX_set_default_verify_paths(raw) != 1)
      return make_error(ErrorCode::kIo, "the system's certificates cannot be read");
  } else {
    LANTERN_TRY(base::ReadFile::open(files.ca));
    if (SSL_CTX_load_verify_file(raw, files.ca.c_str()) != 1)
      return make_error(ErrorCode::kInvalidArgument, "{}: no certificates in PEM", files.ca);
  }
  if (!files.certificate.empty()) {
    LANTERN_TRY(base::ReadFile::open(files.certificate));
    if (SSL_CTX_use_certificate_chain_file(raw, files.certificate.c_str()) != 1)
      return make_error(ErrorCode::kInvalidArgument, "{}: no certificate in PEM",
                        files.certificate);
    LANTERN_TRY(use_client_key(raw, files.key));
  }
  return context;
}

Result<std::unique_ptr<Stream>> connect_tls(const std::string& host, int port,
                                            const TlsContext& context, const Patience& patience) {
  const std::string peer = peer_name(host, port);
  LANTERN_ASSIGN(base::UniqueFd fd, connect_socket(host, port, patience, peer));
  std::unique_ptr<SSL, FreeSsl> ssl(SSL_new(context.get()));
  if (ssl == nullptr || SSL_set_fd(ssl.get(), fd.get()) != 1)
    return make_error(ErrorCode::kExhausted, "no memory for TLS");
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(wanted, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // An address is looked for among the certificate's addresses, a name among its names.
  const bool is_set = X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str()) == 1 ||
                      (X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size()) == 1 &&
                       SSL_set_tlsext_host_name(ssl.get(), host.c_str()) == 1);
  if (!is_set) return make_error(ErrorCode::kInvalidArgument, "{}: no such name", peer);
  auto stream = std::make_unique<TlsStream>(std::move(fd), std::move(ssl), peer, patience);
  LANTERN_TRY(stream->handshake());
  return std::unique_ptr<Stream>(std::move(stream));
}

}  // namespace lantern::delivery
