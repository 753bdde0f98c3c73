#include "sensor/assess.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lantern::sensor {
namespace {

constexpr std::array<std::string_view, 6> kClassNames = {"weights",     "code",  "api",
                                                         "accelerator", "label", "compute"};
constexpr std::array<std::string_view, 3> kBasisNames = {"declared", "inferred", "verified"};
constexpr std::array<std::string_view, 3> kLevelNames = {"label", "suspected", "alert"};

using Strongest = std::array<int, kClassNames.size()>;

Strongest strongest(std::span<const Evidence> evidence) {
  Strongest strengths{};
  for (const Evidence& one : evidence) {
    int& strength = strengths[static_cast<size_t>(one.kind)];
    strength = std::max(strength, one.strength);
  }
  return strengths;
}

}  // namespace

std::string_view evidence_class_name(EvidenceClass value) {
  return kClassNames[static_cast<size_t>(value)];
}
std::string_view basis_name(Basis value) { return kBasisNames[static_cast<size_t>(value)]; }
std::string_view level_name(Level value) { return kLevelNames[static_cast<size_t>(value)]; }

std::string whereabouts(const Finding& finding) {
  if (finding.container)
    return fmt::format("in {} {}", finding.container->engine, finding.container->id);
  // Mounts or accounts of their own alone is what many services have.
  std::string kinds;
  bool apart = false;
  for (const std::string& kind : finding.surroundings.namespaces) {
    kinds += (kinds.empty() ? "" : ", ") + kind;
    apart = apart || kind == "pid" || kind == "net";
  }
  return apart ? "in other namespaces (" + kinds + ")" : "";
}

int score_of(std::span<const Evidence> evidence) {
  int sum = 0;
  for (const int strength : strongest(evidence)) sum += strength;
  return std::min(sum, 100);
}

std::optional<Level> level_of(std::span<const Evidence> evidence) {
  const Strongest of = strongest(evidence);
  const auto strength = [&](EvidenceClass kind) { return of[static_cast<size_t>(kind)]; };
  const int strong = std::max({strength(EvidenceClass::kWeights), strength(EvidenceClass::kCode),
                               strength(EvidenceClass::kApi)});
  // Computing and variables raise the score, and are no class of their own: anyone has them.
  const auto n_classes =
      std::count_if(of.begin(), of.end(), [](int one) { return one >= kKnownPort; });
  const int score = score_of(evidence);
  if (score >= kAlertScore && n_classes >= 2 && strong >= kSuspectScore) return Level::kAlert;
  if (strong >= kSuspectScore) return Level::kSuspected;
  if (strength(EvidenceClass::kLabel) >= kKnownName) return Level::kLabel;
  return std::nullopt;
}

}  // namespace lantern::sensor
