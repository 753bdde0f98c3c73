#include "text/grammar/schema_numbers.h"

#include <algorithm>
#include <charconv>
#include <compare>
#include <map>

#include "text/grammar/regex.h"

namespace lantern::text::grammar {
namespace {

constexpr size_t kDigitsMax = 400;
constexpr int64_t kModulusMax = 10'000;  // a state each

/// The bound's side of the comparison, digit by digit.
struct Compared {
  int16_t n_whole = 0;  // digits of the whole part read, one past the bound's at most
  int16_t n_fraction = 0;
  int8_t order = 0;  // of the digits read against the bound's first
  auto operator<=>(const Compared&) const = default;
};

struct Place {
  enum class Phase : uint8_t { kStart, kSign, kZero, kWhole, kPoint, kFraction };
  Phase phase = Phase::kStart;
  bool negative = false;
  bool nonzero = false;
  int16_t n_fraction = 0;  // as far as a multiple's digits go
  Compared least, most;
  std::vector<int32_t> remainders;
  auto operator<=>(const Place&) const = default;
};

struct Multiple {
  int32_t modulus = 1;
  int16_t n_fraction = 0;
};

class NumberMachine {
 public:
  NumberMachine(const NumberBounds& bounds, std::vector<Multiple> multiples)
      : bounds_(bounds), multiples_(std::move(multiples)) {
    for (const Multiple& m : multiples_) n_fraction_ = std::max(n_fraction_, m.n_fraction);
  }

  Result<CharDfa> explore(Budget& budget) {
    CharDfa out;
    out.edges.clear();
    out.accepts.clear();
    std::map<Place, int32_t> ids;
    std::vector<Place> places;
    const auto take = [&](const Place& place) {
      const auto [entry, inserted] = ids.emplace(place, static_cast<int32_t>(places.size()));
      if (inserted) {
        places.push_back(place);
        out.edges.emplace_back();
        out.accepts.push_back(accepts(place) ? 1 : 0);
      }
      return entry->second;
    };
    Place start;
    start.remainders.assign(multiples_.size(), 0);
    take(start);
    for (size_t i = 0; i < places.size(); ++i) {
      if (places.size() > kDfaStatesMax)
        return make_error(ErrorCode::kTooLarge,
                          "the bounds and multiples of a number need more "
                          "than {} states",
                          kDfaStatesMax);
      LANTERN_TRY(budget.spend(200));
      for (const char c : {'-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'}) {
        const std::optional<Place> next = step(places[i], c);
        if (!next) continue;
        const int32_t target = take(*next);
        auto& edges = out.edges[i];
        const auto at = static_cast<char32_t>(c);
        if (!edges.empty() && edges.back().target == target && edges.back().last + 1 == at)
          edges.back().last = at;
        else
          edges.push_back({at, at, target});
      }
    }
    return trimmed(std::move(out));
  }

 private:
  using Phase = Place::Phase;

  static void compare_whole(Compared& c, const Decimal& bound, char digit) {
    const size_t n = bound.whole.size();
    const auto at = static_cast<size_t>(c.n_whole);
    if (at < n && c.order == 0)
      c.order = static_cast<int8_t>(digit < bound.whole[at] ? -1 : digit > bound.whole[at] ? 1 : 0);
    if (at <= n) ++c.n_whole;
  }
  /// Once the whole part is over, its length tells first.
  static void end_whole(Compared& c, const Decimal& bound) {
    const size_t n = bound.whole.size();
    const auto read = static_cast<size_t>(c.n_whole);
    if (read != n) c.order = read < n ? -1 : 1;
    c.n_whole = 0;
  }
  static void compare_fraction(Compared& c, const Decimal& bound, char digit) {
    if (c.order != 0) return;
    const auto at = static_cast<size_t>(c.n_fraction);
    const char other = at < bound.fraction.size() ? bound.fraction[at] : '0';
    c.order = static_cast<int8_t>(digit < other ? -1 : digit > other ? 1 : 0);
    if (at < bound.fraction.size()) ++c.n_fraction;
    if (c.order != 0) c.n_fraction = 0;
  }

  template <typename Function>
  void each_bound(Place& place, const Function& function) const {
    if (bounds_.least) function(place.least, bounds_.least->value);
    if (bounds_.most) function(place.most, bounds_.most->value);
  }

