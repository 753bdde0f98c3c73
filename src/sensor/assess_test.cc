#include "sensor/assess.h"

#include <gtest/gtest.h>

namespace lantern::sensor {
namespace {

Evidence of(EvidenceClass kind, int strength) { return {.kind = kind, .strength = strength}; }
const Evidence kMapped = of(EvidenceClass::kWeights, kMappedWeights);
const Evidence kOpened = of(EvidenceClass::kWeights, kOpenWeights);
const Evidence kRead = of(EvidenceClass::kWeights, kReadWeights);
const Evidence kEngine = of(EvidenceClass::kCode, kEngineCode);
const Evidence kLibrary = of(EvidenceClass::kCode, kEngineLibrary);
const Evidence kEmbedded = of(EvidenceClass::kCode, kEmbeddedCode);
const Evidence kGpu = of(EvidenceClass::kAccelerator, kAcceleratorOpen);
const Evidence kName = of(EvidenceClass::kLabel, kKnownName);
const Evidence kPort = of(EvidenceClass::kLabel, kKnownPort);
const Evidence kVariable = of(EvidenceClass::kLabel, kKnownVariable);
const Evidence kBusy = of(EvidenceClass::kCompute, kSustainedCompute);

std::optional<Level> level(std::initializer_list<Evidence> evidence) {
  return level_of(std::vector<Evidence>(evidence));
}

TEST(Assess, TwoIndependentClassesMakeAnAlert) {
  for (const auto& evidence : std::vector<std::vector<Evidence>>{{kMapped, kEngine},
                                                                 {kMapped, kPort},
                                                                 {kMapped, kGpu},
                                                                 {kMapped, kEmbedded},
                                                                 {kOpened, kLibrary},
                                                                 {kRead, kEngine},
                                                                 {kEngine, kGpu},
                                                                 {kEngine, kName},
                                                                 {kEngine, kPort}})
    EXPECT_EQ(level_of(evidence), Level::kAlert) << score_of(evidence);
}

TEST(Assess, OneClassIsASuspicionHoweverStrong) {
  EXPECT_EQ(level({kMapped}), Level::kSuspected);
  EXPECT_EQ(level({kMapped, kOpened, kRead}), Level::kSuspected);
  EXPECT_EQ(level({kEngine, kLibrary}), Level::kSuspected);
  EXPECT_EQ(level({kMapped, kVariable, kBusy}), Level::kSuspected)
      << "anyone computes, anyone has variables";
}

TEST(Assess, NamesAndPortsAreNeverAnAlert) {
  EXPECT_EQ(level({kName, kPort, kVariable, kBusy, kGpu}), Level::kLabel);
  EXPECT_EQ(level({kName, kGpu, kEmbedded}), Level::kLabel) << "a browser that is called so";
  EXPECT_EQ(level({kPort}), std::nullopt) << "a squatter";
  EXPECT_EQ(level({kGpu, kBusy}), std::nullopt) << "a game";
  EXPECT_EQ(level({kGpu, kEmbedded}), std::nullopt) << "a browser";
  EXPECT_EQ(level({}), std::nullopt);
}

TEST(Assess, WithinAClassTheStrongestCounts) {
  EXPECT_EQ(score_of(std::vector{kName, kPort, kVariable}), kKnownName);
  EXPECT_EQ(score_of(std::vector{kMapped, kEngine, kName, kGpu, kBusy}), 100);
}

}  // namespace
}  // namespace lantern::sensor
