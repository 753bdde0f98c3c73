// Syslog: RFC 5424 over TLS (RFC 5425) or TCP (RFC 6587, octet counting), a connection a batch, so
// that its end says what was read (delivery/stream.h); and over a local daemon's socket, a datagram
// an event.
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/printable.h"
#include "base/syslog.h"
#include "base/time.h"
#include "delivery/stream.h"
#include "delivery/transport.h"

namespace lantern::delivery {
namespace {

// What RFC 5425, 4.3.1 asks receivers to take at least; many take no more.
constexpr size_t kMessageBytesMax = 8192;
constexpr size_t kParamBytesMax = 1024;
constexpr int kTlsPort = 6514;  // RFC 5425

struct SyslogSettings {
  Address address = {};
  TlsFiles tls = {};
  Acknowledge acknowledge = Acknowledge::kClose;
  uint32_t enterprise = base::kExampleEnterprise;
  std::chrono::seconds timeout{15};
};

base::SyslogSeverity syslog_severity_of(Severity severity) {
  switch (severity) {
    case Severity::kInformational:
      return base::SyslogSeverity::kInformational;
    case Severity::kLow:
      return base::SyslogSeverity::kNotice;
    case Severity::kMedium:
      return base::SyslogSeverity::kWarning;
    case Severity::kHigh:
      return base::SyslogSeverity::kError;
    case Severity::kCritical:
      return base::SyslogSeverity::kCritical;
  }
  return base::SyslogSeverity::kInformational;
}

std::string host_name() {
  char name[256] = "";
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "";
}

class Syslog : public Transport {
 public:
  Syslog(SyslogSettings settings, TlsContext context)
      : settings_(std::move(settings)), context_(std::move(context)), host_(host_name()) {}

  [[nodiscard]] std::string form(const Event& event) const override {
    std::vector<std::pair<std::string, std::string>> params;
    for (const auto& [name, value] : event.params)
      if (!value.empty()) params.emplace_back(name, base::cut_utf8(value, kParamBytesMax));
    params.emplace_back("id", event.id);
    const std::string timestamp = base::format_utc_us(event.time_us);
    return base::syslog_line({.severity = syslog_severity_of(event.severity),
                              .timestamp = timestamp,
                              .hostname = host_,
                              .name = event.name,
                              .enterprise_number = settings_.enterprise,
                              .params = params,
                              .text = event.text},
                             kMessageBytesMax);
  }

  Outcome deliver(std::span<const Spooled> events, const std::stop_token& stop) override {
    if (settings_.address.scheme == "unix") return send_datagrams(events, stop);
    const Patience patience{.connect = settings_.timeout,
                            .write = 2 * settings_.timeout,
                            .close = settings_.timeout,
                            .stop = stop};
    auto stream = connect(patience);
    if (!stream.ok()) {
      context_ = nullptr;  // certificates may have been replaced
      return {.fault = std::move(stream).error(), .rest = Spool::Rest::kDidNotArrive};
    }
    std::string frames;
    for (const Spooled& event : events)
      frames += fmt::format("{} {}", event.payload.size(), event.payload);
    Status sent = (*stream)->write(frames);
    if (sent.ok()) sent = (*stream)->finish(settings_.acknowledge);
    if (sent.ok()) return {.n_done = events.size()};
    return {.fault = std::move(sent).error()};
  }

 private:
  Result<std::unique_ptr<Stream>> connect(const Patience& patience) {
    const Address& to = settings_.address;
    if (to.scheme == "tcp") return connect_tcp(to.host, to.port, patience);
    if (context_ == nullptr) {
      LANTERN_ASSIGN(context_, make_tls_context(settings_.tls));
    }
    return connect_tls(to.host, to.port, context_, patience);
  }

  /// A datagram counts as delivered once it is in the daemon's queue.
  Outcome send_datagrams(std::span<const Spooled> events, const std::stop_token& stop) {
    const std::string& path = settings_.address.path;
    const auto failed = [&path](size_t n_done) {
      return Outcome{.n_done = n_done,
                     .fault = base::errno_error(errno, path),
                     .rest = Spool::Rest::kDidNotArrive};
    };
    const base::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (fd.get() < 0 ||
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      return failed(0);
    const auto deadline = std::chrono::steady_clock::now() + settings_.timeout;
    for (size_t i = 0; i < events.size();) {
      const std::string& payload = events[i].payload;
      if (::send(fd.get(), payload.data(), payload.size(), MSG_NOSIGNAL) >= 0)
        ++i;
      else if (errno != EINTR && errno != EAGAIN)
        return failed(i);
      else if (stop.stop_requested() || std::chrono::steady_clock::now() >= deadline)
        return failed(i);
      else  // poll() does not wait for room in the other socket's queue
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return {.n_done = events.size()};
  }

  SyslogSettings settings_;
  TlsContext context_;  // made anew after a connection failed
  std::string host_;
};

SyslogSettings read_syslog_settings(base::TomlTable& table) {
  SyslogSettings settings;
  settings.tls = read_tls_files(table);
  settings.timeout = read_timeout(table);
  settings.enterprise = static_cast<uint32_t>(
      table.integer("enterprise", 1, UINT32_MAX).value_or(base::kExampleEnterprise));
  const auto acknowledge = table.text("acknowledge", [](std::string_view text) {
    return std::string(text == "close" || text == "kernel" ? "" : "close or kernel is needed");
  });
  if (acknowledge == "kernel") settings.acknowledge = Acknowledge::kKernel;
  const auto address = read_address(table, "address");
  if (!address) return settings;
  settings.address = *address;
  if (address->scheme == "tls") {
    if (address->port == 0) settings.address.port = kTlsPort;
  } else if (address->scheme == "tcp") {
    refuse_plain(table, "address", *address);
    if (address->port == 0) table.wrong("address", "tcp needs a port");
  } else if (address->scheme != "unix") {
    table.wrong("address", "tls://host:port, tcp://host:port or unix:/path is needed");
  } else if (address->path.size() >= sizeof(sockaddr_un::sun_path)) {
    table.wrong("address", "too long a path for a socket");
  }
  return settings;
}

TransportSettings read_syslog(base::TomlTable& table) {
  const SyslogSettings settings = read_syslog_settings(table);
  return {.target = address_label(settings.address),
          .make = [settings]() -> Result<std::unique_ptr<Transport>> {
            TlsContext context;
            if (settings.address.scheme == "tls") {
              LANTERN_ASSIGN(context, make_tls_context(settings.tls));
            }
            return std::unique_ptr<Transport>(new Syslog(settings, std::move(context)));
          }};
}

}  // namespace

extern const TransportKind k_syslog;
const TransportKind k_syslog = {.name = "syslog", .read = read_syslog};

}  // namespace lantern::delivery
