// The log's records in the forms that other systems take: JSON lines, OCSF 1.8 (schema.ocsf.io)
// and syslog (RFC 5424).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "audit/query.h"
#include "base/result.h"
#include "base/syslog.h"

namespace lantern::audit {

enum class ExportFormat { kJsonLines, kOcsf, kSyslog };
/// "jsonl", "ocsf", "syslog".
Result<ExportFormat> export_format_from_name(std::string_view name);

using base::kExampleEnterprise;

/// Where the records come from, as the formats ask for it.
struct ExportSource {
  std::string origin = {};    // the log's
  std::string hostname = {};  // of the machine that exports; empty: not said
  /// Of the organisation that gives the fields of syslog's structured data their meaning (RFC
  /// 5424, section 7.2.2), as IANA assigned it.
  uint32_t enterprise_number = kExampleEnterprise;
};

/// One record as one line, without its line break.
std::string export_record(ExportFormat format, const Record& record, const ExportSource& source);

}  // namespace lantern::audit
