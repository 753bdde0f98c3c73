// The policy's responses to models in foreign processes, and their dry run: what would be done is
// counted first, and nothing is enforced before the same table has been watched with for as long as
// it says. The count lies in sensor-dry-run.json in the state folder.
//
// A stop is in the audit log before it happens: one that cannot be recorded does not happen.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "gate/governance.h"
#include "policy/sensor_response.h"

namespace lantern::gate {

/// Of one [sensor] table, by its digest.
struct DryRun {
  base::Digest table{};
  std::chrono::seconds watched{};
  uint64_t would_notify = 0, would_stop = 0;  // processes
};

inline constexpr size_t kDryRunBytesMax = 4096;
/// kCorrupt for what is none.
Result<DryRun> parse_dry_run(std::string_view json, std::string_view what);
std::string dry_run_to_json(const DryRun& run);

/// What is done on this machine.
struct ResponseStanding {
  std::optional<policy::SensorResponses> policy = {};  // absent: all is observed
  bool enforced = false;
  DryRun dry_run = {};

  /// One line for a person: "dry run, 3 of 24 hours, would have stopped 2 processes".
  [[nodiscard]] std::string text() const;
};

/// A process that is to be stopped, for its record.
struct StopTarget {
  int pid = 0;
  std::string user = {}, program = {}, finding_id = {};
  std::string model = {};  // what it is called here, or what its header says
  std::string verdict = {};
};

/// One thread at a time.
class SensorResponses {
 public:
  /// kCorrupt, kIo of the count.
  static Result<SensorResponses> open();

  /// By the policy in force now; `watched` was spent watching since the last call. kDenied where a
  /// managed machine has no policy, kIo where the count cannot be kept.
  Result<ResponseStanding> standing(Governance& governance, std::chrono::seconds watched);
  /// Counts a process that would have been dealt with so.
  Status count(policy::SensorResponse response);

  /// Durable once it returns; an error means that the process must not be stopped.
  static Status record_stop(Governance& governance, const StopTarget& target);
  /// What a stop that was recorded came to, where it failed.
  static void record_failure(Governance& governance, const StopTarget& target,
                             std::string_view why);

 private:
  explicit SensorResponses(std::filesystem::path path) : path_(std::move(path)) {}
  [[nodiscard]] Status keep() const;

  std::filesystem::path path_;
  std::optional<DryRun> run_;
};

}  // namespace lantern::gate
