// What `lantern watch` tells, as events (docs/schemas/event.json, and OCSF).
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "cli/verdicts.h"
#include "delivery/event.h"
#include "sensor/watcher.h"

namespace lantern::cli {

class WatchEvents {
 public:
  /// `verdicts` outlives it.
  WatchEvents(std::string boot_id, Verdicts& verdicts);

  /// finding.appeared, finding.changed, finding.ended.
  Result<delivery::Event> of(const sensor::Observation& observation);
  /// weights.appeared, weights.gone.
  Result<delivery::Event> of(const sensor::WeightsObservation& observation);
  /// An event about a finding, `more` beside it; of more files than fit, the worst.
  Result<delivery::Event> of_finding(std::string_view name, const sensor::Finding& finding,
                                     std::string text, const base::OrderedJson& more = {});
  /// An event about the watching itself.
  Result<delivery::Event> of_watch(std::string_view name, delivery::Severity severity,
                                   std::string_view text, base::OrderedJson more = {});

  /// Of a finding, wherever it is told.
  [[nodiscard]] std::string id_of(const sensor::Finding& finding) const;
  /// "Ollama runs llama 8.0B Q4_K_M, which is revoked (process 4711 of alice)".
  std::string sentence(const sensor::Finding& finding);

 private:
  Result<delivery::Event> of_files(std::string_view name, const sensor::Finding& finding,
                                   std::string text, const std::string& verdict,
                                   const base::OrderedJson& more);
  Result<delivery::Event> make(std::string_view name, delivery::Severity severity,
                               std::string text);

  std::string hostname_, boot_id_;
  Verdicts& verdicts_;
};

}  // namespace lantern::cli
