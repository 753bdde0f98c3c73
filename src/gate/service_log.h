// What the service does to itself, in the audit log: where it listens and under which terms.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "audit/event.h"
#include "base/result.h"

namespace lantern::gate {

/// Durable once it returns; an error means that what was to be recorded must not happen. `rule`
/// names what was overridden; empty: nothing was.
Status record_service(std::string_view what, std::string_view rule, std::vector<audit::Fact> facts);

/// For a stop or an unloading that somebody asked for, which never waits for the log.
void record_stop(const audit::Actor& asker, std::string_view what);

}  // namespace lantern::gate
