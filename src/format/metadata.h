// Typed key-value metadata, as GGUF has it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace lantern::format {

/// Integers are widened to 64 bits, floats to double; arrays are homogeneous.
using MetadataValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                                   std::vector<int64_t>, std::vector<uint64_t>, std::vector<float>,
                                   std::vector<double>, std::vector<std::string>>;

/// Keys in order. Getters say which key is missing or of another type than asked (a u8 array read
/// as scores is an error, not a cast).
class Metadata {
 public:
  /// kCorrupt where the key is there already.
  Status add(std::string key, MetadataValue value);
  void set(std::string key, MetadataValue value);

  [[nodiscard]] const MetadataValue* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] const std::map<std::string, MetadataValue, std::less<>>& all() const {
    return values_;
  }

  /// A non-negative integer of any width within [min, max]; kCorrupt otherwise, kNotFound where
  /// missing.
  Result<int64_t> get_int(std::string_view key, int64_t min, int64_t max) const;
  Result<double> get_float(std::string_view key) const;  // finite; integers are taken too
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  /// The same with a default for a missing key; a key of a wrong type is still an error.
  Result<int64_t> get_int_or(std::string_view key, int64_t min, int64_t max,
                             int64_t otherwise) const;
  Result<double> get_float_or(std::string_view key, double otherwise) const;
  Result<bool> get_bool_or(std::string_view key, bool otherwise) const;
  Result<std::string> get_string_or(std::string_view key, std::string otherwise) const;

 private:
  std::map<std::string, MetadataValue, std::less<>> values_;
};

}  // namespace lantern::format
