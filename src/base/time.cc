#include "base/time.h"

#include "base/printable.h"

namespace lantern::base {
namespace {

constexpr std::string_view kPattern = "dddd-dd-ddTdd:dd:ddZ";  // d: a digit

}  // namespace

UtcTime utc_clock() {
  return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
}

std::string format_utc(UtcTime time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count());
}

std::string format_utc_us(int64_t time_us) {
  const std::chrono::sys_time<std::chrono::microseconds> time{std::chrono::microseconds(time_us)};
  const auto second = std::chrono::floor<std::chrono::seconds>(time);
  std::string text = format_utc(second);
  text.pop_back();
  return fmt::format("{}.{:06}Z", text, (time - second).count());
}

Result<UtcTime> parse_utc(std::string_view text) {
  const auto wrong = [text] {
    return make_error(ErrorCode::kCorrupt,
                      "\"{}\" is no time such as 2026-01-31T12:00:00Z (UTC, whole seconds)",
                      printable(text, 40));
  };
  if (text.size() != kPattern.size()) return wrong();
  for (size_t i = 0; i < text.size(); ++i)
    if (kPattern[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != kPattern[i])
      return wrong();
  const auto number = [text](size_t at, size_t n) {
    int value = 0;
    for (size_t i = at; i < at + n; ++i) value = value * 10 + (text[i] - '0');
    return value;
  };
  const std::chrono::year_month_day date(std::chrono::year(number(0, 4)),
                                         std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                         std::chrono::day(static_cast<unsigned>(number(8, 2))));
  const int hour = number(11, 2), minute = number(14, 2), second = number(17, 2);
  if (!date.ok() || number(0, 4) < 1970 || hour > 23 || minute > 59 || second > 59) return wrong();
  return UtcTime(std::chrono::sys_days(date)) + std::chrono::hours(hour) +
         std::chrono::minutes(minute) + std::chrono::seconds(second);
}

}  // namespace lantern::base
