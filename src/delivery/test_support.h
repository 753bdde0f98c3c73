// For tests: events, a folder, certificates, and receivers that speak the real protocols.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/time.h"
#include "delivery/event.h"

namespace lantern::delivery::testing {

/// A folder of the test's own, gone with it.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lantern-delivery-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view content,
                              mode_t mode = 0644) const {
    std::filesystem::path path = path_ / name;
    std::ofstream(path, std::ios::binary) << content;
    std::filesystem::permissions(path, std::filesystem::perms(mode));
    return path;
  }

 private:
  std::filesystem::path path_;
};

/// `text` has `n_bytes` of its own.
inline Event sample_event(int i, size_t n_bytes = 40) {
  const int64_t time_us = 1'800'000'000'000'000 + i;
  Event event{.id = new_event_id(now_us()).value(),
              .time_us = time_us,
              .name = "finding.appeared",
              .severity = Severity::kMedium};
  event.json["number"] = i;
  event.ocsf = {{"class_uid", 2004}, {"type_uid", 200401}, {"unmapped", {{"number", i}}}};
  event.params = {{"runtime", "Ollama"}, {"number", std::to_string(i)}};
  event.text = "event " + std::to_string(i) + " ";
  event.text.append(n_bytes, 'x');
  return event;
}

/// Half a minute is for machines that do much else meanwhile.
inline bool eventually(const std::function<bool()>& is_so,
                       std::chrono::milliseconds time = std::chrono::seconds(30)) {
  const auto deadline = std::chrono::steady_clock::now() + time;
  while (!is_so()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// Keys and certificates of P-256, made anew for each test.
class Certificate {
 public:
  using Key = std::unique_ptr<EVP_PKEY, void (*)(EVP_PKEY*)>;
  using Cert = std::unique_ptr<X509, void (*)(X509*)>;
  struct Options {
    std::string name = "lantern-test";
    std::string alternative = "DNS:localhost,IP:127.0.0.1";
    long begins_s = -3600, ends_s = 3600;  // from now
    bool is_ca = false;
  };

  /// Signed by `issuer`, or by itself.
  Certificate(const Options& options, const Certificate* issuer)
      : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), cert_(X509_new(), X509_free) {
    X509* cert = cert_.get();
    X509_set_version(cert, X509_VERSION_3);
    static std::atomic<long> serial{1};
    ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), options.begins_s);
    X509_gmtime_adj(X509_getm_notAfter(cert), options.ends_s);
    X509_set_pubkey(cert, key_.get());
    X509_NAME* name = X509_get_subject_name(cert);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(options.name.c_str()), -1, -1,
                               0);
    X509_set_issuer_name(cert, X509_get_subject_name(issuer == nullptr ? cert : issuer->cert()));
    add(NID_basic_constraints, options.is_ca ? "critical,CA:TRUE" : "CA:FALSE");
    if (!options.is_ca) add(NID_subject_alt_name, options.alternative);
    X509_sign(cert, issuer == nullptr ? key_.get() : issuer->key(), EVP_sha256());
  }

  [[nodiscard]] X509* cert() const { return cert_.get(); }
  [[nodiscard]] EVP_PKEY* key() const { return key_.get(); }
  [[nodiscard]] std::string cert_pem() const {
    return pem([this](BIO* bio) { PEM_write_bio_X509(bio, cert_.get()); });
  }
  [[nodiscard]] std::string key_pem() const {
    return pem([this](BIO* bio) {
      PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

 private:
  void add(int nid, const std::string& value) {
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str());
    X509_add_ext(cert_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  static std::string pem(const std::function<void(BIO*)>& write) {
    const std::unique_ptr<BIO, void (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
    write(bio.get());
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return {data, static_cast<size_t>(size)};
  }

  Key key_;
  Cert cert_;
};

inline Certificate make_ca(const std::string& name = "test CA") {
  return Certificate({.name = name, .is_ca = true}, nullptr);
}

/// A message of RFC 5424 with one element of structured data, read strictly; nothing for what is
/// none.
struct SyslogRead {
  int priority = 0;
  std::string timestamp = {}, host = {}, app = {}, process = {}, name = {}, element = {}, text = {};
  std::map<std::string, std::string> params = {};
};
inline std::optional<SyslogRead> read_syslog_message(std::string_view line) {
  SyslogRead out;
  const auto take = [&line](char end) -> std::optional<std::string> {
    const size_t at = line.find(end);
    if (at == std::string_view::npos || at == 0) return {};
    std::string field(line.substr(0, at));
    line.remove_prefix(at + 1);
    return field;
  };
  if (!line.starts_with('<')) return {};
  line.remove_prefix(1);
  const auto priority = take('>');
  if (!priority || priority->size() > 3 || !line.starts_with("1 ")) return {};
  line.remove_prefix(2);
  out.priority = std::stoi(*priority);
  for (std::string* field : {&out.timestamp, &out.host, &out.app, &out.process, &out.name}) {
    const auto value = take(' ');
    if (!value) return {};
    for (const char c : *value)
      if (c < 33 || c > 126) return {};
    *field = *value;
  }
  if (!line.starts_with('[')) return {};
  line.remove_prefix(1);
  const size_t end = line.find_first_of(" ]");
  if (end == std::string_view::npos) return {};
  out.element = line.substr(0, end);
  line.remove_prefix(end);
  while (line.starts_with(' ')) {
    line.remove_prefix(1);
    const auto name = take('=');
    if (!name || !line.starts_with('"')) return {};
    line.remove_prefix(1);
    std::string value;
    for (; !line.empty() && line.front() != '"'; line.remove_prefix(1)) {
      if (line.front() == ']') return {};
      if (line.front() == '\\') {
        line.remove_prefix(1);
        if (line.empty() || std::string_view("\"\\]").find(line.front()) == std::string_view::npos)
          return {};
      }
      value += line.front();
    }
    if (line.empty() || !out.params.emplace(*name, value).second) return {};
    line.remove_prefix(1);
  }
  constexpr std::string_view kRest = "] \xef\xbb\xbf";
  if (!line.starts_with(kRest)) return {};
  out.text = line.substr(kRest.size());
  return out;
}

/// A port of 127.0.0.1 that is this test's whether anybody answers at it or not.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] int port() const { return port_; }
  void listen() const { EXPECT_EQ(::listen(fd_.get(), 64), 0); }
  /// Nothing after a stop.
  [[nodiscard]] base::UniqueFd accept(const std::stop_token& stop) const {
    while (!stop.stop_requested()) {
      pollfd one{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      if (::poll(&one, 1, 20) > 0)
        return base::UniqueFd(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    }
    return {};
  }

 private:
  base::UniqueFd fd_;
  int port_ = 0;
};

/// The server's side of TLS on `fd`; null where the handshake fails.
using TlsSession = std::unique_ptr<SSL, void (*)(SSL*)>;
inline TlsSession accept_tls(int fd, const Certificate& certificate, const Certificate* client_ca) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_server_method()),
                                                             SSL_CTX_free);
  SSL_CTX_use_certificate(context.get(), certificate.cert());
  SSL_CTX_use_PrivateKey(context.get(), certificate.key());
  if (client_ca != nullptr) {
    X509_STORE_add_cert(SSL_CTX_get_cert_store(context.get()), client_ca->cert());
    SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  }
  TlsSession ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), fd);
  if (SSL_accept(ssl.get()) != 1) ssl.reset();
  return ssl;
}

