#include "base/syslog.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/printable.h"

namespace lantern::base {
namespace {

constexpr int kFacilityAudit = 13;                      // table 1
constexpr std::string_view kUtf8Mark = "\xef\xbb\xbf";  // MSG-UTF8
constexpr std::string_view kNoUtf8 = "\xef\xbf\xbd";    // U+FFFD

/// `text` as UTF-8 on one line; `escaped` are preceded by a backslash.
std::string one_line(std::string_view text, std::string_view escaped = {}) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t n = utf8_sequence_length(text);
    const char c = text.front();
    if (n == 1 && escaped.find(c) != std::string_view::npos) out += '\\';
    if (n == 0)
      out += kNoUtf8;
    else if (n == 1 && (static_cast<unsigned char>(c) < ' ' || c == 127))
      out += ' ';
    else
      out += text.substr(0, n);
    text.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

/// HOSTNAME and the like: printable ASCII without spaces, else the nil value.
std::string_view header_field(std::string_view text, size_t n_max) {
  const bool fits = !text.empty() && text.size() <= n_max &&
                    std::all_of(text.begin(), text.end(), [](char c) { return c > 32 && c < 127; });
  return fits ? text : "-";
}

}  // namespace

std::string syslog_line(const SyslogMessage& message, size_t bytes_max) {
  std::string line = fmt::format("<{}>1 {} {} lantern - {} [lantern@{}",
                                 kFacilityAudit * 8 + static_cast<int>(message.severity),
                                 message.timestamp, header_field(message.hostname, 255),
                                 header_field(message.name, 32), message.enterprise_number);
  for (const auto& [name, value] : message.params)
    line += fmt::format(" {}=\"{}\"", name, one_line(value, "\"\\]"));
  line += "] ";
  line += kUtf8Mark;
  return line + cut_utf8(one_line(message.text), bytes_max - std::min(bytes_max, line.size()));
}

}  // namespace lantern::base
