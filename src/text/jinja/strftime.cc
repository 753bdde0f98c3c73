#include "text/jinja/strftime.h"

#include <array>

namespace lantern::text::jinja {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                                   "Thursday", "Friday", "Saturday"};
constexpr std::array<std::string_view, 12> kMonths = {
    "January", "February", "March",     "April",   "May",      "June",
    "July",    "August",   "September", "October", "November", "December"};

bool is_leap(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_in_month(int year, int month) {
  constexpr std::array<int, 12> kDaysOf = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  return month == 2 && is_leap(year) ? 29 : kDaysOf[static_cast<size_t>(month) - 1];
}

/// 0 on January 1st.
int day_of_year(const LocalTime& t) {
  int day = t.day - 1;
  for (int month = 1; month < t.month; ++month) day += days_in_month(t.year, month);
  return day;
}

/// 0 on a Sunday.
int week_day(const LocalTime& t) {
  const int y = t.year - 1;
  return (y * 365 + y / 4 - y / 100 + y / 400 + day_of_year(t) + 1) % 7;
}

/// The ISO 8601 week and the year it belongs to.
void iso_week(const LocalTime& t, int& year, int& week) {
  const int monday_based = (week_day(t) + 6) % 7;
  auto weeks_in = [](int y) {
    const int first = week_day({.year = y, .month = 1, .day = 1});
    return first == 4 || (first == 3 && is_leap(y)) ? 53 : 52;
  };
  year = t.year;
  week = (day_of_year(t) - monday_based + 10) / 7;
  if (week < 1)
    week = weeks_in(--year);
  else if (week > weeks_in(year)) {
    week = 1;
    ++year;
  }
}

/// How a number is padded: by the conversion, unless a flag says otherwise.
std::string number(int value, int width, char pad, char flag) {
  if (flag == '-') return fmt::format("{}", value);
  if (flag == '_') pad = ' ';
  if (flag == '0') pad = '0';
  std::string digits = fmt::format("{}", value);
  if (static_cast<int>(digits.size()) < width)
    digits.insert(0, static_cast<size_t>(width) - digits.size(), pad);
  return digits;
}

std::string upper_ascii(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

std::string convert(char conversion, char flag, const LocalTime& t);

std::string composed(std::string_view format, const LocalTime& t) {
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] == '%' && i + 1 < format.size())
      out += convert(format[++i], 0, t);
    else
      out += format[i];
  }
  return out;
}

std::string convert_number(char conversion, char flag, const LocalTime& t) {
  const int hour12 = t.hour % 12 == 0 ? 12 : t.hour % 12;
  const int yday = day_of_year(t);
  const int wday = week_day(t);
  int iso_year = 0;
  int week = 0;
  iso_week(t, iso_year, week);
  switch (conversion) {
    case 'd':
      return number(t.day, 2, '0', flag);
    case 'e':
      return number(t.day, 2, ' ', flag);
    case 'm':
      return number(t.month, 2, '0', flag);
    case 'Y':
      return number(t.year, 1, '0', flag);
    case 'y':
      return number(t.year % 100, 2, '0', flag);
    case 'C':
      return number(t.year / 100, 2, '0', flag);
    case 'G':
      return number(iso_year, 1, '0', flag);
    case 'g':
      return number(iso_year % 100, 2, '0', flag);
    case 'V':
      return number(week, 2, '0', flag);
    case 'H':
      return number(t.hour, 2, '0', flag);
    case 'k':
      return number(t.hour, 2, ' ', flag);
    case 'I':
      return number(hour12, 2, '0', flag);
    case 'l':
      return number(hour12, 2, ' ', flag);
    case 'M':
      return number(t.minute, 2, '0', flag);
    case 'S':
      return number(t.second, 2, '0', flag);
    case 'j':
      return number(yday + 1, 3, '0', flag);
    case 'f':
      return "000000";
    case 'w':
      return number(wday, 1, '0', flag);
    case 'u':
      return number(wday == 0 ? 7 : wday, 1, '0', flag);
    case 'U':
      return number((yday + 7 - wday) / 7, 2, '0', flag);
    case 'W':
      return number((yday + 7 - (wday + 6) % 7) / 7, 2, '0', flag);
    default:
      return flag == 0 ? fmt::format("%{}", conversion) : fmt::format("%{}{}", flag, conversion);
  }
}

std::string convert(char conversion, char flag, const LocalTime& t) {
  std::string text;
  switch (conversion) {
    case 'A':
      text = kDays[static_cast<size_t>(week_day(t))];
      break;
    case 'a':
      text = kDays[static_cast<size_t>(week_day(t))].substr(0, 3);
      break;
    case 'B':
      text = kMonths[static_cast<size_t>(t.month) - 1];
      break;
    case 'b':
    case 'h':
      text = kMonths[static_cast<size_t>(t.month) - 1].substr(0, 3);
      break;
    case 'p':
      text = t.hour < 12 ? "AM" : "PM";
      break;
    case 'P':
      return t.hour < 12 ? "am" : "pm";
    case 'c':
      return composed("%a %b %e %H:%M:%S %Y", t);
    case 'x':
    case 'D':
      return composed("%m/%d/%y", t);
    case 'X':
    case 'T':
      return composed("%H:%M:%S", t);
    case 'F':
      return composed("%Y-%m-%d", t);
    case 'R':
      return composed("%H:%M", t);
    case 'r':
      return composed("%I:%M:%S %p", t);
    case 'n':
      return "\n";
    case 't':
      return "\t";
    case '%':
      return "%";
    case 'Z':
    case 'z':
      return "";
    default:
      return convert_number(conversion, flag, t);
  }
  return flag == '^' ? upper_ascii(std::move(text)) : text;
}

}  // namespace

Result<std::string> format_time(std::string_view format, const LocalTime& t) {
  const bool valid = t.year >= 1 && t.year <= 9999 && t.month >= 1 && t.month <= 12 && t.day >= 1 &&
                     t.day <= days_in_month(t.year, t.month) && t.hour >= 0 && t.hour <= 23 &&
                     t.minute >= 0 && t.minute <= 59 && t.second >= 0 && t.second <= 60;
  if (!valid)
    return make_error(ErrorCode::kInvalidArgument, "{}-{}-{} {}:{}:{} is no date and time", t.year,
                      t.month, t.day, t.hour, t.minute, t.second);
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 >= format.size()) {
      out += format[i];
      continue;
    }
    char flag = 0;
    if (std::string_view("-_0^").find(format[i + 1]) != std::string_view::npos &&
        i + 2 < format.size())
      flag = format[++i];
    out += convert(format[++i], flag, t);
  }
  return out;
}

}  // namespace lantern::text::jinja