/// For threads that write to peers that may be gone.
inline void ignore_sigpipe() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

/// What a receiver was sent, in order.
class Received {
 public:
  void add(std::string message) {
    const std::lock_guard lock(mutex_);
    messages_.push_back(std::move(message));
  }
  [[nodiscard]] std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }
  [[nodiscard]] size_t size() const { return all().size(); }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> messages_;
};

/// A receiver of RFC 5425 (or, without a certificate, of RFC 6587's octet counting).
class SyslogServer {
 public:
  struct Options {
    const Certificate* certificate = nullptr;
    const Certificate* client_ca = nullptr;  // asks for a client's certificate
    bool answers_close = true;
  };

  explicit SyslogServer(Options options) : options_(options) {}
  ~SyslogServer() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  SyslogServer(const SyslogServer&) = delete;
  SyslogServer& operator=(const SyslogServer&) = delete;

  [[nodiscard]] int port() const { return listener_.port(); }
  void start() {
    listener_.listen();
    thread_ = std::jthread([this](const std::stop_token& stop) {
      ignore_sigpipe();
      while (!stop.stop_requested()) {
        const base::UniqueFd fd = listener_.accept(stop);
        if (fd.get() < 0) continue;
        timeval patience{.tv_sec = 20, .tv_usec = 0};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        ++n_connections_;
        if (options_.certificate == nullptr)
          serve([&fd](char* to, size_t n) { return ::recv(fd.get(), to, n, 0); });
        else
          serve_tls(fd.get(), stop);
      }
    });
  }

  /// Ends the connection, with bytes unread, once it has read so many more messages.
  void die_after(int n) { n_until_death_ = n; }
  [[nodiscard]] const Received& received() const { return received_; }
  [[nodiscard]] int n_connections() const { return n_connections_; }
  /// What broke the framing or the form of a message.
  [[nodiscard]] std::vector<std::string> faults() const { return faults_.all(); }

