// What this machine has decided about models: imports, scans, approvals, revocations and who
// descends from whom. SQLite, `state.db` in the store's folder.
//
//   quarantined → scanned → approved → revoked
//
// Records are only ever added: a state is read off them. What has no record is quarantined, so a
// process that dies between taking files in and recording them leaves nothing that loads.
// Precedence: revoked over approved over scanned. A revocation names a composition or one file of
// it, and falls on every composition that contains the file and on all that descends from it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/sqlite.h"
#include "base/time.h"

namespace lantern::supply {

enum class ModelState { kQuarantined, kScanned, kApproved, kRevoked };
/// "quarantined", "scanned", "approved", "revoked".
std::string_view model_state_name(ModelState state);

struct Import {
  base::Digest id{};
  std::vector<base::Digest> files = {};
  std::string by = {};      // "user:NAME"
  std::string source = {};  // as Manifest::source, or the path where it lies
  bool in_place = false;
  base::UtcTime at = {};
  /// What made it, where something of ours did: its parents' ids, the command and its arguments.
  std::vector<base::Digest> parents = {};
  std::string tool = {};
};

struct ScanRecord {
  base::Digest id{};
  std::string verdict = {};  // the scanner's word: "clean", "warn", "malicious", ...
  std::string report = {};   // JSON, as `lantern scan-model --json` prints it
  base::UtcTime at = {};
};

struct ApprovalRecord {
  base::Digest id{};
  std::string approver = {};  // "user:NAME", or "key:SHA256" of the key that signed
  std::string reason = {};
  std::string scope = {};  // "user:NAME", "group:NAME"; empty: everyone
  base::UtcTime at = {};
  std::optional<base::UtcTime> expires = {};
  std::string statement = {};  // the signed statement (DSSE JSON), where it was signed
};

struct RevocationRecord {
  base::Digest digest{};  // a composition or a file
  std::string by = {};
  std::string reason = {};
  std::string source = {};  // "local", or the list that it came with
  base::UtcTime at = {};
};

/// A bundle whose statement was found to list every file of the composition, with its digest. Whose
/// signature it is, and whether that one is trusted, is found out at each use.
struct SignatureRecord {
  base::Digest id{};
  std::string bundle = {};  // JSON
  base::UtcTime at = {};
};

class State {
 public:
  /// Opens `folder`/state.db, made where it is missing.
  static Result<State> open(const std::filesystem::path& folder);
  /// For whoever cannot write there, to read alone; a missing one reads as empty.
  static Result<State> open_read_only(const std::filesystem::path& folder);

  /// All of these are idempotent; a second import of an id keeps the first.
  Status record_import(const Import& import);
  Status record_scan(const ScanRecord& scan);
  Status approve(const ApprovalRecord& approval);
  /// kNotYet: the audit log has no record of it; unlogged_revocations() has it until mark_logged().
  enum class Logged { kYes, kNotYet };
  Status revoke(const RevocationRecord& revocation, Logged logged = Logged::kYes);
  Result<std::vector<RevocationRecord>> unlogged_revocations();  // the oldest first
  Status mark_logged(const RevocationRecord& revocation);
  Status record_signature(const SignatureRecord& signature);
  /// The highest version of a signed document (a policy, a revocation list) that was ever accepted
  /// here, and the SHA-256 of its content.
  struct Version {
    int64_t version = 0;
    base::Digest digest{};
  };
  struct Floor {
    std::string what = {};
    Version version = {};
  };
  /// Takes `revocations` in place of those that `source` brought before, and raises `floor` with
  /// them: both or neither.
  Status replace_revocations(std::string_view source, std::span<const RevocationRecord> revocations,
                             const std::optional<Floor>& floor = {});

  Result<std::optional<Import>> import_of(const base::Digest& id);
  Result<std::vector<Import>> imports();  // all of them, oldest first
  Result<std::optional<ScanRecord>> scan_of(const base::Digest& id);
  Result<std::vector<ApprovalRecord>> approvals_of(const base::Digest& id);
  Result<std::vector<SignatureRecord>> signatures_of(const base::Digest& id);
  /// The first revocation that falls on a composition of these files, on one of them, or on
  /// something it descends from.
  Result<std::optional<RevocationRecord>> revocation_of(const base::Digest& id,
                                                        std::span<const base::Digest> files);
  Result<std::vector<RevocationRecord>> revocations_from(std::string_view source);
  /// Every digest whose revocation falls on a composition of these files: the files, the id, and
  /// those of what it descends from.
  Result<std::vector<base::Digest>> lineage_of(const base::Digest& id,
                                               std::span<const base::Digest> files);
  /// As at `now`, by records alone: whether a policy counts an approval is the gate's to say.
  Result<ModelState> state_of(const base::Digest& id, std::span<const base::Digest> files,
                              base::UtcTime now);

  Result<std::optional<Version>> highest(std::string_view what);
  /// Never lowers it.
  Status raise(std::string_view what, const Version& version);

  /// How often the clock was found to have been ahead (`lantern audit clock`), up to which moment,
  /// and how many entries the log had at the last of it.
  struct ClockCorrections {
    int64_t count = 0;
    base::UtcTime ahead_until = {};
    int64_t n_entries = 0;
  };
  Result<ClockCorrections> clock_corrections();
  /// Lowers none of them.
  Status correct_clock(const ClockCorrections& corrections);

  /// How much of the audit log these records stand for: its size, and its root at that size.
  Result<std::optional<Version>> log_position() { return highest(kLogPosition); }
  /// May be lost with a power failure; then it names an earlier position.
  Status set_log_position(const Version& position);

  /// Changes when another process or connection has written.
  Result<int64_t> data_version() { return database_.data_version(); }

 private:
  /// Those imported that are this file and nothing else.
  Result<std::vector<base::Digest>> compositions_of_one(const base::Digest& file);
  static constexpr std::string_view kLogPosition = "audit-log";
  explicit State(base::Database database) : database_(std::move(database)) {}
  base::Database database_;
};

}  // namespace lantern::supply