  [[nodiscard]] std::optional<Place> step(Place p, char c) const {
    if (c == '-') {
      if (p.phase != Phase::kStart) return std::nullopt;
      p.phase = Phase::kSign;
      p.negative = true;
      return p;
    }
    if (c == '.') {
      if (bounds_.integer || (p.phase != Phase::kZero && p.phase != Phase::kWhole))
        return std::nullopt;
      p.phase = Phase::kPoint;
      each_bound(p, [](Compared& x, const Decimal& bound) { end_whole(x, bound); });
      return p;
    }
    p.nonzero = p.nonzero || (p.negative && c != '0');
    switch (p.phase) {
      case Phase::kStart:
      case Phase::kSign:
      case Phase::kWhole:
        if (p.phase != Phase::kWhole) p.phase = c == '0' ? Phase::kZero : Phase::kWhole;
        each_bound(p, [&](Compared& x, const Decimal& bound) { compare_whole(x, bound, c); });
        take_digit(p, c);
        return p;
      case Phase::kZero:
        return std::nullopt;
      case Phase::kPoint:
      case Phase::kFraction:
        p.phase = Phase::kFraction;
        each_bound(p, [&](Compared& x, const Decimal& bound) { compare_fraction(x, bound, c); });
        if (multiples_.empty()) return p;
        if (p.n_fraction == n_fraction_) return c == '0' ? std::optional(p) : std::nullopt;
        ++p.n_fraction;
        take_digit(p, c);
        return p;
    }
    return std::nullopt;
  }

  void take_digit(Place& p, char c) const {
    for (size_t i = 0; i < multiples_.size(); ++i)
      p.remainders[i] = (p.remainders[i] * 10 + (c - '0')) % multiples_[i].modulus;
  }

  /// The number's magnitude against the bound's.
  [[nodiscard]] int order_of(const Place& p, Compared c, const Decimal& bound) const {
    if (p.phase != Phase::kFraction) end_whole(c, bound);
    if (c.order != 0) return c.order;
    return static_cast<size_t>(c.n_fraction) < bound.fraction.size() ? -1 : 0;
  }

  [[nodiscard]] int compare_to(const Place& p, const Compared& c, const Decimal& bound) const {
    if (p.negative != bound.negative) return p.negative ? -1 : 1;
    const int order = order_of(p, c, bound);
    return p.negative ? -order : order;
  }

  [[nodiscard]] bool accepts(const Place& p) const {
    if (p.phase != Phase::kZero && p.phase != Phase::kWhole && p.phase != Phase::kFraction)
      return false;
    if (p.negative && !p.nonzero) return false;  // -0 is written 0
    if (bounds_.least) {
      const int order = compare_to(p, p.least, bounds_.least->value);
      if (order < 0 || (order == 0 && bounds_.least->exclusive)) return false;
    }
    if (bounds_.most) {
      const int order = compare_to(p, p.most, bounds_.most->value);
      if (order > 0 || (order == 0 && bounds_.most->exclusive)) return false;
    }
    for (size_t i = 0; i < multiples_.size(); ++i) {
      int64_t rest = p.remainders[i];
      for (int16_t k = p.n_fraction; k < n_fraction_; ++k) rest = rest * 10 % multiples_[i].modulus;
      if (rest != 0) return false;
    }
    return true;
  }

