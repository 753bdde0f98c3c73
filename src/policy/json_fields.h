// The members of a signed JSON payload, read strictly: what nobody asked for is a fault, and the
// first fault sticks, so that a schema reads as a list of fields.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/result.h"
#include "base/time.h"

namespace lantern::policy {

/// Parses a payload: an object nested at most 8 deep. Errors as base::parse_json().
Result<base::Json> parse_payload(std::string_view json, std::string_view what, size_t bytes_max);

class JsonFields {
 public:
  /// `value` and `fault` outlive it; `where` names the value in messages.
  JsonFields(const base::Json& value, std::string where, std::optional<Error>& fault);

  [[nodiscard]] bool has(const char* name) const;
  /// One line of text, at least one character.
  std::string line(const char* name, size_t bytes_max);
  int64_t integer(const char* name, int64_t min, int64_t max);
  base::UtcTime time(const char* name);
  std::optional<base::UtcTime> optional_time(const char* name);
  base::Digest digest(const char* name);
  /// Empty where it is missing; each of at most `count_max` lines once.
  std::set<std::string> optional_lines(const char* name, size_t count_max);
  /// The member as it is; null where it is missing, which is a fault.
  const base::Json& member(const char* name);
  const base::Json& array(const char* name, size_t count_max);
  void finish();
  void wrong(std::string_view name, std::string_view fault);

 private:
  const base::Json* find(const char* name);

  const base::Json& value_;
  std::string where_;
  std::optional<Error>& fault_;
  std::set<std::string, std::less<>> asked_;
};

}  // namespace lantern::policy
