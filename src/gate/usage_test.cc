#include "gate/usage.h"

#include <gtest/gtest.h>

#include "format/temporary_folder.h"

namespace lantern::gate {
namespace {

constexpr base::UtcTime kNoon{std::chrono::seconds(1'800'014'400)};  // 2027-01-15T12:00:00Z

struct Meter {
  base::UtcTime now = kNoon;
  format::TemporaryFolder folder;
  std::shared_ptr<Usage> usage = open();

  std::shared_ptr<Usage> open() {
    auto opened = Usage::open(folder.path(), [this] { return now; });
    EXPECT_TRUE(opened.ok());
    return opened.ok() ? *opened : nullptr;
  }
  Usage::Used used(const std::string& subject = "user:alice") const {
    const auto used = usage->used(subject);
    EXPECT_TRUE(used.ok());
    return used.ok() ? *used : Usage::Used();
  }
};

const Caller kAlice{.user = "alice"};
const Caller kByKey{.user = "alice", .key_id = "0123456789ab"};

TEST(Usage, CountsByUserAndByKey) {
  const Meter meter;
  meter.usage->add_tokens(kAlice, 100);
  meter.usage->add_tokens(kByKey, 10);
  meter.usage->add_tokens({}, 5);
  EXPECT_EQ(meter.used().tokens_today, 110);
  EXPECT_EQ(meter.used("key:0123456789ab").tokens_today, 10);
  EXPECT_EQ(meter.used("unknown").tokens_today, 5);
  EXPECT_EQ(meter.used("user:bob").tokens_today, 0);
}

TEST(Usage, ARestartRefillsNothingADayDoes) {
  Meter meter;
  meter.usage->add_tokens(kAlice, 100);
  meter.usage.reset();
  meter.usage = meter.open();
  EXPECT_EQ(meter.used().tokens_today, 100);
  EXPECT_EQ(meter.used().seconds_to_tomorrow, 12 * 3600);
  meter.now += std::chrono::hours(12);
  EXPECT_EQ(meter.used().tokens_today, 0);
  meter.usage->add_tokens(kAlice, 7);
  // A clock that goes back gives no day anew.
  meter.now -= std::chrono::hours(13);
  EXPECT_EQ(meter.used().tokens_today, 7);
}

TEST(Usage, AddsToWhatAnotherProcessWrote) {
  Meter meter;
  const auto other = meter.open();
  other->add_tokens(kAlice, 50);
  ASSERT_TRUE(other->flush().ok());
  EXPECT_EQ(meter.used().tokens_today, 50);
  meter.usage->add_tokens(kAlice, 5);
  ASSERT_TRUE(meter.usage->flush().ok());
  other->add_tokens(kAlice, 1);
  ASSERT_TRUE(other->flush().ok());
  const auto used = other->used("user:alice");
  ASSERT_TRUE(used.ok());
  EXPECT_EQ(used->tokens_today, 56);
}

TEST(Usage, WhatIsReservedStaysWhereTheProcessIsKilled) {
  const Meter meter;
  meter.usage->add_tokens(kByKey, 10);
  const auto first = meter.usage->reserve(kByKey, 100);
  const auto second = meter.usage->reserve(kByKey, 50);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(meter.used().tokens_today, 10);
  // As the next process reads it, which nobody flushed for.
  const auto after_a_kill = [&](const std::string& subject) {
    const auto other = Usage::open(meter.folder.path(), [] { return kNoon; });
    EXPECT_TRUE(other.ok());
    const auto used = (*other)->used(subject);
    EXPECT_TRUE(used.ok());
    return used.ok() ? used->tokens_today : -1;
  };
  EXPECT_EQ(after_a_kill("user:alice"), 160);
  EXPECT_EQ(after_a_kill("key:0123456789ab"), 160);
  meter.usage->settle(kByKey, *first, 30);
  EXPECT_EQ(meter.used().tokens_today, 40);
  ASSERT_TRUE(meter.usage->flush().ok());
  EXPECT_EQ(meter.used().tokens_today, 40);
  EXPECT_EQ(after_a_kill("user:alice"), 90);
  meter.usage->settle(kByKey, *second, 0);
  ASSERT_TRUE(meter.usage->flush().ok());
  EXPECT_EQ(meter.used("key:0123456789ab").tokens_today, 40);
  EXPECT_EQ(after_a_kill("key:0123456789ab"), 40);
}

TEST(Usage, AReservationStaysWithItsDay) {
  Meter meter;
  const auto reserved = meter.usage->reserve(kAlice, 100);
  ASSERT_TRUE(reserved.ok());
  meter.now += std::chrono::hours(12);
  meter.usage->settle(kAlice, *reserved, 30);
  EXPECT_EQ(meter.used().tokens_today, 30);
  ASSERT_TRUE(meter.usage->flush().ok());
  EXPECT_EQ(meter.used().tokens_today, 30);
}

TEST(Usage, AMinuteIsTheLastSixtySeconds) {
  Meter meter;
  meter.usage->count_request(kAlice);
  meter.now += std::chrono::seconds(20);
  meter.usage->count_request(kAlice);
  EXPECT_EQ(meter.used().requests_this_minute, 2);
  EXPECT_EQ(meter.used().seconds_to_next_request, 40);
  meter.now += std::chrono::seconds(39);
  EXPECT_EQ(meter.used().requests_this_minute, 2);
  EXPECT_EQ(meter.used().seconds_to_next_request, 1);
  meter.now += std::chrono::seconds(1);
  EXPECT_EQ(meter.used().requests_this_minute, 1);
  meter.now += std::chrono::hours(1);
  EXPECT_EQ(meter.used().requests_this_minute, 0);
}

}  // namespace
}  // namespace lantern::gate