  const NumberBounds& bounds_;
  std::vector<Multiple> multiples_;
  int16_t n_fraction_ = 0;
};

/// All multiples over one power of ten: value * 10^n is a multiple of each modulus.
Result<std::vector<Multiple>> scaled(const std::vector<Decimal>& multiples) {
  size_t n_fraction = 0;
  for (const Decimal& m : multiples) n_fraction = std::max(n_fraction, m.fraction.size());
  std::vector<Multiple> out;
  for (const Decimal& m : multiples) {
    std::string digits = m.whole + m.fraction;
    digits.append(n_fraction - m.fraction.size(), '0');
    int64_t modulus = 0;
    const auto [end, bad] = std::from_chars(digits.data(), digits.data() + digits.size(), modulus);
    if (bad != std::errc() || modulus > kModulusMax)
      return make_error(ErrorCode::kUnsupported,
                        "\"multipleOf\": {} has more than the {} remainders that are supported",
                        to_text(m), kModulusMax);
    out.push_back({static_cast<int32_t>(modulus), static_cast<int16_t>(n_fraction)});
  }
  return out;
}

}  // namespace

std::optional<Decimal> to_decimal(const base::OrderedJson& number) {
  std::string text = number.dump();
  Decimal out;
  std::string_view rest = text;
  if (rest.starts_with('-')) {
    out.negative = true;
    rest.remove_prefix(1);
  }
  const size_t e = rest.find_first_of("eE");
  int64_t exponent = 0;
  if (e != std::string_view::npos) {
    const char* first = rest.data() + e + 1;
    if (*first == '+') ++first;
    if (std::from_chars(first, rest.data() + rest.size(), exponent).ec != std::errc())
      return std::nullopt;
  }
  const std::string_view mantissa = rest.substr(0, e);
  const size_t point = mantissa.find('.');
  std::string digits(mantissa.substr(0, point));
  auto n_whole = static_cast<int64_t>(digits.size());
  if (point != std::string_view::npos) digits += mantissa.substr(point + 1);
  n_whole += exponent;
  if (n_whole > static_cast<int64_t>(kDigitsMax) || n_whole < -static_cast<int64_t>(kDigitsMax))
    return std::nullopt;
  if (n_whole <= 0) {
    digits.insert(0, static_cast<size_t>(1 - n_whole), '0');
    n_whole = 1;
  }
  if (n_whole > static_cast<int64_t>(digits.size()))
    digits.resize(static_cast<size_t>(n_whole), '0');
  out.whole = digits.substr(0, static_cast<size_t>(n_whole));
  out.fraction = digits.substr(static_cast<size_t>(n_whole));
  out.whole.erase(0, std::min(out.whole.find_first_not_of('0'), out.whole.size() - 1));
  out.fraction.erase(out.fraction.find_last_not_of('0') + 1);
  if (out.zero()) out.negative = false;
  return out;
}

int compare(const Decimal& a, const Decimal& b) {
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int order = 0;
  if (a.whole.size() != b.whole.size())
    order = a.whole.size() < b.whole.size() ? -1 : 1;
  else if (const int whole = a.whole.compare(b.whole); whole != 0)
    order = whole;
  else
    order = a.fraction.compare(b.fraction);
  return a.negative ? -order : order;
}

std::optional<bool> is_multiple(const Decimal& value, const Decimal& divisor) {
  if (divisor.zero()) return false;
  const size_t n = std::max(value.fraction.size(), divisor.fraction.size());
  const auto scaled_up = [&](const Decimal& d) {
    std::string digits = d.whole + d.fraction;
    return digits.append(n - d.fraction.size(), '0');
  };
  uint64_t modulus = 0;
  const std::string digits = scaled_up(divisor);
  if (std::from_chars(digits.data(), digits.data() + digits.size(), modulus).ec != std::errc() ||
      modulus > UINT64_MAX / 16)
    return std::nullopt;
  uint64_t rest = 0;
  for (const char c : scaled_up(value))
    rest = (rest * 10 + static_cast<uint64_t>(c - '0')) % modulus;
  return rest == 0;
}

std::string to_text(const Decimal& value) {
  return (value.negative ? "-" : "") + value.whole +
         (value.fraction.empty() ? "" : "." + value.fraction);
}

void NumberBounds::at_least(Bound bound) {
  const int order = least ? compare(bound.value, least->value) : 1;
  if (order > 0 || (order == 0 && bound.exclusive)) least = std::move(bound);
}

void NumberBounds::at_most(Bound bound) {
  const int order = most ? compare(bound.value, most->value) : -1;
  if (order < 0 || (order == 0 && bound.exclusive)) most = std::move(bound);
}

Result<CharDfa> number_language(const NumberBounds& bounds, Budget& budget) {
  if (bounds.fraction && !bounds.integer) {
    NumberBounds all = bounds;
    all.fraction = false;
    LANTERN_ASSIGN(const CharDfa numbers, number_language(all, budget));
    LANTERN_ASSIGN(const CharDfa fractions, compile_regex("-?(0|[1-9][0-9]*)\\.[0-9]*[1-9][0-9]*",
                                                          RegexMatch::kWhole, budget));
    return intersection(numbers, fractions, budget);
  }
  if (!bounds.least && !bounds.most && bounds.multiples.empty())
    return compile_regex(
        bounds.integer ? "0|-?[1-9][0-9]*" : "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
        RegexMatch::kWhole, budget);
  LANTERN_ASSIGN(std::vector<Multiple> multiples, scaled(bounds.multiples));
  return NumberMachine(bounds, std::move(multiples)).explore(budget);
}

}  // namespace lantern::text::grammar
