// The numbers that a schema admits, as texts.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "text/grammar/char_dfa.h"

namespace lantern::text::grammar {

/// A decimal number: -?whole.fraction, `whole` without leading zeros ("0" at least), `fraction`
/// without trailing ones.
struct Decimal {
  bool negative = false;
  std::string whole = "0";
  std::string fraction;
  [[nodiscard]] bool zero() const { return whole == "0" && fraction.empty(); }
  [[nodiscard]] bool integral() const { return fraction.empty(); }
};
/// As the shortest text that reads as `number` says; nullopt where it has more than 400 digits.
std::optional<Decimal> to_decimal(const base::OrderedJson& number);
/// Below 0, 0, above 0.
int compare(const Decimal& a, const Decimal& b);
/// Whether `value` is `divisor` times an integer; nullopt where the numbers are too long to tell.
std::optional<bool> is_multiple(const Decimal& value, const Decimal& divisor);
std::string to_text(const Decimal& value);

struct NumberBounds {
  struct Bound {
    Decimal value;
    bool exclusive = false;
  };
  bool integer = false;   // no others
  bool fraction = false;  // no integers, where `integer` is not set either
  std::optional<Bound> least, most;
  std::vector<Decimal> multiples;

  void at_least(Bound bound);
  void at_most(Bound bound);
};

/// Integers without fraction; other numbers in plain decimal notation, and where nothing bounds
/// them with exponents too. Empty where no number is within the bounds.
Result<CharDfa> number_language(const NumberBounds& bounds, Budget& budget);

}  // namespace lantern::text::grammar
