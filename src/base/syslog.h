// Messages of syslog, RFC 5424.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace lantern::base {

/// The number that RFC 5612 sets aside for documentation: this project has none of its own.
inline constexpr uint32_t kExampleEnterprise = 32473;

/// Table 2.
enum class SyslogSeverity {
  kCritical = 2,
  kError = 3,
  kWarning = 4,
  kNotice = 5,
  kInformational = 6
};

struct SyslogMessage {
  SyslogSeverity severity = SyslogSeverity::kInformational;
  std::string_view timestamp = {};  // RFC 3339 with "Z", at most six digits of a second
  std::string_view hostname = {};   // what is no printable ASCII is not said
  std::string_view name = {};       // MSGID
  /// Of the organisation that gives the fields below their meaning (section 7.2.2), as IANA
  /// assigned it.
  uint32_t enterprise_number = kExampleEnterprise;
  /// The element [lantern@<number> ...]; names are SD-NAMEs.
  std::span<const std::pair<std::string, std::string>> params = {};
  std::string_view text = {};
};

/// One line, of facility 13 (log audit) and APP-NAME lantern: what would end a line becomes a
/// space, what is no UTF-8 becomes U+FFFD. The text is cut so that the line has `bytes_max`, where
/// its other parts allow.
std::string syslog_line(const SyslogMessage& message, size_t bytes_max = SIZE_MAX);

}  // namespace lantern::base
