// The way on after a record was written while the clock was ahead.
#include <algorithm>
#include <charconv>
#include <filesystem>

#include "base/paths.h"
#include "gate/audit.h"
#include "gate/governance.h"
#include "gate/log_facts.h"
#include "policy/clock.h"
#include "policy/owned_folder.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// Root's consent: the number of entries that the log had, in decimal digits.
constexpr std::string_view kConsentFile = "clock";
constexpr size_t kConsentBytesMax = 64;

std::optional<int64_t> consented_entries() {
  const auto folder = policy::OwnedFolder::open(base::managed_folder(), 0);
  if (!folder.ok()) return {};
  const auto text = folder->read(kConsentFile, kConsentBytesMax);
  if (!text.ok()) return {};
  int64_t n = 0;
  const char* end = text->data() + text->size();
  const auto [at, fault] = std::from_chars(text->data(), end, n);
  if (fault != std::errc() ||
      std::string_view(at, end).find_first_not_of(" \t\r\n") != std::string_view::npos)
    return {};
  return n;
}

/// Each consent is of a later log than that of the last correction, and of no log to come.
bool root_consents(int64_t size, const supply::State::ClockCorrections& before) {
  const std::optional<int64_t> consented = consented_entries();
  return consented && *consented > before.n_entries && *consented <= size;
}

Error refuse(const AuditLog& log, int64_t size) {
  const std::string reason = fmt::format(
      "that the clock is right now is root's to say on this machine: {}/{} must hold the log's "
      "number of entries, {}",
      base::managed_folder().string(), kConsentFile, size);
  const auto recorded = log.append({.action = audit::Action::kClockCorrected,
                                    .decision = audit::Decision::kDeny,
                                    .actor = audit::this_process(),
                                    .rule = std::string(policy::kClockRule),
                                    .reason = reason});
  if (!recorded.ok()) return recorded.error();
  return make_error(ErrorCode::kDenied, "denied by rule {}: {}", policy::kClockRule, reason);
}

}  // namespace

Result<ClockCorrection> correct_clock(std::string_view reason) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  const AuditLog& log = governance.log();
  const base::UtcTime now = base::utc_clock();
  const base::UtcTime ahead_until(std::chrono::seconds(log.newest_time_ms() / 1000));
  if (policy::trusted_time(now, ahead_until).ok())
    return make_error(ErrorCode::kInvalidArgument,
                      "the clock says {}, the log's newest record {}: it does not lag, so there is "
                      "nothing to correct",
                      base::format_utc(now), base::format_utc(ahead_until));
  const auto size = static_cast<int64_t>(log.log().head().size);
  LANTERN_ASSIGN(supply::State::ClockCorrections corrections,
                 governance.state().clock_corrections());
  if (governance.managed() && !root_consents(size, corrections)) return refuse(log, size);
  // First of all, so that none comes back to life where this process dies.
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  std::error_code fault;
  fs::remove(folders.state / kBreakGlassFile, fault);
  if (fault) return base::errno_error(fault.value(), (folders.state / kBreakGlassFile).string());
  corrections.count += 1;
  corrections.ahead_until = std::max(corrections.ahead_until, ahead_until);
  corrections.n_entries = size;
  // The state before the log: with the log's entry time goes back, and nothing may count again.
  LANTERN_TRY(governance.state().correct_clock(corrections));
  const auto recorded = log.append({.action = audit::Action::kClockCorrected,
                                    .decision = audit::Decision::kRecord,
                                    .actor = audit::this_process(),
                                    .rule = std::string(policy::kClockRule),
                                    .reason = std::string(reason),
                                    .facts = clock_facts(corrections),
                                    .time_ms = 1000 * now.time_since_epoch().count()});
  if (!recorded.ok()) return recorded.error();
  return ClockCorrection{.now = now, .ahead_until = ahead_until};
}

}  // namespace lantern::gate
