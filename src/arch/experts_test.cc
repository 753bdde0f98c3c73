#include "arch/experts.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace lantern::arch {
namespace {

std::vector<int32_t> choose(const std::vector<float>& scores, int64_t k) {
  std::vector<int32_t> chosen(static_cast<size_t>(k), -1);
  choose_experts(scores.data(), std::ssize(scores), k, chosen.data());
  return chosen;
}

TEST(Experts, TheBestComeFirst) {
  EXPECT_EQ(choose({0.1f, 0.4f, 0.2f, 0.3f}, 3), (std::vector<int32_t>{1, 3, 2}));
  EXPECT_EQ(choose({0.5f}, 1), (std::vector<int32_t>{0}));
}

TEST(Experts, EqualScoresGoToTheLowerId) {
  EXPECT_EQ(choose({0.2f, 0.3f, 0.3f, 0.2f, 0.3f}, 4), (std::vector<int32_t>{1, 2, 4, 0}));
  EXPECT_EQ(choose({0.0f, 0.0f, 0.0f}, 2), (std::vector<int32_t>{0, 1}));
}

TEST(Experts, ChoosesValidIdsFromWhatIsNoNumber) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(choose({nan, nan, nan}, 2), (std::vector<int32_t>{0, 1}));
}

}  // namespace
}  // namespace lantern::arch
