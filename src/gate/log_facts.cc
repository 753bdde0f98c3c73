#include "gate/log_facts.h"

#include <algorithm>
#include <utility>

namespace lantern::gate {
namespace {

/// A personal state may lag behind its log by so many entries: noting each is some milliseconds of
/// a load, and reading a few again is microseconds.
constexpr uint64_t kLagMax = 64;
constexpr const char *kVersionFact = "version", *kDigestFact = "sha256";
constexpr const char *kCountFact = "corrections", *kAheadFact = "ahead_until_s",
                     *kEntriesFact = "entries";

class StateFloor : public policy::VersionFloor {
 public:
  StateFloor(supply::State& state, std::string what, std::optional<AuditLog> log)
      : state_(state), what_(std::move(what)), log_(std::move(log)) {}
  Result<std::optional<policy::VersionSeen>> highest() override {
    LANTERN_ASSIGN(const auto highest, state_.highest(what_));
    if (!highest) return std::optional<policy::VersionSeen>();
    return std::optional(
        policy::VersionSeen{.version = highest->version, .digest = highest->digest});
  }
  Status raise(const policy::VersionSeen& seen) override {
    if (log_) {
      const audit::Event event{.action = what_ == kPolicyFloor ? audit::Action::kPolicyChange
                                                               : audit::Action::kRevocationsImport,
                               .actor = audit::this_process(),
                               .reason = fmt::format("version {} is in force", seen.version),
                               .facts = version_facts(seen)};
      if (auto recorded = log_->append(event); !recorded.ok()) return std::move(recorded).error();
    }
    return state_.raise(what_, {.version = seen.version, .digest = seen.digest});
  }

 private:
  supply::State& state_;
  std::string what_;
  std::optional<AuditLog> log_;
};

/// The floor of each kind of document, and the action that says which version is in force.
constexpr std::pair<const char*, audit::Action> kFloors[] = {
    {kPolicyFloor, audit::Action::kPolicyChange},
    {kRevocationsFloor, audit::Action::kRevocationsImport},
    {kAdvisoriesFloor, audit::Action::kAdvisoriesImport}};

/// Whether an entry is one of those that the state must not forget. The writer puts "action" before
/// every text that somebody else chose, so its first mention is the entry's own.
bool may_matter(std::string_view entry) {
  constexpr std::string_view kField = "\"action\":\"";
  const size_t at = entry.find(kField);
  if (at == std::string_view::npos) return false;
  entry.remove_prefix(at + kField.size());
  for (const audit::Action action :
       {audit::Action::kRevoke, audit::Action::kRevocationsImport, audit::Action::kPolicyChange,
        audit::Action::kAdvisoriesImport, audit::Action::kClockCorrected}) {
    const std::string_view name = audit::action_name(action);
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('"')) return true;
  }
  return false;
}

std::optional<int64_t> number_in(const audit::Event& event, std::string_view name) {
  for (const audit::Fact& fact : event.facts)
    if (const auto* number = std::get_if<int64_t>(&fact.value);
        number != nullptr && fact.name == name)
      return *number;
  return {};
}

std::optional<supply::State::Version> version_in(const audit::Event& event) {
  const std::optional<int64_t> version = number_in(event, kVersionFact);
  std::optional<base::Digest> digest;
  for (const audit::Fact& fact : event.facts)
    if (const auto* text = std::get_if<std::string>(&fact.value);
        text != nullptr && fact.name == kDigestFact)
      if (const auto parsed = base::digest_from_hex(*text); parsed.ok()) digest = *parsed;
  if (!version || !digest) return {};
  return supply::State::Version{.version = *version, .digest = *digest};
}

Status apply_correction(supply::State& state, const audit::Event& event) {
  const auto count = number_in(event, kCountFact), ahead = number_in(event, kAheadFact),
             entries = number_in(event, kEntriesFact);
  if (!count || !ahead || !entries) return {};
  return state.correct_clock({.count = *count,
                              .ahead_until = base::UtcTime(std::chrono::seconds(*ahead)),
                              .n_entries = *entries});
}

Status apply(supply::State& state, const audit::Event& event) {
  if (event.decision == audit::Decision::kDeny || event.decision == audit::Decision::kError)
    return {};
  if (event.action == audit::Action::kRevoke) {
    if (!event.model || event.model->id.empty()) return {};
    LANTERN_ASSIGN(const base::Digest digest, base::digest_from_hex(event.model->id));
    return state.revoke({.digest = digest,
                         .by = event.actor.user,
                         .reason = event.reason,
                         .source = kLocalRevocation,
                         .at = base::UtcTime(std::chrono::seconds(event.time_ms / 1000))});
  }
  if (event.action == audit::Action::kClockCorrected) return apply_correction(state, event);
  const auto version = version_in(event);
  if (!version) return {};
  for (const auto& [floor, action] : kFloors)
    if (event.action == action) return state.raise(floor, *version);
  return {};
}

Error denied_by_log(std::string_view fault) {
  return make_error(ErrorCode::kDenied,
                    "denied by rule lantern.audit-log: {}; see `lantern audit verify` and ask "
                    "whoever keeps this machine",
                    fault);
}

/// In the log itself: the state has read further than the log goes.
Status record_that_it_was_cut(const AuditLog& log, uint64_t known, uint64_t size) {
  auto recorded = log.append(
      {.action = audit::Action::kFinding,
       .actor = audit::this_process(),
       .rule = "lantern.audit-log",
       .reason = fmt::format("the state knows {} entries of this log, which ended at entry {}: its "
                             "tail was cut or an old copy was put back",
                             known, size)});
  return recorded.ok() ? Status() : Status(std::move(recorded).error());
}

/// The state applies what the log has from `position` on.
Status catch_up(supply::State& state, const AuditLog& log, uint64_t position, bool managed) {
  std::vector<audit::Event> events;
  Status read;
  const auto collect = [&](uint64_t index, std::string_view entry) {
    if (!read.ok() || !may_matter(entry)) return;
    auto event = audit::event_from_json(entry, fmt::format("audit log: entry {}", index));
    if (event.ok())
      events.push_back(*std::move(event));
    else
      read = std::move(event).error();
  };
  LANTERN_ASSIGN(const audit::Log::Reading reading, log.log().read_from(position, collect));
  LANTERN_TRY(read);
  for (const audit::Event& event : events) LANTERN_TRY(apply(state, event));
  // Where it cannot be noted now, the same entries are read once more.
  const uint64_t lag = reading.head.size - std::min(position, reading.head.size);
  if (lag >= kLagMax || (lag > 0 && (managed || !events.empty())))
    (void)state.set_log_position(
        {.version = static_cast<int64_t>(reading.head.size), .digest = reading.head.root});
  return {};
}

/// Revocations that were put in force while their record could not be written, or whose process
/// died in between.
Status record_unlogged(supply::State& state, const AuditLog& log) {
  LANTERN_ASSIGN(const auto records, state.unlogged_revocations());
  for (const supply::RevocationRecord& record : records) {
    audit::Event event{.action = audit::Action::kRevoke,
                       .actor = audit::this_process(),
                       .model = audit::ModelRef{.id = base::to_hex(record.digest)},
                       .reason = record.reason,
                       .facts = {{.name = "revoked_at", .value = base::format_utc(record.at)}}};
    event.actor.user = record.by;
    if (auto recorded = log.append(event); !recorded.ok()) return std::move(recorded).error();
    LANTERN_TRY(state.mark_logged(record));
  }
  return {};
}

}  // namespace

