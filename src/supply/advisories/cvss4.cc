// A vector belongs to a MacroVector: six equivalence classes (EQ1 to EQ6; 0 is the worst). Experts
// gave each MacroVector a score; a vector's own lies below it, by how far it is from the worst
// vector of its class towards the next lower MacroVector, averaged over the classes.
//
// With base metrics alone EQ5 is 0 (exploit maturity is not defined, which counts as attacked), EQ6
// follows from EQ3 (requirements are not defined, which counts as high), and EQ4 is 1 or 2 (safety
// has no base value). So of the specification's 270 scores 60 are needed.
#include "supply/advisories/cvss4.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <span>

namespace lantern::supply {
namespace {

using Levels = std::array<int, 3>;  // of up to three metrics, 0 the worst; a tenth each

/// EQ3 and EQ6 are one class to the specification, with these five values.
enum Joint { k00, k01, k10, k11, k21 };

/// Scores in tenths: by EQ1, EQ2, EQ3 with EQ6, and EQ4 (1, 2); EQ5 is 0.
constexpr int kScores[3][2][5][2] = {
    {{{100, 93}, {96, 90}, {93, 88}, {92, 80}, {79, 69}},
     {{95, 92}, {91, 81}, {92, 84}, {82, 70}, {71, 63}}},
    {{{94, 87}, {89, 75}, {86, 72}, {76, 57}, {65, 53}},
     {{90, 77}, {77, 66}, {74, 61}, {59, 52}, {58, 23}}},
    {{{86, 70}, {74, 54}, {72, 53}, {57, 36}, {47, 24}},
     {{73, 54}, {55, 43}, {61, 46}, {51, 18}, {24, 10}}},
};

struct Value {
  std::string_view value;
  int level;
};

/// Less than 0 where the metric is missing or has another value.
int level_of(const std::map<std::string_view, std::string_view>& metrics, std::string_view name,
             std::initializer_list<Value> values) {
  const auto found = metrics.find(name);
  if (found != metrics.end())
    for (const Value& one : values)
      if (one.value == found->second) return one.level;
  return -1;
}

/// Steps from the first of the class's worst vectors that is nowhere better than `levels`.
int distance(const Levels& levels, std::span<const Levels> worst) {
  for (const Levels& from : worst) {
    int steps = 0;
    bool below = true;
    for (size_t i = 0; i < levels.size(); ++i) {
      below = below && levels[i] >= from[i];
      steps += levels[i] - from[i];
    }
    if (below) return steps;
  }
  return 0;
}

/// Averages what each class takes off.
class Average {
 public:
  explicit Average(int value) : value_(value) {}
  /// A class whose next lower MacroVector has the score `lower`; `depth`: steps in the class.
  void add(int lower, int steps, int depth) {
    sum_ += static_cast<double>(value_ - lower) * steps / depth;
    ++n_;
  }
  [[nodiscard]] double mean() const { return n_ == 0 ? 0 : sum_ / n_; }

 private:
  int value_;
  double sum_ = 0;
  int n_ = 0;
};

struct Base {
  Levels exploit{};     // AV, PR, UI
  Levels complexity{};  // AC, AT
  Levels system{};      // VC, VI, VA
  Levels next{};        // SC, SI, SA; H is 1
};

double score_of(const Base& base) {
  constexpr Levels kWorst1[3][3] = {{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}},
                                    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
                                    {{3, 0, 0}, {1, 1, 1}, {1, 1, 1}}};
  constexpr Levels kWorst2[2][2] = {{{0, 0, 0}, {0, 0, 0}}, {{1, 0, 0}, {0, 1, 0}}};
  constexpr Levels kWorst3[3][2] = {
      {{0, 0, 0}, {0, 0, 0}}, {{1, 0, 0}, {0, 1, 0}}, {{1, 1, 1}, {1, 1, 1}}};
  constexpr Levels kWorst4[2] = {{1, 1, 1}, {2, 2, 2}};
  constexpr int kDepth1[] = {1, 4, 5}, kDepth2[] = {1, 2}, kDepth3[] = {7, 8, 10},
                kDepth4[] = {5, 4};

  const auto has = [](const Levels& levels, int level) {
    return std::find(levels.begin(), levels.end(), level) != levels.end();
  };
  const bool none = base.exploit == Levels{0, 0, 0};
  const size_t eq1 = none ? 0 : base.exploit[0] != 3 && has(base.exploit, 0) ? 1 : 2;
  const size_t eq2 = base.complexity == Levels{0, 0, 0} ? 0 : 1;
  const bool both_high = base.system[0] == 0 && base.system[1] == 0;
  const size_t eq3 = both_high ? 0 : has(base.system, 0) ? 1 : 2;
  const size_t eq4 = has(base.next, 1) ? 0 : 1;  // the specification's 1 and 2
  constexpr Joint kJoint[] = {k00, k10, k21};
  const Joint joint = kJoint[eq3];

  const int value = kScores[eq1][eq2][joint][eq4];
  Average average(value);
  if (eq1 < 2)
    average.add(kScores[eq1 + 1][eq2][joint][eq4], distance(base.exploit, kWorst1[eq1]),
                kDepth1[eq1]);
  if (eq2 < 1)
    average.add(kScores[eq1][eq2 + 1][joint][eq4], distance(base.complexity, kWorst2[eq2]),
                kDepth2[eq2]);
  const auto& scores = kScores[eq1][eq2];
  if (joint != k21)
    average.add(joint == k00 ? std::max(scores[k01][eq4], scores[k10][eq4]) : scores[k11][eq4],
                distance(base.system, kWorst3[eq3]), kDepth3[eq3]);
  if (eq4 < 1) average.add(scores[joint][1], distance(base.next, {&kWorst4[eq4], 1}), kDepth4[eq4]);
  average.add(value, 0, 1);              // EQ5 has a next lower MacroVector, at no distance
  constexpr double kHalfUp = .5 + 1e-9;  // sums of tenths that binary fractions miss
  return std::floor(std::clamp(value - average.mean(), 0.0, 100.0) + kHalfUp) / 10;
}

}  // namespace

std::optional<double> base_score_4(const std::map<std::string_view, std::string_view>& metrics) {
  const auto level = [&](std::string_view name, std::initializer_list<Value> values) {
    return level_of(metrics, name, values);
  };
  const auto system = [&](std::string_view name) {
    return level(name, {{"H", 0}, {"L", 1}, {"N", 2}});
  };
  const auto next = [&](std::string_view name) {
    return level(name, {{"H", 1}, {"L", 2}, {"N", 3}});
  };
  const Base base{
      .exploit = {level("AV", {{"N", 0}, {"A", 1}, {"L", 2}, {"P", 3}}),
                  level("PR", {{"N", 0}, {"L", 1}, {"H", 2}}),
                  level("UI", {{"N", 0}, {"P", 1}, {"A", 2}})},
      .complexity = {level("AC", {{"L", 0}, {"H", 1}}), level("AT", {{"N", 0}, {"P", 1}}), 0},
      .system = {system("VC"), system("VI"), system("VA")},
      .next = {next("SC"), next("SI"), next("SA")}};
  for (const Levels& levels : {base.exploit, base.complexity, base.system, base.next})
    for (const int one : levels)
      if (one < 0) return std::nullopt;
  if (base.system == Levels{2, 2, 2} && base.next == Levels{3, 3, 3}) return 0.0;
  return score_of(base);
}

}  // namespace lantern::supply
