#include "gate/sensor_responses.h"

#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;

/// The count is written at most so often, so at most so much watching is forgotten at a crash.
constexpr std::chrono::seconds kKeptEvery{60};
constexpr uint64_t kDryRunCountMax = uint64_t{1} << 53;

Result<uint64_t> count_in(const base::Json& json, const char* key, std::string_view what) {
  const auto at = json.find(key);
  if (at == json.end() || !at->is_number_unsigned() || at->get<uint64_t>() > kDryRunCountMax)
    return make_error(ErrorCode::kCorrupt, "{}: {}: no count", what, key);
  return at->get<uint64_t>();
}

audit::Event stop_event(const StopTarget& target) {
  return {.action = audit::Action::kStop,
          .decision = audit::Decision::kDeny,
          .actor = audit::this_process(),
          .rule = "sensor." + target.verdict,
          .reason = target.model,
          .facts = {{.name = "pid", .value = int64_t{target.pid}},
                    {.name = "user", .value = target.user},
                    {.name = "program", .value = target.program},
                    {.name = "finding", .value = target.finding_id}}};
}

}  // namespace

Result<DryRun> parse_dry_run(std::string_view json, std::string_view what) {
  LANTERN_ASSIGN(const base::Json document,
                 base::parse_json(json, what, {.bytes_max = kDryRunBytesMax, .depth_max = 2}));
  if (!document.is_object() || document.size() != 4)
    return make_error(ErrorCode::kCorrupt, "{}: not a dry run's count", what);
  const auto table = document.find("table");
  if (table == document.end() || !table->is_string())
    return make_error(ErrorCode::kCorrupt, "{}: table: no digest", what);
  DryRun run;
  auto digest = base::digest_from_hex(table->get_ref<const std::string&>());
  if (!digest.ok()) return std::move(digest).error().within(fmt::format("{}: table", what));
  run.table = *digest;
  LANTERN_ASSIGN(const uint64_t watched, count_in(document, "watched_s", what));
  run.watched = std::chrono::seconds(watched);
  LANTERN_ASSIGN(run.would_notify, count_in(document, "would_notify", what));
  LANTERN_ASSIGN(run.would_stop, count_in(document, "would_stop", what));
  return run;
}

std::string dry_run_to_json(const DryRun& run) {
  return base::OrderedJson{{"table", base::to_hex(run.table)},
                           {"watched_s", run.watched.count()},
                           {"would_notify", run.would_notify},
                           {"would_stop", run.would_stop}}
             .dump() +
         "\n";
}

std::string ResponseStanding::text() const {
  if (!policy) return "the policy asks for no response: all is observed";
  const std::string counted =
      fmt::format("{:.1f} hours watched, {} processes would have been notified, {} stopped",
                  static_cast<double>(dry_run.watched.count()) / 3600, dry_run.would_notify,
                  dry_run.would_stop);
  if (enforced) return "responses are enforced; their dry run: " + counted;
  if (!policy->enforce) return "dry run: " + counted;
  return fmt::format("dry run, to be enforced after {} hours: {}", policy->dry_run_hours, counted);
}

Result<SensorResponses> SensorResponses::open() {
  LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
  SensorResponses responses(folders.state / "sensor-dry-run.json");
  const auto text = base::read_text_file(responses.path_, kDryRunBytesMax);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return responses;
  if (!text.ok()) return text.error();
  LANTERN_ASSIGN(responses.run_, parse_dry_run(*text, responses.path_.string()));
  return responses;
}

Status SensorResponses::keep() const {
  std::error_code ignored;
  fs::create_directories(path_.parent_path(), ignored);
  return base::write_file_atomically(path_, dry_run_to_json(*run_));
}

Result<ResponseStanding> SensorResponses::standing(Governance& governance,
                                                   std::chrono::seconds watched) {
  const Result<PolicyPtr>& policy = governance.policy();
  if (!policy.ok()) return policy.error();
  ResponseStanding standing{.policy = (*policy)->sensor};
  if (!standing.policy) return standing;
  const base::Digest table = standing.policy->digest();
  if (!run_ || run_->table != table) {
    run_ = DryRun{.table = table};
    LANTERN_TRY(keep());
  }
  const auto before = run_->watched;
  run_->watched += watched;
  if (before / kKeptEvery != run_->watched / kKeptEvery) LANTERN_TRY(keep());
  standing.dry_run = *run_;
  standing.enforced = standing.policy->enforce &&
                      run_->watched >= std::chrono::hours(standing.policy->dry_run_hours);
  return standing;
}

Status SensorResponses::count(policy::SensorResponse response) {
  if (!run_) return {};
  ++(response == policy::SensorResponse::kStop ? run_->would_stop : run_->would_notify);
  return keep();
}

Status SensorResponses::record_stop(Governance& governance, const StopTarget& target) {
  if (!governance.has_log())
    return make_error(ErrorCode::kIo, "the audit log is not open for writing");
  LANTERN_ASSIGN(const uint64_t index, governance.log().append(stop_event(target)));
  (void)index;
  return {};
}

void SensorResponses::record_failure(Governance& governance, const StopTarget& target,
                                     std::string_view why) {
  if (!governance.has_log()) return;
  audit::Event event = stop_event(target);
  event.decision = audit::Decision::kError;
  event.reason = why;
  (void)governance.log().append_or_spool(event);
}

}  // namespace lantern::gate
