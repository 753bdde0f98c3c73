// Qualitative severity, from CVSS base vectors where a record has no label of its own. Formulas:
// CVSS v3.1 specification, section 7.1 (v3.0 differs only in rounding, which no rating depends on);
// CVSS v2 guide, section 3.2.1; v4.0 in cvss4.cc. Ratings: v3.1 section 5 and v4.0 section 6, which
// are the same; v2 by NVD's bands.
#include <algorithm>
#include <cmath>
#include <map>

#include "base/ascii.h"
#include "supply/advisories/advisory.h"
#include "supply/advisories/cvss4.h"

namespace lantern::supply {
namespace {

constexpr size_t kVectorBytesMax = 400;

using Metrics = std::map<std::string_view, std::string_view>;

/// "AV:N/AC:L/..." by metric; nothing where a part has no value or stands twice.
std::optional<Metrics> split(std::string_view vector) {
  Metrics metrics;
  while (!vector.empty()) {
    const size_t end = std::min(vector.find('/'), vector.size());
    const std::string_view part = vector.substr(0, end);
    const size_t colon = part.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon + 1 == part.size())
      return std::nullopt;
    if (!metrics.emplace(part.substr(0, colon), part.substr(colon + 1)).second) return std::nullopt;
    vector.remove_prefix(std::min(end + 1, vector.size()));
  }
  return metrics;
}

struct Weight {
  std::string_view value;
  double weight;
};

/// Less than 0 where the metric is missing or has another value.
double weigh(const Metrics& metrics, std::string_view name, std::initializer_list<Weight> weights) {
  const auto found = metrics.find(name);
  if (found != metrics.end())
    for (const Weight& one : weights)
      if (one.value == found->second) return one.weight;
  return -1;
}

/// The smallest number with one decimal that is not less.
double round_up(double score) {
  const auto scaled = std::llround(score * 100'000);
  return scaled % 10'000 == 0 ? static_cast<double>(scaled) / 100'000
                              : (std::floor(static_cast<double>(scaled) / 10'000) + 1) / 10;
}

std::optional<double> base_score_3(const Metrics& metrics) {
  const double scope = weigh(metrics, "S", {{"U", 0}, {"C", 1}});
  const bool changed = scope > 0;
  const double av = weigh(metrics, "AV", {{"N", .85}, {"A", .62}, {"L", .55}, {"P", .2}});
  const double ac = weigh(metrics, "AC", {{"L", .77}, {"H", .44}});
  const double pr = changed ? weigh(metrics, "PR", {{"N", .85}, {"L", .68}, {"H", .5}})
                            : weigh(metrics, "PR", {{"N", .85}, {"L", .62}, {"H", .27}});
  const double ui = weigh(metrics, "UI", {{"N", .85}, {"R", .62}});
  double kept = 1;  // of confidentiality, integrity and availability together
  for (std::string_view name : {"C", "I", "A"}) {
    const double impact = weigh(metrics, name, {{"H", .56}, {"L", .22}, {"N", 0}});
    if (impact < 0) return std::nullopt;
    kept *= 1 - impact;
  }
  if (scope < 0 || av < 0 || ac < 0 || pr < 0 || ui < 0) return std::nullopt;
  const double base = 1 - kept;
  const double impact =
      changed ? 7.52 * (base - .029) - 3.25 * std::pow(base - .02, 15) : 6.42 * base;
  if (impact <= 0) return 0.0;
  const double exploitability = 8.22 * av * ac * pr * ui;
  return round_up(std::min((changed ? 1.08 : 1) * (impact + exploitability), 10.0));
}

std::optional<double> base_score_2(const Metrics& metrics) {
  const double av = weigh(metrics, "AV", {{"L", .395}, {"A", .646}, {"N", 1}});
  const double ac = weigh(metrics, "AC", {{"H", .35}, {"M", .61}, {"L", .71}});
  const double au = weigh(metrics, "Au", {{"M", .45}, {"S", .56}, {"N", .704}});
  double kept = 1;
  for (std::string_view name : {"C", "I", "A"}) {
    const double impact = weigh(metrics, name, {{"N", 0}, {"P", .275}, {"C", .66}});
    if (impact < 0) return std::nullopt;
    kept *= 1 - impact;
  }
  if (av < 0 || ac < 0 || au < 0) return std::nullopt;
  const double impact = 10.41 * (1 - kept);
  const double exploitability = 20 * av * ac * au;
  const double score = (.6 * impact + .4 * exploitability - 1.5) * (impact == 0 ? 0 : 1.176);
  return std::round(std::max(0.0, score) * 10) / 10;
}

}  // namespace

std::string_view severity_name(Severity severity) {
  switch (severity) {
    case Severity::kUnknown:
      return "unknown";
    case Severity::kNone:
      return "none";
    case Severity::kLow:
      return "low";
    case Severity::kMedium:
      return "medium";
    case Severity::kHigh:
      return "high";
    case Severity::kCritical:
      return "critical";
  }
  return "unknown";
}

std::optional<Severity> severity_from_name(std::string_view name) {
  const std::string plain = base::to_lower(name.substr(0, 16));
  if (plain == "moderate") return Severity::kMedium;
  if (plain == "negligible") return Severity::kLow;
  for (Severity one :
       {Severity::kNone, Severity::kLow, Severity::kMedium, Severity::kHigh, Severity::kCritical})
    if (plain == severity_name(one)) return one;
  return std::nullopt;
}

std::optional<double> cvss_base_score(std::string_view vector) {
  if (vector.size() > kVectorBytesMax) return std::nullopt;
  const auto score = [](std::string_view text, auto formula) -> std::optional<double> {
    const auto metrics = split(text);
    return metrics ? formula(*metrics) : std::nullopt;
  };
  constexpr size_t kPrefixBytes = 9;  // "CVSS:4.0/"
  if (vector.starts_with("CVSS:4.0/")) return score(vector.substr(kPrefixBytes), base_score_4);
  if (vector.starts_with("CVSS:3.0/") || vector.starts_with("CVSS:3.1/"))
    return score(vector.substr(kPrefixBytes), base_score_3);
  if (vector.starts_with("CVSS:")) return std::nullopt;
  return score(vector, base_score_2);
}

std::optional<Severity> cvss_severity(std::string_view vector) {
  const std::optional<double> score = cvss_base_score(vector);
  if (!score) return std::nullopt;
  const bool is_version_2 = !vector.starts_with("CVSS:");
  if (*score == 0 && !is_version_2) return Severity::kNone;
  if (*score < 4) return Severity::kLow;
  if (*score < 7) return Severity::kMedium;
  return *score < 9 || is_version_2 ? Severity::kHigh : Severity::kCritical;
}

}  // namespace lantern::supply
