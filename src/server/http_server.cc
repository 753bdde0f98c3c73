// Boost.Beast parses and writes, Asio's coroutines wait. Both stay in this file: their templates
// take half a minute to compile.
//
// One coroutine a connection reads a request, hands it to the worker threads and then writes what
// the Exchange holds, until the answer's end; meanwhile another watches whether the client goes.
// TCP and Unix sockets are one type of stream, TLS is one over it.
#include "server/http_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <cerrno>
#include <charconv>
#include <mutex>
#include <optional>
#include <set>
#include <tuple>
#include <type_traits>
#include <utility>

#include "base/file.h"
#include "base/printable.h"
#include "server/exchange.h"

namespace lantern::server {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using asio::local::stream_protocol;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

/// Either family's sockets.
using AnySocket = asio::generic::stream_protocol::socket;
using PlainStream = beast::basic_stream<asio::generic::stream_protocol>;
using TlsStream = beast::ssl_stream<PlainStream>;

constexpr size_t kTargetBytesMax = 8192;
constexpr size_t kWorkers = 4;
/// How often a client that sent more than it should yet is looked at: whether it still listens.
constexpr auto kLookAgain = std::chrono::milliseconds(200);
/// For whom the drain cuts short: to hear of it, and then to take what was sent.
constexpr auto kLastWords = std::chrono::seconds(2);
constexpr auto kTlsGoodbye = std::chrono::seconds(2);
/// For a client that still sends while it is told that its request is refused.
constexpr auto kLinger = std::chrono::seconds(2);
constexpr size_t kLingerBytesMax = 4u << 20;

/// The other end of a connection, looked up once: its requests come one after another.
class Peer {
 public:
  explicit Peer(gate::Connection connection) : connection_(std::move(connection)) {}
  explicit Peer(const ucred& credentials) : credentials_(credentials) {}

  gate::Caller caller() {
    const std::lock_guard lock(mutex_);
    if (!caller_)
      caller_ = credentials_ ? gate::socket_caller(credentials_->uid, credentials_->pid)
                             : gate::loopback_caller(connection_);
    return *caller_;
  }
  [[nodiscard]] bool on_socket() const { return credentials_.has_value(); }
  [[nodiscard]] bool is_admin() const {
    return credentials_ && (credentials_->uid == 0 || credentials_->uid == ::geteuid());
  }

