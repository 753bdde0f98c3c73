#include "engine/step_pace.h"

#include <gtest/gtest.h>

namespace lantern::engine {
namespace {

using std::chrono::milliseconds;

TEST(StepPace, ShortensPiecesOnlyWhereTheyHoldUpAnswers) {
  StepPace pace(512, milliseconds(150));
  EXPECT_EQ(pace.prompt_tokens(0), 512);
  const int64_t first = pace.prompt_tokens(4);
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 100);
  pace.record(500, 1.0);  // 2 ms a token: 60 fit 120 ms
  EXPECT_EQ(pace.prompt_tokens(0), 512);
  EXPECT_EQ(pace.prompt_tokens(10), 54);  // 64 tokens in all: the products' tiles are full
  pace.record(64, 0.256);                 // 4 ms a token counts at once
  EXPECT_EQ(pace.prompt_tokens(10), 30);
  pace.record(1, 10.0);  // tells nothing
  EXPECT_EQ(pace.prompt_tokens(10), 30);
  for (int i = 0; i < 50; ++i) pace.record(64, 0.0064);
  EXPECT_NEAR(static_cast<double>(pace.prompt_tokens(16)), 496, 1);
}

TEST(StepPace, APromptAlwaysGetsOn) {
  StepPace pace(512, milliseconds(1));
  pace.record(100, 100.0);
  EXPECT_GE(pace.prompt_tokens(16), 1);
  StepPace narrow(1, milliseconds(150));
  EXPECT_EQ(narrow.prompt_tokens(16), 1);
}

}  // namespace
}  // namespace lantern::engine
