#include "server/exchange.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

namespace lantern::server {
namespace {

struct Wire {
  asio::io_context io{1};
  std::shared_ptr<Exchange> exchange = std::make_shared<Exchange>(io.get_executor(), 16);
};

Response answer(int status, std::string body) {
  return {.status = status, .body = std::move(body)};
}

TEST(ExchangeTest, AWholeAnswerIsSentOnce) {
  Wire wire;
  EXPECT_FALSE(wire.exchange->take().head.has_value());
  wire.exchange->send(answer(200, "first"));
  wire.exchange->send(answer(500, "second"));
  wire.exchange->write("more");
  const Exchange::Next next = wire.exchange->take();
  ASSERT_TRUE(next.head.has_value());
  EXPECT_TRUE(next.whole && next.ended);
  EXPECT_EQ(next.head->status, 200);
  EXPECT_EQ(next.head->body, "first");
  EXPECT_EQ(next.pieces, "");
  EXPECT_FALSE(wire.exchange->take().head.has_value()) << "the head is taken once";
}

TEST(ExchangeTest, AStreamsPiecesComeTogetherInTheirOrder) {
  Wire wire;
  wire.exchange->write("lost, for nothing began");
  wire.exchange->start(answer(200, "a"));
  wire.exchange->write("b");
  Exchange::Next next = wire.exchange->take();
  ASSERT_TRUE(next.head.has_value());
  EXPECT_EQ(next.head->body, "") << "it is the first piece";
  EXPECT_EQ(next.pieces, "ab");
  EXPECT_FALSE(next.ended || next.whole);
  wire.exchange->write("c");
  wire.exchange->end();
  wire.exchange->write("lost, for it ended");
  next = wire.exchange->take();
  EXPECT_FALSE(next.head.has_value());
  EXPECT_EQ(next.pieces, "c");
  EXPECT_TRUE(next.ended);
}

TEST(ExchangeTest, WhoReadsTooSlowlyCountsAsGone) {
  Wire wire;
  wire.exchange->start(answer(200, "12345678"));
  wire.exchange->write("12345678");
  EXPECT_FALSE(wire.exchange->gone().stop_requested()) << "16 bytes may wait";
  wire.exchange->write("9");
  EXPECT_TRUE(wire.exchange->gone().stop_requested());
  EXPECT_EQ(wire.exchange->take().pieces, "1234567812345678");

  Wire quick;
  quick.exchange->start(answer(200, ""));
  for (int i = 0; i < 100; ++i) {
    quick.exchange->write("12345678");
    EXPECT_EQ(quick.exchange->take().pieces, "12345678");
  }
  EXPECT_FALSE(quick.exchange->gone().stop_requested());
}

TEST(ExchangeTest, AReplyThatNobodyHoldsAnyLongerIsAnswered500) {
  Wire wire;
  { const Guarded dropped(wire.exchange); }
  Exchange::Next next = wire.exchange->take();
  ASSERT_TRUE(next.head.has_value());
  EXPECT_EQ(next.head->status, 500);

  Wire kept;
  {
    Guarded answered(kept.exchange);
    answered.send(answer(204, ""));
  }
  EXPECT_EQ(kept.exchange->take().head->status, 204);

  Wire broken;
  {
    Guarded begun(broken.exchange);
    begun.start(answer(200, "half"));
  }
  next = broken.exchange->take();
  EXPECT_EQ(next.head->status, 200);
  EXPECT_TRUE(next.ended) << "a stream that broke off ends";
}

/// What other threads do wakes the one that sends, however it falls in with its waits.
TEST(ExchangeTest, NoChangeFromAnotherThreadIsMissed) {
  constexpr int kPieces = 2000;
  Wire wire;
  wire.exchange = std::make_shared<Exchange>(wire.io.get_executor(), 1 << 20);
  size_t n_bytes = 0;
  bool ended = false;
  asio::co_spawn(
      wire.io,
      [&]() -> asio::awaitable<void> {
        while (!ended) {
          const Exchange::Next next = wire.exchange->take();
          n_bytes += next.pieces.size();
          ended = next.ended;
          if (!ended) co_await wire.exchange->changed();
        }
      },
      asio::detached);
  std::thread writer([&] {
    wire.exchange->start(answer(200, "x"));
    for (int i = 0; i < kPieces; ++i) wire.exchange->write("x");
    wire.exchange->end();
  });
  wire.io.run_for(std::chrono::seconds(60));
  writer.join();
  EXPECT_TRUE(ended);
  EXPECT_EQ(n_bytes, static_cast<size_t>(kPieces) + 1);
}

}  // namespace
}  // namespace lantern::server
