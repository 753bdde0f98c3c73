// Boost.Beast parses and writes, Asio's coroutines wait. Both stay in this file: their templates
// take half a minute to compile.
//
// One coroutine a connection reads a request, hands it to the worker threads and then writes what
// the Exchange holds, until the answer's end; meanwhile a wait on the socket tells when the client
// goes. Whatever other threads do to an Exchange is under its mutex; they wake the coroutine by
// posting to the I/O thread.
#include "server/http_server.h"

#include <atomic>
#include <boost/asio.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "base/printable.h"

namespace lantern::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kTargetBytesMax = 8192;
constexpr size_t kWorkers = 4;

constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

/// One request and what is sent for it.
class Exchange final : public Reply, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(const asio::any_io_executor& executor, size_t waiting_bytes_max)
      : wake_(executor), waiting_bytes_max_(waiting_bytes_max) {}

  void send(Response response) override {
    {
      const std::lock_guard lock(mutex_);
      if (head_ || ended_) return;
      whole_ = ended_ = true;
      head_ = std::move(response);
    }
    wake();
  }
  void start(Response response) override {
    {
      const std::lock_guard lock(mutex_);
      if (head_ || ended_) return;
      pieces_ = std::move(response.body);
      response.body.clear();
      head_ = std::move(response);
    }
    wake();
  }
  void write(std::string piece) override {
    bool too_slow = false;
    {
      const std::lock_guard lock(mutex_);
      if (!head_ || ended_) return;
      too_slow = pieces_.size() + piece.size() > waiting_bytes_max_;
      if (!too_slow) pieces_ += piece;
    }
    if (too_slow) leave();
    wake();
  }
  void end() override {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake();
  }
  [[nodiscard]] std::stop_token gone() const override { return gone_.get_token(); }

  /// I/O thread: the connection is no longer this exchange's.
  bool over = false;

  /// The client went, or is given up.
  void leave() { gone_.request_stop(); }

  /// What there is to do next. I/O thread.
  struct Next {
    std::optional<Response> head = {};  // once
    bool whole = false;                 // the head is all
    std::string pieces = {};
    bool ended = false;
  };
  Next take() {
    const std::lock_guard lock(mutex_);
    Next next{.whole = whole_, .pieces = std::exchange(pieces_, {}), .ended = ended_};
    if (head_ && !head_taken_) {
      next.head = std::move(*head_);
      head_taken_ = true;
    }
    return next;
  }

  /// Until something changed since the last take(). I/O thread.
  asio::awaitable<void> changed() {
    // What another thread posts runs on this thread, so none of it is missed before the wait.
    wake_.expires_at(asio::steady_timer::time_point::max());
    if (awake_) {
      awake_ = false;
      co_return;
    }
    co_await wake_.async_wait(use_tuple);
    awake_ = false;
  }

 private:
  void wake() {
    asio::post(wake_.get_executor(), [self = shared_from_this()] {
      self->awake_ = true;
      self->wake_.cancel();
    });
  }

  asio::steady_timer wake_;  // I/O thread, as awake_
  bool awake_ = false;
  const size_t waiting_bytes_max_;
  std::stop_source gone_;
  std::mutex mutex_;
  std::optional<Response> head_;
  bool head_taken_ = false, whole_ = false, ended_ = false;
  std::string pieces_;
};

/// The other end of a connection, looked up once: its requests come one after another.
class Peer {
 public:
  explicit Peer(gate::Connection connection) : connection_(std::move(connection)) {}
  gate::Caller caller() {
    const std::lock_guard lock(mutex_);
    if (!caller_) caller_ = gate::loopback_caller(connection_);
    return *caller_;
  }

 private:
  const gate::Connection connection_;
  std::mutex mutex_;
  std::optional<gate::Caller> caller_;
};

