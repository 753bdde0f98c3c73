// Which entries of a log somebody asks for: "which answers did this revoked model give?"
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "audit/event.h"
#include "audit/reader.h"
#include "base/result.h"

namespace lantern::audit {

/// What an entry must have; what is empty is not asked for.
struct Query {
  std::string model = {};   // its name, or the first digits (at least 6) of its id
  std::string signer = {};  // as rules name it: "key:HEX", "certificate:ROOT:SUBJECT"
  std::string user = {};    // a login name or a number
  std::optional<int64_t> since_ms = {};
  std::optional<int64_t> until_ms = {};
  std::optional<Action> action = {};
  std::optional<Decision> decision = {};

  [[nodiscard]] bool matches(const Event& event) const;
};

/// "2026-11-22", "2026-11-22T18:41:41Z" or how long before `now_ms`: "90m", "36h", "30d".
/// kInvalidArgument for anything else.
Result<int64_t> parse_moment(std::string_view text, int64_t now_ms);

struct Record {
  uint64_t index = 0;
  std::string_view entry = {};  // as it stands in the log
  Event event = {};
};

struct Found {
  uint64_t n_found = 0;
  uint64_t n_unreadable = 0;  // entries that are no events of this version
};

/// Calls f(record) for what matches in [begin, size), in order, until f returns false or an error.
Result<Found> for_each_match(LogView& view, uint64_t begin, const Query& query,
                             const std::function<Result<bool>(const Record&)>& f);

}  // namespace lantern::audit
