// What Lantern's records say of what the sensor found: the one place where the two meet.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/result.h"
#include "gate/found_models.h"
#include "sensor/assess.h"
#include "sensor/report.h"

namespace lantern::cli {

/// Each file is asked for once. One thread at a time.
class Verdicts {
 public:
  /// Records that cannot be read are told on stderr; then every model is unknown.
  Verdicts();

  const sensor::JoinedVerdict& of(const sensor::FoundWeights& weights);

  enum class Refresh { kWhereChanged, kAlways };
  /// Reads the records again where they changed, and after a minute in any case, as approvals end
  /// by the clock. True: files are asked for anew.
  bool refresh(Refresh when = Refresh::kWhereChanged);
  /// Why the records cannot be read; null: they can.
  [[nodiscard]] const Error* fault() const { return known_.ok() ? nullptr : &known_.error(); }
  /// What they are read by; null where they cannot be. Until the next refresh().
  gate::Governance* governance() { return known_.ok() ? &known_->governance() : nullptr; }

 private:
  using Clock = std::chrono::steady_clock;
  sensor::JoinedVerdict ask(const sensor::FoundWeights& weights);

  Result<gate::FoundModels> known_;
  Clock::time_point asked_ = Clock::now();
  std::map<std::string, sensor::JoinedVerdict> joined_;
};

/// Something runs here whose model nobody approved, or nobody can name. Lantern's own gate has seen
/// to the models that it reads.
bool is_in_the_dark(const sensor::Finding& finding, Verdicts& verdicts);

/// The worst of a finding's files: revoked, unknown, known, approved; "unknown" where it has none.
enum class FilesJudged {
  kAll,
  kSeenFirst,  // where any were seen in use, those alone
};
std::string worst_verdict(const sensor::Finding& finding, Verdicts& verdicts,
                          FilesJudged files = FilesJudged::kAll);

}  // namespace lantern::cli
