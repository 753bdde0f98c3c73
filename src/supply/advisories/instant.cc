#include <chrono>

#include "base/printable.h"
#include "supply/advisories/advisory.h"

namespace lantern::supply {
namespace {

/// `text` as exactly that many digits, or -1.
int digits(std::string_view text) {
  int value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return -1;
    value = value * 10 + (c - '0');
  }
  return text.empty() ? -1 : value;
}

/// Up to nine digits of a fraction as nanoseconds; further ones are dropped.
int32_t nanoseconds(std::string_view fraction) {
  int32_t value = 0;
  for (size_t i = 0; i < 9; ++i) value = value * 10 + (i < fraction.size() ? fraction[i] - '0' : 0);
  return value;
}

/// "Z", "+05:30": seconds east of UTC, or nothing.
std::optional<int> offset_seconds(std::string_view zone) {
  if (zone == "Z" || zone == "z") return 0;
  if (zone.size() != 6 || zone[3] != ':' || (zone[0] != '+' && zone[0] != '-')) return std::nullopt;
  const int hours = digits(zone.substr(1, 2)), minutes = digits(zone.substr(4, 2));
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return std::nullopt;
  return (zone[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

}  // namespace

Result<Instant> parse_instant(std::string_view text) {
  const Error wrong = make_error(ErrorCode::kCorrupt, "\"{}\" is no time as RFC 3339 writes it",
                                 base::printable(text, 60));
  if (text.size() < 20 || text.size() > 60 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':')
    return wrong;
  const int year = digits(text.substr(0, 4)), month = digits(text.substr(5, 2)),
            day = digits(text.substr(8, 2)), hour = digits(text.substr(11, 2)),
            minute = digits(text.substr(14, 2)), second = digits(text.substr(17, 2));
  // Records before Unix time do not exist; second 60 is a leap second.
  if (year < 1970 || month < 1 || day < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 ||
      second < 0 || second > 60)
    return wrong;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return wrong;
  std::string_view rest = text.substr(19);
  Instant instant;
  if (rest.starts_with('.')) {
    size_t end = 1;
    while (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') ++end;
    if (end == 1) return wrong;
    instant.nanoseconds = nanoseconds(rest.substr(1, end - 1));
    rest.remove_prefix(end);
  }
  const auto offset = offset_seconds(rest);
  if (!offset) return wrong;
  const auto days = std::chrono::sys_days(date).time_since_epoch().count();
  instant.seconds = int64_t{days} * 86'400 + hour * 3600 + minute * 60 + second - *offset;
  return instant;
}

}  // namespace lantern::supply
