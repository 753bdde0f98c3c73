#include "engine/fair_shares.h"

#include <gtest/gtest.h>

namespace lantern::engine {
namespace {

TEST(FairShares, WhoComesStartsAtTheLeastTimeOfThoseWhoAreThere) {
  FairShares shares;
  auto& a = shares.join("a");
  auto& b = shares.join("b");
  a.charge(100);
  b.charge(40);
  EXPECT_EQ(shares.join("c").time(), 40);
  EXPECT_EQ(&shares.join("a"), &a);
  EXPECT_EQ(a.time(), 100);
}

TEST(FairShares, BeingAwaySavesUpNothingAndForgetsNoDebt) {
  FairShares shares;
  auto& a = shares.join("a");
  auto& b = shares.join("b");
  b.charge(500);
  shares.leave(b);
  EXPECT_EQ(shares.size(), 2u);  // b is ahead
  a.charge(300);
  EXPECT_EQ(shares.join("b").time(), 500);
  shares.leave(b);
  a.charge(700);
  shares.join("c");
  EXPECT_EQ(shares.size(), 2u);  // a has caught up
  EXPECT_EQ(shares.join("b").time(), 1000);
}

TEST(FairShares, ForgetsAllWhoHaveLeft) {
  FairShares shares;
  for (int i = 0; i < 100; ++i) {
    auto& share = shares.join(std::to_string(i));
    share.charge(i);
    shares.leave(share);
  }
  EXPECT_EQ(shares.size(), 0u);
}

}  // namespace
}  // namespace lantern::engine
