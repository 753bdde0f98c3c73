// One request's answer between the threads that make it and the I/O thread that sends it. Included
// by http_server.cc and the test alone (Asio's templates).
//
// Whatever other threads do to an Exchange is under its mutex; they wake the I/O thread's coroutine
// by posting to it.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "server/http.h"

namespace lantern::server {

namespace asio = boost::asio;

inline constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

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
  [[nodiscard]] std::optional<Error> why_gone() const override {
    const std::lock_guard lock(mutex_);
    return why_gone_;
  }

  /// I/O thread: the connection is no longer this exchange's.
  bool over = false;

  /// The client went, or is given up: nothing more is sent.
  void leave() {
    left_ = true;
    gone_.request_stop();
  }
  [[nodiscard]] bool left() const { return left_; }
  /// The answer must end now, because of `why`; how it ends is still sent.
  void stop(Error why) {
    {
      const std::lock_guard lock(mutex_);
      why_gone_ = std::move(why);
    }
    gone_.request_stop();
  }

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
  std::atomic<bool> left_ = false;
  mutable std::mutex mutex_;
  std::optional<Error> why_gone_;
  std::optional<Response> head_;
  bool head_taken_ = false, whole_ = false, ended_ = false;
  std::string pieces_;
};

/// What the handler holds: when the last copy goes without an end, the client hears of it.
class Guarded final : public Reply {
 public:
  explicit Guarded(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~Guarded() override {
    try {
      exchange_->send({.status = 500,
                       .headers = {{"Content-Type", "text/plain"}},
                       .body = "the request was dropped\n"});
      exchange_->end();
    } catch (const std::exception&) {
      exchange_->leave();  // memory ran out: nothing is left to say it with
    }
  }
  void send(Response response) override { exchange_->send(std::move(response)); }
  void start(Response response) override { exchange_->start(std::move(response)); }
  void write(std::string piece) override { exchange_->write(std::move(piece)); }
  void end() override { exchange_->end(); }
  [[nodiscard]] std::stop_token gone() const override { return exchange_->gone(); }
  [[nodiscard]] std::optional<Error> why_gone() const override { return exchange_->why_gone(); }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace lantern::server
