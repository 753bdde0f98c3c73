// What an entry of the audit log says: who did or asked what, to which model, and what was decided
// by which rule. Typed, so that a caller has no place to put a prompt, an answer or a matched
// secret: content is represented by keyed digests and sizes (invariant 5).
//
// As JSON an event is one object on one line; docs/schemas/audit-event.json is its schema.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace lantern::audit {

enum class Action {
  kLoad,
  kChat,
  kEmbed,
  kTune,
  kExport,
  kConvert,
  kPull,
  kImport,
  kScan,
  kApprove,
  kDeny,
  kRevoke,
  kStop,
  kRemove,
  kSign,
  kVerify,
  kFinding,            // of the data-loss scanner, or of a scan of a model
  kPolicyChange,       // another policy took effect
  kRevocationsImport,  // a revocation list was taken in
  kAdvisoriesImport,
  kBreakGlass,
  kKeyCreate,
  kKeyRotate,
  kKeyBackup,
  kKeyRestore,
  kLogExport,
  kLogPrune,        // a sealed prefix was dropped
  kClockCorrected,  // the newest records' times were ahead; time goes on from this entry's
};
/// "load", "policy_change", ...
std::string_view action_name(Action action);
Result<Action> action_from_name(std::string_view name);

enum class Decision {
  kAllow,
  kDeny,
  kRecord,  // nothing was decided: it happened
  kError,   // it was allowed, or not asked, and failed
};
/// "allow", "deny", "record", "error".
std::string_view decision_name(Decision decision);
Result<Decision> decision_from_name(std::string_view name);

/// Who asked. What is not known is empty.
struct Actor {
  std::string user = {};             // login name
  std::optional<uint32_t> uid = {};  // of the socket's peer, or of this process
  std::string program = {};          // the calling program's path or name
  std::string key_id = {};           // API key or signing key, where one was used
};

struct ModelRef {
  std::string id = {};      // 64 hexadecimal digits
  std::string name = {};    // the alias under which it was asked for
  std::string signer = {};  // the verified signer, where there is one; of several one a line
  std::string state = {};   // approved, revoked, ...
};

/// HMAC-SHA-256 of some content, under the key that key_id names.
struct KeyedDigest {
  std::string of = {};      // "request", "answer", ...
  std::string hmac = {};    // 64 hexadecimal digits
  std::string key_id = {};  // of the HMAC key (audit/key_ring.h)
  uint64_t bytes = 0;       // length of the content
};

/// A further fact: a tier, a version, a count. Never content.
struct Fact {
  std::string name = {};  // [a-z0-9_]{1,64}
  std::variant<int64_t, std::string> value = {};
};

struct Event {
  Action action = Action::kLoad;
  Decision decision = Decision::kRecord;
  Actor actor = {};
  std::optional<ModelRef> model = {};
  std::string rule = {};    // the policy's or the gate's rule that decided
  std::string reason = {};  // what the person gave, or why the rule applied
  std::vector<KeyedDigest> digests = {};
  std::vector<Fact> facts = {};
  /// Milliseconds since 1970 (UTC). 0: the log sets it, never before its newest entry's. Only
  /// kClockCorrected makes the log go on from a time before that.
  int64_t time_ms = 0;
  /// Set by the log for what waited outside it while it could not be written: the same id twice
  /// is one event.
  std::string spool_id = {};
};

/// An entry's bytes are fewer than this (C2SP bundles count them in 16 bits).
inline constexpr size_t kEntryBytesMax = 65535;

/// One line of JSON. kInvalidArgument where a field breaks its form (a digest that is none, a name
/// with other characters, a text longer than 8,192 bytes), kTooLarge past kEntryBytesMax.
Result<std::string> event_to_json(const Event& event);

/// The reverse, for entries of a log. kCorrupt, naming `what` and the field. Members that this
/// version does not know are ignored, an action it does not know is kUnsupported.
Result<Event> event_from_json(std::string_view json, std::string_view what);

/// The time of an entry alone, whatever else this version makes of it. kCorrupt.
Result<int64_t> event_time(std::string_view json, std::string_view what);

/// "2026-11-22T18:41:41.123Z"; and back (kCorrupt for anything else).
std::string format_time(int64_t time_ms);
Result<int64_t> parse_time(std::string_view text);

/// The login name and uid of this process and the program that started it.
Actor this_process();

}  // namespace lantern::audit