/// What the handler holds: when the last copy goes without an end, the client hears of it.
class Guarded final : public Reply {
 public:
  explicit Guarded(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Guarded() override {
    exchange_->send({.status = 500,
                     .headers = {{"Content-Type", "text/plain"}},
                     .body = "the request was dropped\n"});
    exchange_->end();
  }
  void send(Response response) override { exchange_->send(std::move(response)); }
  void start(Response response) override { exchange_->start(std::move(response)); }
  void write(std::string piece) override { exchange_->write(std::move(piece)); }
  void end() override { exchange_->end(); }
  [[nodiscard]] std::stop_token gone() const override { return exchange_->gone(); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

http::fields fields_of(const Response& response) {
  http::fields fields;
  for (const auto& [name, value] : response.headers) fields.insert(name, value);
  fields.set(http::field::server, "lantern");
  fields.set("X-Content-Type-Options", "nosniff");
  if (fields.find(http::field::cache_control) == fields.end())
    fields.set(http::field::cache_control, "no-store");
  return fields;
}

Response plain(int status, std::string text) {
  return {.status = status,
          .headers = {{"Content-Type", "text/plain; charset=utf-8"}},
          .body = std::move(text) + "\n"};
}

/// The answer to what could not be read, where one is due.
std::optional<Response> reading_fault(const error_code& fault, const HttpLimits& limits) {
  if (fault == http::error::body_limit)
    return plain(413, fmt::format("the body has more than {} bytes", limits.body_bytes_max));
  if (fault == http::error::header_limit)
    return plain(431, fmt::format("the header has more than {} bytes", limits.header_bytes_max));
  if (fault == beast::error::timeout) return plain(408, "the request took too long to arrive");
  if (fault == http::error::end_of_stream || fault == http::error::partial_message) return {};
  if (fault.category() == http::make_error_code(http::error::bad_method).category())
    return plain(400, fmt::format("not HTTP: {}", fault.message()));
  return {};
}

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
  Impl(const HttpLimits& bounds, HttpHandler handle)
      : limits(bounds), handler(std::move(handle)), acceptor(io), look(io), workers(kWorkers) {}

  asio::awaitable<void> accept();
  asio::awaitable<void> serve(beast::tcp_stream stream);
  asio::awaitable<bool> answer(beast::tcp_stream& stream, http::request<http::string_body> message,
                               const std::shared_ptr<Peer>& peer);
  asio::awaitable<bool> write_answer(beast::tcp_stream& stream, Exchange& exchange,
                                     const http::request<http::string_body>& message);
  asio::awaitable<bool> write_whole(beast::tcp_stream& stream, const Response& response,
                                    unsigned version, bool head_only, bool keep_alive);
  asio::awaitable<void> end_when_drained(std::chrono::steady_clock::time_point deadline);
  std::string next_id();

  HttpLimits limits;
  HttpHandler handler;
  size_t n_connections = 0;
  std::set<Exchange*> under_way;
  std::set<beast::tcp_stream*> idle;
  bool draining = false;
  asio::io_context io{1};  // its coroutines take themselves out of what is above
  tcp::acceptor acceptor;
  asio::steady_timer look;
  asio::thread_pool workers;
  uint64_t n_requests = 0;
  // Ids differ between runs, too.
  const uint64_t run = static_cast<uint64_t>(std::chrono::system_clock::now().time_since_epoch() /
                                             std::chrono::microseconds(1));
};

std::string HttpServer::Impl::next_id() { return fmt::format("{:x}-{:x}", run, ++n_requests); }

asio::awaitable<void> HttpServer::Impl::accept() {
  for (;;) {
    auto [fault, socket] = co_await acceptor.async_accept(use_tuple);
    if (draining || fault == asio::error::operation_aborted) co_return;
    if (fault) {
      // Descriptors ran out, say: wait for some to come back.
      look.expires_after(std::chrono::milliseconds(100));
      co_await look.async_wait(use_tuple);
      continue;
    }
    if (n_connections >= limits.connections_max) continue;  // closed by its destructor
    error_code ignored;
    socket.set_option(tcp::no_delay(true), ignored);
    asio::co_spawn(io, serve(beast::tcp_stream(std::move(socket))), asio::detached);
  }
}

asio::awaitable<void> HttpServer::Impl::serve(beast::tcp_stream stream) {
  struct Counted {
    size_t& n;
    explicit Counted(size_t& count) : n(count) { ++n; }
    ~Counted() { --n; }
  } counted(n_connections);
  error_code fault;
  const auto peer = stream.socket().remote_endpoint(fault);
  const auto own = stream.socket().local_endpoint(fault);
  if (fault) co_return;
  const auto caller =
      std::make_shared<Peer>(gate::Connection{.peer_address = peer.address().to_string(),
                                              .own_address = own.address().to_string(),
                                              .peer_port = peer.port(),
                                              .own_port = own.port()});
  beast::flat_buffer buffer(limits.header_bytes_max + limits.body_bytes_max + 4096);
  bool keep = true;
  while (keep && !draining) {
    if (buffer.size() == 0) {
      idle.insert(&stream);
      stream.expires_after(limits.idle);
      const auto [waited, n] = co_await stream.async_read_some(buffer.prepare(4096), use_tuple);
      idle.erase(&stream);
      if (waited) break;
      buffer.commit(n);
    }
    http::request_parser<http::string_body> parser;
    parser.header_limit(limits.header_bytes_max);
    parser.body_limit(limits.body_bytes_max);
    stream.expires_after(limits.header);
    auto [fault_read, n_header] =
        co_await http::async_read_header(stream, buffer, parser, use_tuple);
    (void)n_header;
    if (!fault_read && !parser.is_done()) {
      const auto expect = parser.get().find(http::field::expect);
      if (expect != parser.get().end() && beast::iequals(expect->value(), "100-continue")) {
        stream.expires_after(limits.write);
        http::response<http::empty_body> go_on{http::status::continue_, 11};
        co_await http::async_write(stream, go_on, use_tuple);
      }
      stream.expires_after(limits.body);
      const auto [fault_body, n_body] =
          co_await http::async_read(stream, buffer, parser, use_tuple);
      (void)n_body;
      fault_read = fault_body;
    }
    if (fault_read) {
      if (const auto response = reading_fault(fault_read, limits))
        co_await write_whole(stream, *response, 11, false, false);
      break;
    }
    keep = co_await answer(stream, parser.release(), caller);
  }
  stream.socket().shutdown(tcp::socket::shutdown_both, fault);
}

asio::awaitable<bool> HttpServer::Impl::answer(beast::tcp_stream& stream,
                                               http::request<http::string_body> message,
                                               const std::shared_ptr<Peer>& peer) {
  if (message.target().size() > kTargetBytesMax) {
    co_await write_whole(stream, plain(414, "the target is too long"), message.version(), false,
                         false);
    co_return false;
  }
  Request request{.method = std::string(message.method_string()),
                  .target = std::string(message.target()),
                  .id = next_id(),
                  .identify = [peer] { return peer->caller(); }};
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
      one->leave();
      all.erase(one);
    }
  } here(under_way, exchange.get());

