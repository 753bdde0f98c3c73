#include "kernels/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace lantern::kernels {
namespace {

// Restores the variable, so that the other tests of the program see what the caller set.
class IsaEnvironment : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const char* old = std::getenv("LANTERN_ISA")) saved_ = old;
  }
  void TearDown() override {
    saved_.empty() ? unsetenv("LANTERN_ISA") : setenv("LANTERN_ISA", saved_.c_str(), 1);
  }
  std::string saved_;
};

TEST_F(IsaEnvironment, TakesTheBestWhereNothingIsSet) {
  unsetenv("LANTERN_ISA");
  EXPECT_EQ(*isa_from_environment(), best_isa());
  EXPECT_TRUE(isa_supported(best_isa()));
}

TEST_F(IsaEnvironment, TakesTheOneNamed) {
  for (Isa isa : {Isa::kRef, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512}) {
    setenv("LANTERN_ISA", std::string(isa_name(isa)).c_str(), 1);
    auto got = isa_from_environment();
    if (isa_supported(isa)) {
      ASSERT_TRUE(got.ok());
      EXPECT_EQ(*got, isa);
    } else {
      ASSERT_FALSE(got.ok());
      EXPECT_EQ(got.error().code, ErrorCode::kUnsupported);
    }
  }
}

TEST_F(IsaEnvironment, RefusesAnUnknownName) {
  setenv("LANTERN_ISA", "avx9", 1);
  auto got = isa_from_environment();
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(got.error().message, "LANTERN_ISA: \"avx9\" is none of ref, avx2, avxvnni, avx512");
}

}  // namespace
}  // namespace lantern::kernels