 private:
  /// True at the end of the stream.
  bool serve(const std::function<ssize_t(char*, size_t)>& read) {
    const auto next = [&read]() -> int {
      char c = 0;
      return read(&c, 1) == 1 ? static_cast<unsigned char>(c) : -1;
    };
    for (;;) {
      if (n_until_death_ == 0) {
        n_until_death_ = -1;
        return false;
      }
      int c = next();
      if (c < 0) return true;
      if (c < '1' || c > '9') return faults_.add("a frame without its length"), false;
      size_t length = 0;
      for (; c >= '0' && c <= '9' && length < 100'000; c = next())
        length = length * 10 + static_cast<size_t>(c - '0');
      if (c != ' ' || length > 8192) return faults_.add("a frame's length"), false;
      std::string message(length, '\0');
      for (size_t at = 0; at < length;) {
        const ssize_t n = read(message.data() + at, length - at);
        if (n <= 0) return false;  // ended in a message: whoever sent it has to send it again
        at += static_cast<size_t>(n);
      }
      if (!read_syslog_message(message)) faults_.add(message);
      received_.add(std::move(message));
      if (n_until_death_ > 0) --n_until_death_;
    }
  }

  void serve_tls(int fd, const std::stop_token& stop) {
    const TlsSession ssl = accept_tls(fd, *options_.certificate, options_.client_ca);
    if (ssl == nullptr) return;
    const bool at_end = serve([&ssl](char* to, size_t n) -> ssize_t {
      return SSL_read(ssl.get(), to, static_cast<int>(n));
    });
    if (!at_end) return;
    if (options_.answers_close) {
      SSL_shutdown(ssl.get());
      return;
    }
    while (!stop.stop_requested()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }

  Options options_;
  Listener listener_;
  Received received_, faults_;
  std::atomic<int> n_until_death_{-1}, n_connections_{0};
  std::jthread thread_;
};

struct HttpAsked {
  std::string head = {}, body = {};
};
/// A server that answers each request as `answer` says: "200 OK\r\nRetry-After: 1"; with
/// `certificate` over TLS.
class HttpServer {
 public:
  using Answer = std::function<std::string(const HttpAsked&)>;
  explicit HttpServer(Answer answer, const Certificate* certificate = nullptr)
      : answer_(std::move(answer)), certificate_(certificate) {}
  ~HttpServer() {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const {
    return fmt::format("{}://{}:{}/events", certificate_ == nullptr ? "http" : "https", host,
                       listener_.port());
  }
  void start() {
    listener_.listen();
    thread_ = std::jthread([this](const std::stop_token& stop) {
      ignore_sigpipe();
      while (!stop.stop_requested()) {
        const base::UniqueFd fd = listener_.accept(stop);
        if (fd.get() < 0) continue;
        // Short reads, so that a connection that is kept open does not outlive a stop.
        timeval patience{.tv_sec = 0, .tv_usec = 50'000};
        if (certificate_ != nullptr) {
          timeval handshake{.tv_sec = 20, .tv_usec = 0};
          ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &handshake, sizeof handshake);
          const TlsSession ssl = accept_tls(fd.get(), *certificate_, nullptr);
          if (ssl == nullptr) continue;
          ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
          serve(
              stop,
              [&ssl](char* to, size_t n) -> ssize_t {
                const int done = SSL_read(ssl.get(), to, static_cast<int>(n));
                if (done <= 0 && SSL_get_error(ssl.get(), done) == SSL_ERROR_WANT_READ)
                  errno = EAGAIN;
                else if (done <= 0)
                  errno = EPIPE;
                return done > 0 ? done : -1;
              },
              [&ssl](std::string_view text) {
                SSL_write(ssl.get(), text.data(), static_cast<int>(text.size()));
              });
        } else {
          ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
          serve(
              stop, [&fd](char* to, size_t n) { return ::recv(fd.get(), to, n, 0); },
              [&fd](std::string_view text) {
                (void)::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
              });
        }
      }
    });
  }

 private:
  void serve(const std::stop_token& stop, const std::function<ssize_t(char*, size_t)>& read,
             const std::function<void(std::string_view)>& write) const {
    std::string bytes;
    const auto more = [&] {
      while (!stop.stop_requested()) {
        char piece[65536];
        const ssize_t n = read(piece, sizeof piece);
        if (n < 0 && errno == EAGAIN) continue;
        if (n <= 0) return false;
        bytes.append(piece, static_cast<size_t>(n));
        return true;
      }
      return false;
    };
    for (;;) {
      size_t end = 0;
      while ((end = bytes.find("\r\n\r\n")) == std::string::npos)
        if (!more()) return;
      HttpAsked asked{.head = bytes.substr(0, end + 2)};
      const size_t at = asked.head.find("Content-Length: ");
      const size_t length = at == std::string::npos ? 0 : std::stoul(asked.head.substr(at + 16));
      while (bytes.size() < end + 4 + length)
        if (!more()) return;
      asked.body = bytes.substr(end + 4, length);
      bytes.erase(0, end + 4 + length);
      const std::string answer = answer_(asked);
      if (answer.empty()) return;  // breaks off
      write("HTTP/1.1 " + answer + "\r\nContent-Length: 0\r\n\r\n");
    }
  }

  Answer answer_;
  const Certificate* certificate_;
  Listener listener_;
  std::jthread thread_;
};

}  // namespace lantern::delivery::testing