  // Readable while an answer is due: the client sent more (it is there), or has gone.
  asio::cancellation_signal stop_watching;
  stream.socket().async_wait(
      tcp::socket::wait_read,
      asio::bind_cancellation_slot(stop_watching.slot(), [exchange, &stream](error_code fault) {
        if (fault == asio::error::operation_aborted || exchange->over) return;
        char byte = 0;
        if (!fault)
          stream.socket().receive(asio::buffer(&byte, 1), tcp::socket::message_peek, fault);
        if (fault && fault != asio::error::would_block && fault != asio::error::try_again) {
          exchange->leave();
          exchange->end();
        }
      }));
  stream.socket().non_blocking(true);

  asio::post(workers, [this, request = std::move(request), exchange]() mutable {
    try {
      handler(std::move(request), std::make_shared<Guarded>(exchange));
    } catch (const std::exception&) {
      // Memory ran out, say: whoever held the reply let go of it, which answers 500.
    }
  });
  const bool keep = co_await write_answer(stream, *exchange, message);
  exchange->over = true;
  stop_watching.emit(asio::cancellation_type::all);
  co_return keep && !exchange->gone().stop_requested();
}

asio::awaitable<bool> HttpServer::Impl::write_whole(beast::tcp_stream& stream,
                                                    const Response& response, unsigned version,
                                                    bool head_only, bool keep_alive) {
  http::response<http::string_body> out{http::response_header<>(fields_of(response))};
  out.version(version);
  out.result(static_cast<unsigned>(response.status));
  out.keep_alive(keep_alive);
  out.body() = response.body;
  out.prepare_payload();
  // What it would be is that of the whole answer, which is not here.
  if (out.result() == http::status::not_modified) out.content_length(boost::none);
  if (head_only) out.body().clear();
  stream.expires_after(limits.write);
  http::response_serializer<http::string_body> serializer(out);
  if (head_only) serializer.split(true);
  const auto [fault, n] = head_only
                              ? co_await http::async_write_header(stream, serializer, use_tuple)
                              : co_await http::async_write(stream, serializer, use_tuple);
  (void)n;
  co_return !fault && keep_alive;
}