 private:
  const gate::Connection connection_ = {};
  const std::optional<ucred> credentials_ = {};
  std::mutex mutex_;
  std::optional<gate::Caller> caller_;
};

/// Nothing where the kernel says neither end: the client has gone already.
std::shared_ptr<Peer> peer_of(const tcp::socket& socket) {
  error_code fault;
  const auto peer = socket.remote_endpoint(fault);
  if (fault) return nullptr;
  const auto own = socket.local_endpoint(fault);
  if (fault) return nullptr;
  return std::make_shared<Peer>(gate::Connection{.peer_address = peer.address().to_string(),
                                                 .own_address = own.address().to_string(),
                                                 .peer_port = peer.port(),
                                                 .own_port = own.port()});
}
std::shared_ptr<Peer> peer_of(stream_protocol::socket& socket) {
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (::getsockopt(socket.native_handle(), SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return nullptr;
  return std::make_shared<Peer>(credentials);
}

void set_no_delay(tcp::socket& socket) {
  error_code fault;
  std::ignore = socket.set_option(tcp::no_delay(true), fault);  // without it, only slower
}
void set_no_delay(stream_protocol::socket&) {}

/// Whether the other end closed, whatever it sent before that.
bool has_gone(int fd) {
  pollfd poll{.fd = fd, .events = POLLRDHUP, .revents = 0};
  return ::poll(&poll, 1, 0) > 0 && (poll.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

http::fields fields_of(const Response& response) {
  http::fields fields;
  for (const auto& [name, value] : response.headers) fields.insert(name, value);
  fields.set(http::field::server, "lantern");
  fields.set("X-Content-Type-Options", "nosniff");
  if (fields.find(http::field::cache_control) == fields.end())
    fields.set(http::field::cache_control, "no-store");
  return fields;
}

/// What is said of a request that could not be read.
struct ReadingFault {
  int status = 0;  // 0: nothing is due
  std::string message = {};
};
ReadingFault reading_fault(const error_code& fault, const HttpLimits& limits) {
  if (fault == http::error::body_limit)
    return {413, fmt::format("the body has more than {} bytes", limits.body_bytes_max)};
  if (fault == http::error::header_limit)
    return {431, fmt::format("the header has more than {} bytes", limits.header_bytes_max)};
  if (fault == beast::error::timeout)
    return {408, fmt::format("the request took too long to arrive: {} s are given for its header, "
                             "{} s for its body",
                             limits.header.count(), limits.body.count())};
  if (fault == http::error::end_of_stream || fault == http::error::partial_message) return {};
  if (fault.category() == http::make_error_code(http::error::bad_method).category())
    return {400, fmt::format("not HTTP: {}", fault.message())};
  return {};
}

/// Whether the body comes as it is or in chunks (RFC 9112, section 6.1); compressed ones are not
/// taken, and would be read as empty.
template <typename Message>
bool is_plain_or_chunked(const Message& message) {
  const size_t n = message.count(http::field::transfer_encoding);
  return n == 0 ||
         (n == 1 && beast::iequals(message.at(http::field::transfer_encoding), "chunked"));
}

/// Cancels what a stream waits for once a time has passed. Unlike Beast's own timer it leaves the
/// connection open, for an answer that says so. I/O thread.
class Deadline {
 public:
  Deadline(PlainStream& stream, std::chrono::seconds limit)
      : state_(std::make_shared<State>(stream)) {
    stream.expires_never();
    state_->timer->expires_after(limit);
    state_->timer->async_wait([state = state_](const error_code& fault) {
      if (fault || state->stream == nullptr) return;
      state->passed = true;
      state->stream->cancel();
    });
  }
  ~Deadline() {
    state_->stream = nullptr;
    state_->timer.reset();  // ends its wait, and does not throw as cancel() does
  }
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  /// What a read ended with.
  [[nodiscard]] error_code fault(const error_code& of_read) const {
    return of_read && state_->passed ? error_code(beast::error::timeout) : of_read;
  }

 private:
  struct State {
    explicit State(PlainStream& s) : stream(&s), timer(s.get_executor()) {}
    PlainStream* stream;
    std::optional<asio::steady_timer> timer;
    bool passed = false;
  };
  std::shared_ptr<State> state_;
};

}  // namespace

Result<ListenAddress> parse_listen_address(const std::string& text) {
  const auto fault = [&] {
    return make_error(ErrorCode::kInvalidArgument,
                      "--listen {}: an address and a port are needed, such as 127.0.0.1:11435 or "
                      "[::1]:11435",
                      base::printable(text));
  };
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos) return fault();
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string::npos)
    return fault();
  if (host == "localhost") host = "127.0.0.1";
  ListenAddress out{.host = host, .port = 0};
  const char* const end = text.data() + text.size();
  const auto [stop, wrong] = std::from_chars(text.data() + colon + 1, end, out.port);
  error_code no_address;
  (void)asio::ip::make_address(host, no_address);
  if (wrong != std::errc() || stop != end || no_address) return fault();
  return out;
}

bool is_loopback(const ListenAddress& address) {
  error_code fault;
  const auto parsed = asio::ip::make_address(address.host, fault);
  return !fault && parsed.is_loopback();
}

struct HttpServer::Impl {
  Impl(const HttpLimits& bounds, HttpHandler handle, FaultShape shape)
      : limits(bounds),
        handler(std::move(handle)),
        shape_fault(std::move(shape)),
        acceptor(io),
        local_acceptor(io),
        hangup(io),
        look(io),
        workers(kWorkers) {}
  ~Impl();

  Status open_tcp(const ListenAddress& address);
  Status open_socket(const SocketPath& socket);
  template <typename Acceptor>
  asio::awaitable<void> accept(Acceptor& from);
  asio::awaitable<void> wait_for_hangup();
  asio::awaitable<void> serve_plain(AnySocket socket, std::shared_ptr<Peer> peer);
  asio::awaitable<void> serve_tls(AnySocket socket, std::shared_ptr<Peer> peer,
                                  std::shared_ptr<asio::ssl::context> context);
  template <typename Stream>
  asio::awaitable<void> serve(Stream& stream, const std::shared_ptr<Peer>& peer);
  template <typename Stream>
  asio::awaitable<error_code> read_request(Stream& stream, beast::flat_buffer& buffer,
                                           http::request_parser<http::string_body>& parser);
  template <typename Stream>
  asio::awaitable<bool> answer(Stream& stream, http::request<http::string_body> message,
                               const std::shared_ptr<Peer>& peer);
  asio::awaitable<void> watch(PlainStream& stream, std::shared_ptr<Exchange> exchange);
  template <typename Stream>
  asio::awaitable<bool> write_answer(Stream& stream, Exchange& exchange,
                                     const http::request<http::string_body>& message);
  template <typename Stream>
  asio::awaitable<bool> write_whole(Stream& stream, const Response& response, unsigned version,
                                    bool head_only, bool keep_alive);
  template <typename Stream>
  asio::awaitable<void> refuse(Stream& stream, std::string_view target, int status,
                               const std::string& message);
  asio::awaitable<void> end_when_drained(Clock::time_point deadline);
  std::string next_id();

  HttpLimits limits;
  HttpHandler handler;
  FaultShape shape_fault;
  std::function<void()> on_hangup;
  std::shared_ptr<asio::ssl::context> tls;  // empty: TCP is served without
  std::string socket_path;
  base::FileStamp socket_stamp;
  size_t n_connections = 0;
  std::set<Exchange*> under_way;
  std::set<PlainStream*> idle;
  bool draining = false;
  asio::io_context io{1};  // its coroutines take themselves out of what is above
  tcp::acceptor acceptor;
  stream_protocol::acceptor local_acceptor;
  asio::signal_set hangup;
  asio::steady_timer look;
  asio::thread_pool workers;
  uint64_t n_requests = 0;
  // Ids differ between runs, too.
  const uint64_t run = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                             std::chrono::microseconds(1));
};

namespace {

/// What stands at a path, links not followed.
Result<base::FileStamp> socket_at(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return base::errno_error(errno, path);
  if (!S_ISSOCK(info.st_mode))
    return make_error(ErrorCode::kInvalidArgument, "{}: something that is no socket is there",
                      path);
  return base::FileStamp{.device = info.st_dev, .inode = info.st_ino};
}

}  // namespace

HttpServer::Impl::~Impl() {
  // Only the one that this server made: another may have taken its place.
  if (socket_path.empty()) return;
  const auto there = socket_at(socket_path);
  if (there.ok() && *there == socket_stamp) ::unlink(socket_path.c_str());
}

Status HttpServer::Impl::open_tcp(const ListenAddress& address) {
  error_code fault;
  const tcp::endpoint endpoint(asio::ip::make_address(address.host, fault), address.port);
  if (!fault) fault = acceptor.open(endpoint.protocol(), fault);
  if (!fault) fault = acceptor.set_option(tcp::acceptor::reuse_address(true), fault);
  if (!fault) fault = acceptor.bind(endpoint, fault);
  if (!fault) fault = acceptor.listen(asio::socket_base::max_listen_connections, fault);
  if (!fault) return {};
  return make_error(ErrorCode::kIo, "cannot listen on {}:{}: {}", address.host, address.port,
                    fault.message());
}

Status HttpServer::Impl::open_socket(const SocketPath& socket) {
  const std::string path = socket.path.string();
  // sockaddr_un holds 108 bytes, the last of them 0.
  if (path.size() > 107 || path.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "{}: a socket's path has at most 107 bytes: give a shorter one to --socket",
                      path);
  error_code fault;
  const stream_protocol::endpoint endpoint(path);
  if (const auto there = socket_at(path); there.ok()) {
    stream_protocol::socket other(io);
    if (!other.connect(endpoint, fault))
      return make_error(ErrorCode::kIo, "{}: another service answers there", path);
    // Left by one that ended without removing it.
    if (fault == asio::error::connection_refused) ::unlink(path.c_str());
  } else if (there.error().code == ErrorCode::kInvalidArgument) {
    return there.error();
  }
  fault = local_acceptor.open(endpoint.protocol(), fault);
  // The mode of the unbound socket is the one that it is made with: at no time do others get in.
  if (!fault && ::fchmod(local_acceptor.native_handle(), S_IRUSR | S_IWUSR) != 0)
    return base::errno_error(errno, path);
  if (!fault) fault = local_acceptor.bind(endpoint, fault);
  if (!fault && ::chmod(path.c_str(), socket.mode) != 0) return base::errno_error(errno, path);
  if (!fault) fault = local_acceptor.listen(asio::socket_base::max_listen_connections, fault);
  if (fault) return make_error(ErrorCode::kIo, "{}: {}", path, fault.message());
  socket_path = path;
  LANTERN_ASSIGN(socket_stamp, socket_at(path));
  return {};
}

std::string HttpServer::Impl::next_id() { return fmt::format("{:x}-{:x}", run, ++n_requests); }

template <typename Acceptor>
asio::awaitable<void> HttpServer::Impl::accept(Acceptor& from) {
  asio::steady_timer pause(io);
  for (;;) {
    auto [fault, socket] = co_await from.async_accept(use_tuple);
    if (draining || fault == asio::error::operation_aborted) co_return;
    if (fault) {
      // Descriptors ran out, say: wait for some to come back.
      pause.expires_after(std::chrono::milliseconds(100));
      co_await pause.async_wait(use_tuple);
      continue;
    }
    if (n_connections >= limits.connections_max) continue;  // closed by its destructor
    set_no_delay(socket);
    std::shared_ptr<Peer> peer = peer_of(socket);
    if (peer == nullptr) continue;
    if (tls != nullptr && !peer->on_socket())
      asio::co_spawn(io, serve_tls(AnySocket(std::move(socket)), std::move(peer), tls),
                     asio::detached);
    else
      asio::co_spawn(io, serve_plain(AnySocket(std::move(socket)), std::move(peer)),
                     asio::detached);
  }
}

asio::awaitable<void> HttpServer::Impl::wait_for_hangup() {
  for (;;) {
    const auto [fault, number] = co_await hangup.async_wait(use_tuple);
    (void)number;
    if (fault) co_return;
    asio::post(workers, [this] { on_hangup(); });
  }
}

namespace {

/// One more connection while it lives.
struct Counted {
  size_t& n;
  explicit Counted(size_t& count) : n(count) { ++n; }
  ~Counted() { --n; }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
};

}  // namespace

asio::awaitable<void> HttpServer::Impl::serve_plain(AnySocket socket, std::shared_ptr<Peer> peer) {
  const Counted counted(n_connections);
  PlainStream stream(std::move(socket));
  co_await serve(stream, peer);
  error_code ignored;
  std::ignore = stream.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

asio::awaitable<void> HttpServer::Impl::serve_tls(AnySocket socket, std::shared_ptr<Peer> peer,
                                                  std::shared_ptr<asio::ssl::context> context) {
  const Counted counted(n_connections);
  TlsStream stream(std::move(socket), *context);
  PlainStream& lowest = beast::get_lowest_layer(stream);
  lowest.expires_after(limits.header);
  const auto [fault] = co_await stream.async_handshake(asio::ssl::stream_base::server, use_tuple);
  if (!fault) {
    co_await serve(stream, peer);
    lowest.expires_after(kTlsGoodbye);
    co_await stream.async_shutdown(use_tuple);
  }
  error_code ignored;
  std::ignore = lowest.socket().shutdown(asio::socket_base::shutdown_both, ignored);
}

template <typename Stream>
asio::awaitable<error_code> HttpServer::Impl::read_request(
    Stream& stream, beast::flat_buffer& buffer, http::request_parser<http::string_body>& parser) {
  PlainStream& lowest = beast::get_lowest_layer(stream);
  if (buffer.size() == 0) {
    idle.insert(&lowest);
    lowest.expires_after(limits.idle);
    const auto [waited, n] = co_await stream.async_read_some(buffer.prepare(4096), use_tuple);
    idle.erase(&lowest);
    // Between requests nobody is owed a reason.
    if (waited) co_return http::make_error_code(http::error::end_of_stream);
    buffer.commit(n);
  }
  parser.header_limit(limits.header_bytes_max);
  parser.body_limit(limits.body_bytes_max);
  {
    const Deadline deadline(lowest, limits.header);
    const auto [fault, n] = co_await http::async_read_header(stream, buffer, parser, use_tuple);
    (void)n;
    if (!fault && !is_plain_or_chunked(parser.get()))
      co_return http::make_error_code(http::error::bad_transfer_encoding);
    if (fault || parser.is_done()) co_return deadline.fault(fault);
  }
  const auto expect = parser.get().find(http::field::expect);
  if (expect != parser.get().end() && beast::iequals(expect->value(), "100-continue")) {
    lowest.expires_after(limits.write);
    http::response<http::empty_body> go_on{http::status::continue_, 11};
    co_await http::async_write(stream, go_on, use_tuple);
  }
  const Deadline deadline(lowest, limits.body);
  const auto [fault, n] = co_await http::async_read(stream, buffer, parser, use_tuple);
  (void)n;
  co_return deadline.fault(fault);
}

/// Says why a request was not taken, and ends the connection so that the client reads it: closing
/// with bytes unread would take the answer back.
template <typename Stream>
asio::awaitable<void> HttpServer::Impl::refuse(Stream& stream, std::string_view target, int status,
                                               const std::string& message) {
  co_await write_whole(stream, shape_fault(target, status, message), 11, false, false);
  if constexpr (std::is_same_v<Stream, PlainStream>) {
    error_code ignored;
    std::ignore = stream.socket().shutdown(asio::socket_base::shutdown_send, ignored);
    stream.expires_after(kLinger);
    std::array<char, 16384> unread{};
    for (size_t left = kLingerBytesMax; left > 0;) {
      const auto [fault, n] = co_await stream.async_read_some(asio::buffer(unread), use_tuple);
      if (fault) co_return;
      left -= std::min(left, n);
    }
  }
}

template <typename Stream>
asio::awaitable<void> HttpServer::Impl::serve(Stream& stream, const std::shared_ptr<Peer>& peer) {
  beast::flat_buffer buffer(limits.header_bytes_max + limits.body_bytes_max + 4096);
  bool keep = true;
  while (keep && !draining) {
    http::request_parser<http::string_body> parser;
    if (const error_code fault = co_await read_request(stream, buffer, parser)) {
      const ReadingFault why = reading_fault(fault, limits);
      if (why.status != 0) co_await refuse(stream, parser.get().target(), why.status, why.message);
      co_return;
    }
    keep = co_await answer(stream, parser.release(), peer);
  }
}

/// Ends the exchange where the client goes. `stream` lives as long as the exchange is not over.
asio::awaitable<void> HttpServer::Impl::watch(PlainStream& stream,
                                              std::shared_ptr<Exchange> exchange) {
  if (exchange->over) co_return;
  const auto [fault] = co_await stream.socket().async_wait(asio::socket_base::wait_read, use_tuple);
  asio::steady_timer pause(io);
  // Readable: it sent more (the next request, or TLS's goodbye), or it has gone.
  while (!exchange->over && fault != asio::error::operation_aborted) {
    if (fault || has_gone(stream.socket().native_handle())) {
      exchange->leave();
      exchange->end();
      co_return;
    }
    pause.expires_after(kLookAgain);
    co_await pause.async_wait(use_tuple);
  }
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::answer(Stream& stream,
                                               http::request<http::string_body> message,
                                               const std::shared_ptr<Peer>& peer) {
  if (message.target().size() > kTargetBytesMax) {
    co_await refuse(stream, message.target(), 414,
                    fmt::format("the target has more than {} bytes", kTargetBytesMax));
    co_return false;
  }
  Request request{.method = std::string(message.method_string()),
                  .target = std::string(message.target()),
                  .id = next_id(),
                  .identify = [peer] { return peer->caller(); },
                  .on_socket = peer->on_socket(),
                  .peer_is_admin = peer->is_admin()};
  for (const auto& field : message)
    request.headers.add(std::string(field.name_string()), std::string(field.value()));
  request.body = std::move(message.body());
  message.body().clear();

  auto exchange = std::make_shared<Exchange>(stream.get_executor(), limits.waiting_bytes_max);
  struct UnderWay {
    std::set<Exchange*>& all;
    Exchange* one;
    UnderWay(std::set<Exchange*>& set, Exchange* exchange) : all(set), one(exchange) {
      all.insert(one);
    }
    ~UnderWay() {
      one->over = true;
      one->leave();
      all.erase(one);
    }
  } here(under_way, exchange.get());

  // Lives as long as the watch does, which ends after it was told to.
  const auto stop_watching = std::make_shared<asio::cancellation_signal>();
  asio::co_spawn(io, watch(beast::get_lowest_layer(stream), exchange),
                 asio::bind_cancellation_slot(stop_watching->slot(),
                                              [stop_watching](const std::exception_ptr&) {}));
  asio::post(workers, [this, request = std::move(request), exchange]() mutable {
    try {
      handler(std::move(request), std::make_shared<Guarded>(exchange));
    } catch (const std::exception&) {
      // Memory ran out, say: whoever held the reply let go of it, which answers 500.
    }
  });
  const bool keep = co_await write_answer(stream, *exchange, message);
  exchange->over = true;
  stop_watching->emit(asio::cancellation_type::all);
  co_return keep && !exchange->left();
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::write_whole(Stream& stream, const Response& response,
                                                    unsigned version, bool head_only,
                                                    bool keep_alive) {
  http::response<http::string_body> out{http::response_header<>(fields_of(response))};
  out.version(version);
  out.result(static_cast<unsigned>(response.status));
  out.keep_alive(keep_alive);
  out.body() = response.body;
  out.prepare_payload();
  // What it would be is that of the whole answer, which is not here.
  if (out.result() == http::status::not_modified) out.content_length(boost::none);
  if (head_only) out.body().clear();
  beast::get_lowest_layer(stream).expires_after(limits.write);
  http::response_serializer<http::string_body> serializer(out);
  if (head_only) serializer.split(true);
  const auto [fault, n] = head_only
                              ? co_await http::async_write_header(stream, serializer, use_tuple)
                              : co_await http::async_write(stream, serializer, use_tuple);
  (void)n;
  co_return !fault && keep_alive;
}

template <typename Stream>
asio::awaitable<bool> HttpServer::Impl::write_answer(
    Stream& stream, Exchange& exchange, const http::request<http::string_body>& message) {
  const bool chunked = message.version() >= 11;
  const bool head_only = message.method() == http::verb::head;
  const bool keep_alive = message.keep_alive();
  bool started = false;
  for (;;) {
    Exchange::Next next = exchange.take();
    if (exchange.left()) co_return false;
    if (next.head && next.whole)
      co_return co_await write_whole(stream, *next.head, message.version(), head_only,
                                     keep_alive && !draining);
    error_code fault;
    beast::get_lowest_layer(stream).expires_after(limits.write);
    if (next.head) {
      http::response<http::empty_body> head{http::response_header<>(fields_of(*next.head))};
      head.version(message.version());
      head.result(static_cast<unsigned>(next.head->status));
      head.keep_alive(keep_alive && chunked);
      if (chunked) head.chunked(true);
      http::response_serializer<http::empty_body> serializer(head);
      std::tie(fault, std::ignore) =
          co_await http::async_write_header(stream, serializer, use_tuple);
      started = true;
    }
    if (!fault && started && !next.pieces.empty()) {
      if (chunked)
        std::tie(fault, std::ignore) = co_await asio::async_write(
            stream, http::make_chunk(asio::buffer(next.pieces)), use_tuple);
      else
        std::tie(fault, std::ignore) =
            co_await asio::async_write(stream, asio::buffer(next.pieces), use_tuple);
    }
    if (!fault && next.ended) {
      if (started && chunked)
        std::tie(fault, std::ignore) =
            co_await asio::async_write(stream, http::make_chunk_last(), use_tuple);
      co_return !fault && started && chunked && keep_alive;
    }
    if (fault) {
      exchange.leave();
      co_return false;
    }
    beast::get_lowest_layer(stream).expires_never();
    co_await exchange.changed();
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

namespace {

std::shared_ptr<asio::ssl::context> context_of(const TlsContext& tls) {
  SSL_CTX_up_ref(tls.get());
  return std::make_shared<asio::ssl::context>(tls.get());
}

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const HttpListen& where,
                                                       const HttpLimits& limits,
                                                       HttpHandler handler,
                                                       FaultShape shape_fault) {
  auto impl = std::make_unique<Impl>(limits, std::move(handler), std::move(shape_fault));
  if (where.tls != nullptr) impl->tls = context_of(where.tls);
  LANTERN_TRY(impl->open_tcp(where.tcp));
  if (where.socket) LANTERN_TRY(impl->open_socket(*where.socket));
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

ListenAddress HttpServer::address() const {
  error_code fault;
  const auto endpoint = impl_->acceptor.local_endpoint(fault);
  return {.host = endpoint.address().to_string(), .port = endpoint.port()};
}

void HttpServer::on_hangup(std::function<void()> call) {
  error_code ignored;
  impl_->on_hangup = std::move(call);
  std::ignore = impl_->hangup.add(SIGHUP, ignored);  // files are looked at every second, too
  asio::co_spawn(impl_->io, impl_->wait_for_hangup(), asio::detached);
}

void HttpServer::set_tls(const TlsContext& tls) {
  asio::post(impl_->io, [impl = impl_.get(), context = context_of(tls)] { impl->tls = context; });
}

void HttpServer::set_limits(const HttpLimits& limits) {
  asio::post(impl_->io, [impl = impl_.get(), limits] { impl->limits = limits; });
}

asio::awaitable<void> HttpServer::Impl::end_when_drained(Clock::time_point deadline) {
  const auto wait_for_answers = [this](Clock::time_point until) -> asio::awaitable<void> {
    while (!under_way.empty() && Clock::now() < until) {
      look.expires_after(std::chrono::milliseconds(20));
      co_await look.async_wait(use_tuple);
    }
  };
  co_await wait_for_answers(deadline);
  // Whoever waits longer hears that his answer is cut short.
  for (Exchange* exchange : under_way)
    exchange->stop(make_error(ErrorCode::kCancelled,
                              "the service ends, before the answer was complete; ask again"));
  co_await wait_for_answers(Clock::now() + kLastWords);
  for (Exchange* exchange : under_way) {
    exchange->leave();
    exchange->end();
  }
  const auto last = Clock::now() + kLastWords;
  while (n_connections > 0 && Clock::now() < last) {
    look.expires_after(std::chrono::milliseconds(5));
    co_await look.async_wait(use_tuple);
  }
  io.stop();
}

void HttpServer::run(const std::stop_token& stop, std::chrono::seconds drain) {
  Impl& impl = *impl_;
  asio::co_spawn(impl.io, impl.accept(impl.acceptor), asio::detached);
  if (!impl.socket_path.empty())
    asio::co_spawn(impl.io, impl.accept(impl.local_acceptor), asio::detached);
  const std::stop_callback on_stop(stop, [&impl, drain] {
    asio::post(impl.io, [&impl, drain] {
      impl.draining = true;
      error_code ignored;
      std::ignore = impl.acceptor.close(ignored);
      std::ignore = impl.local_acceptor.close(ignored);
      for (PlainStream* stream : impl.idle) stream->cancel();
      asio::co_spawn(impl.io, impl.end_when_drained(Clock::now() + drain), asio::detached);
    });
  });
  impl.io.run();
  impl.workers.join();
}

}  // namespace lantern::server
