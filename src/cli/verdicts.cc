#include "cli/verdicts.h"

#include <algorithm>
#include <array>

#include "base/printable.h"
#include "cli/output.h"

namespace lantern::cli {
namespace {

/// Approvals and revocation lists end by the clock, with no write to show it.
constexpr std::chrono::seconds kAskAnew{60};

constexpr std::array<std::string_view, 4> kWorstFirst = {"revoked", "unknown", "known", "approved"};

}  // namespace

Verdicts::Verdicts() : known_(gate::FoundModels::open()) {
  if (!known_.ok())
    tell("the records cannot be read, so every model is unknown: " + known_.error().message);
}

const sensor::JoinedVerdict& Verdicts::of(const sensor::FoundWeights& weights) {
  const auto [at, is_new] =
      joined_.try_emplace(fmt::format("{}\n{}\n{} {} {}", weights.path, weights.where,
                                      weights.stamp.inode, weights.size, weights.stamp.mtime_ns));
  if (is_new && known_.ok())
    at->second = sensor::verdict_of_whole(
        weights, [this](const sensor::FoundWeights& file) { return ask(file); });
  return at->second;
}

sensor::JoinedVerdict Verdicts::ask(const sensor::FoundWeights& weights) {
  const auto standing = known_->standing({.path = weights.deleted ? "" : weights.path,
                                          .size = weights.size,
                                          .stamp = weights.stamp,
                                          .digest = weights.digest,
                                          .header = weights.facts.header_digest,
                                          .header_bytes = weights.facts.header_bytes});
  if (!standing.ok()) {
    tell(base::printable(weights.path, 300) + ": " + standing.error().message);
    return {};
  }
  return {.verdict = std::string(gate::found_verdict_name(standing->verdict)),
          .model = standing->model,
          .matched_by = standing->matched_by};
}

bool Verdicts::refresh(Refresh when) {
  if (when == Refresh::kWhereChanged && Clock::now() - asked_ < kAskAnew) {
    if (!known_.ok()) return false;
    const auto changed = known_->changed();
    if (changed.ok() && !*changed) return false;
  }
  asked_ = Clock::now();
  known_ = gate::FoundModels::open();
  joined_.clear();
  return true;
}

bool is_in_the_dark(const sensor::Finding& finding, Verdicts& verdicts) {
  if (finding.level != sensor::Level::kAlert) return false;
  const bool own = finding.kind == sensor::RuntimeClass::kOwn;
  if (finding.weights.empty()) return !own;
  return std::any_of(finding.weights.begin(), finding.weights.end(),
                     [&](const sensor::FoundWeights& one) {
                       const bool own_guess = own && one.use == sensor::Basis::kInferred;
                       return !own_guess && verdicts.of(one).verdict != "approved";
                     });
}

std::string worst_verdict(const sensor::Finding& finding, Verdicts& verdicts, FilesJudged files) {
  const auto is_seen = [](const sensor::FoundWeights& one) {
    return one.use != sensor::Basis::kInferred;
  };
  const bool seen_only = files == FilesJudged::kSeenFirst &&
                         std::any_of(finding.weights.begin(), finding.weights.end(), is_seen);
  for (const std::string_view worst : kWorstFirst)
    for (const sensor::FoundWeights& one : finding.weights)
      if ((!seen_only || is_seen(one)) && verdicts.of(one).verdict == worst)
        return std::string(worst);
  return "unknown";
}

}  // namespace lantern::cli