std::vector<audit::Fact> version_facts(const policy::VersionSeen& seen) {
  return {{.name = kVersionFact, .value = seen.version},
          {.name = kDigestFact, .value = base::to_hex(seen.digest)}};
}

std::vector<audit::Fact> clock_facts(const supply::State::ClockCorrections& corrections) {
  return {{.name = kCountFact, .value = corrections.count},
          {.name = kAheadFact,
           .value = static_cast<int64_t>(corrections.ahead_until.time_since_epoch().count())},
          {.name = kEntriesFact, .value = corrections.n_entries}};
}

Status restate(supply::State& state, const AuditLog& log) {
  std::vector<audit::Event> events;
  for (const auto& [floor, action] : kFloors) {
    LANTERN_ASSIGN(const auto seen, state.highest(floor));
    if (!seen) continue;
    events.push_back({.action = action,
                      .actor = audit::this_process(),
                      .facts = version_facts({.version = seen->version, .digest = seen->digest})});
  }
  LANTERN_ASSIGN(const auto revocations, state.revocations_from(kLocalRevocation));
  for (const supply::RevocationRecord& revocation : revocations)
    events.push_back({.action = audit::Action::kRevoke,
                      .actor = audit::this_process(),
                      .model = audit::ModelRef{.id = base::to_hex(revocation.digest)},
                      .reason = revocation.reason});
  LANTERN_ASSIGN(const auto corrections, state.clock_corrections());
  if (corrections.count > 0)
    events.push_back({.action = audit::Action::kClockCorrected,
                      .actor = audit::this_process(),
                      .facts = clock_facts(corrections)});
  for (audit::Event& event : events) {
    event.facts.push_back({.name = "restated", .value = 1});
    if (auto recorded = log.append(event); !recorded.ok()) return std::move(recorded).error();
  }
  return {};
}

std::unique_ptr<policy::VersionFloor> version_floor(supply::State& state, std::string what,
                                                    std::optional<AuditLog> log) {
  return std::make_unique<StateFloor>(state, std::move(what), std::move(log));
}

Result<AuditLog> open_log_for(supply::State& state, bool managed) {
  // Read before the log is: that can only have grown since.
  LANTERN_ASSIGN(const auto position, state.log_position());
  const uint64_t known = position ? static_cast<uint64_t>(position->version) : 0;
  std::vector<audit::KeptHead> kept;
  if (managed && position)
    kept.push_back({.size = known, .root = position->digest, .at = "the state"});
  auto log = AuditLog::of_user(std::move(kept));
  if (!log.ok() && log.error().code == ErrorCode::kCorrupt)
    return denied_by_log(log.error().message);
  if (!log.ok()) return log;
  const uint64_t size = log->log().head().size;
  if (size < known) {
    LANTERN_TRY(record_that_it_was_cut(*log, known, size));
    LANTERN_TRY(state.set_log_position({.version = 0, .digest = audit::empty_root()}));
  }
  LANTERN_TRY(catch_up(state, *log, size < known ? 0 : known, managed));
  LANTERN_TRY(record_unlogged(state, *log));
  return log;
}

}  // namespace lantern::gate