asio::awaitable<bool> HttpServer::Impl::write_answer(
    beast::tcp_stream& stream, Exchange& exchange,
    const http::request<http::string_body>& message) {
  const bool chunked = message.version() >= 11;
  const bool head_only = message.method() == http::verb::head;
  const bool keep_alive = message.keep_alive();
  bool started = false;
  for (;;) {
    Exchange::Next next = exchange.take();
    if (exchange.gone().stop_requested()) co_return false;
    if (next.head && next.whole)
      co_return co_await write_whole(stream, *next.head, message.version(), head_only,
                                     keep_alive && !draining);
    error_code fault;
    stream.expires_after(limits.write);
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
    stream.expires_never();
    co_await exchange.changed();
  }
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::listen(const ListenAddress& address,
                                                       const HttpLimits& limits,
                                                       HttpHandler handler) {
  auto impl = std::make_unique<Impl>(limits, std::move(handler));
  error_code fault;
  const tcp::endpoint endpoint(asio::ip::make_address(address.host, fault), address.port);
  if (!fault) impl->acceptor.open(endpoint.protocol(), fault);
  if (!fault) impl->acceptor.set_option(tcp::acceptor::reuse_address(true), fault);
  if (!fault) impl->acceptor.bind(endpoint, fault);
  if (!fault) impl->acceptor.listen(asio::socket_base::max_listen_connections, fault);
  if (fault)
    return make_error(ErrorCode::kIo, "cannot listen on {}:{}: {}", address.host, address.port,
                      fault.message());
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

ListenAddress HttpServer::address() const {
  error_code fault;
  const auto endpoint = impl_->acceptor.local_endpoint(fault);
  return {.host = endpoint.address().to_string(), .port = endpoint.port()};
}

asio::awaitable<void> HttpServer::Impl::end_when_drained(
    std::chrono::steady_clock::time_point deadline) {
  while (!under_way.empty() && std::chrono::steady_clock::now() < deadline) {
    look.expires_after(std::chrono::milliseconds(20));
    co_await look.async_wait(use_tuple);
  }
  for (Exchange* exchange : under_way) {
    exchange->leave();
    exchange->end();
  }
  const auto last = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (n_connections > 0 && std::chrono::steady_clock::now() < last) {
    look.expires_after(std::chrono::milliseconds(5));
    co_await look.async_wait(use_tuple);
  }
  io.stop();
}

void HttpServer::run(const std::stop_token& stop, std::chrono::seconds drain) {
  Impl& impl = *impl_;
  asio::co_spawn(impl.io, impl.accept(), asio::detached);
  const std::stop_callback on_stop(stop, [&impl, drain] {
    asio::post(impl.io, [&impl, drain] {
      impl.draining = true;
      error_code ignored;
      impl.acceptor.close(ignored);
      for (beast::tcp_stream* stream : impl.idle) stream->cancel();
      asio::co_spawn(impl.io, impl.end_when_drained(std::chrono::steady_clock::now() + drain),
                     asio::detached);
    });
  });
  impl.io.run();
  impl.workers.join();
}

}  // namespace lantern::server
