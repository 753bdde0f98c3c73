#include "format/metadata.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/printable.h"

namespace lantern::format {
namespace {

constexpr std::string_view kTypeNames[] = {"a boolean",
                                           "an integer",
                                           "an unsigned integer",
                                           "a float",
                                           "a string",
                                           "an array of booleans",
                                           "an array of integers",
                                           "an array of unsigned integers",
                                           "an array of floats",
                                           "an array of 64-bit floats",
                                           "an array of strings"};

template <typename T>
bool fits(const std::vector<T>& values, int64_t min, uint64_t max) {
  return std::all_of(values.begin(), values.end(), [&](T v) {
    if constexpr (std::is_signed_v<T>)
      return v >= min && (v < 0 || static_cast<uint64_t>(v) <= max);
    return static_cast<uint64_t>(v) <= max;
  });
}

bool is_empty_array(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) {
        if constexpr (requires { v.empty(); })
          return !std::is_same_v<std::decay_t<decltype(v)>, std::string> && v.empty();
        return false;
      },
      value);
}

/// The integer as int64 within [min, max].
template <typename T>
std::optional<int64_t> bounded(T value, int64_t min, int64_t max) {
  if constexpr (std::is_unsigned_v<T>)
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  auto v = static_cast<int64_t>(value);
  if (v < min || v > max) return std::nullopt;
  return v;
}

}  // namespace

MetadataType usual_type(const MetadataValue& value) {
  constexpr auto kInt32Min = std::numeric_limits<int32_t>::min();
  constexpr auto kInt32Max = uint64_t{std::numeric_limits<int32_t>::max()};
  constexpr auto kUint32Max = uint64_t{std::numeric_limits<uint32_t>::max()};
  using Bools = std::vector<bool>;
  return std::visit(
      [&](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, Bools>) {
          return MetadataType::kBool;
        } else if constexpr (std::is_same_v<T, int64_t>) {
          return fits(std::vector{v}, kInt32Min, kInt32Max) ? MetadataType::kInt32
                                                            : MetadataType::kInt64;
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          return fits(v, kInt32Min, kInt32Max) ? MetadataType::kInt32 : MetadataType::kInt64;
        } else if constexpr (std::is_same_v<T, uint64_t>) {
          return v <= kUint32Max ? MetadataType::kUint32 : MetadataType::kUint64;
        } else if constexpr (std::is_same_v<T, std::vector<uint64_t>>) {
          return fits(v, 0, kUint32Max) ? MetadataType::kUint32 : MetadataType::kUint64;
        } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, std::vector<float>>) {
          return MetadataType::kFloat32;
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          return MetadataType::kFloat64;
        } else {
          return MetadataType::kString;
        }
      },
      value);
}

Status Metadata::add(std::string key, MetadataValue value, std::optional<MetadataType> type) {
  MetadataType stored = type.value_or(usual_type(value));
  auto [at, is_new] = entries_.try_emplace(std::move(key), MetadataEntry{std::move(value), stored});
  if (!is_new)
    return make_error(ErrorCode::kCorrupt, "{}: key {} stands twice in the metadata", source_,
                      base::printable(at->first));
  return {};
}

void Metadata::set(std::string key, MetadataValue value, std::optional<MetadataType> type) {
  MetadataType stored = type.value_or(usual_type(value));
  entries_.insert_or_assign(std::move(key), MetadataEntry{std::move(value), stored});
}

const MetadataValue* Metadata::find(std::string_view key) const {
  auto at = entries_.find(key);
  return at == entries_.end() ? nullptr : &at->second.value;
}

Error Metadata::missing(std::string_view key) const {
  return make_error(ErrorCode::kNotFound, "{}: key {} is missing from the metadata", source_,
                    base::printable(key));
}

Error Metadata::wrong_type(std::string_view key, std::string_view wanted) const {
  const MetadataValue* value = find(key);
  return make_error(ErrorCode::kCorrupt, "{}: key {} is {}, {} is needed", source_,
                    base::printable(key), kTypeNames[value->index()], wanted);
}

template <typename T>
Result<const T*> Metadata::get(std::string_view key, std::string_view wanted) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  if (const T* v = std::get_if<T>(value)) return v;
  if constexpr (requires(T t) { t.reserve(0); } && !std::is_same_v<T, std::string>) {
    static const T kEmpty{};
    if (is_empty_array(*value)) return &kEmpty;
  }
  return wrong_type(key, wanted);
}

Result<int64_t> Metadata::get_int(std::string_view key, int64_t min, int64_t max) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  std::optional<int64_t> result;
  if (const auto* i = std::get_if<int64_t>(value)) {
    result = bounded(*i, min, max);
    if (!result)
      return make_error(ErrorCode::kCorrupt, "{}: key {} is {}, not within {} to {}", source_,
                        base::printable(key), *i, min, max);
  } else if (const auto* u = std::get_if<uint64_t>(value)) {
    result = bounded(*u, min, max);
    if (!result)
      return make_error(ErrorCode::kCorrupt, "{}: key {} is {}, not within {} to {}", source_,
                        base::printable(key), *u, min, max);
  } else {
    return wrong_type(key, "an integer");
  }
  return *result;
}

Result<double> Metadata::get_float(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  if (const auto* i = std::get_if<int64_t>(value)) return static_cast<double>(*i);
  if (const auto* u = std::get_if<uint64_t>(value)) return static_cast<double>(*u);
  const auto* d = std::get_if<double>(value);
  if (!d) return wrong_type(key, "a float");
  if (!std::isfinite(*d))
    return make_error(ErrorCode::kCorrupt, "{}: key {} is {}, a finite number is needed", source_,
                      base::printable(key), *d);
  return *d;
}

Result<bool> Metadata::get_bool(std::string_view key) const {
  LANTERN_ASSIGN(const bool* value, get<bool>(key, "a boolean"));
  return *value;
}

Result<std::string> Metadata::get_string(std::string_view key) const {
  LANTERN_ASSIGN(const std::string* value, get<std::string>(key, "a string"));
  return *value;
}

Result<int64_t> Metadata::get_int_or(std::string_view key, int64_t min, int64_t max,
                                     int64_t otherwise) const {
  if (!has(key)) return otherwise;
  return get_int(key, min, max);
}

Result<bool> Metadata::get_bool_or(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  return get_bool(key);
}

Result<std::string> Metadata::get_string_or(std::string_view key, std::string otherwise) const {
  if (!has(key)) return otherwise;
  return get_string(key);
}

Result<const StringArray*> Metadata::get_strings(std::string_view key) const {
  return get<StringArray>(key, "an array of strings");
}

Result<std::vector<int64_t>> Metadata::get_ints(std::string_view key, int64_t min,
                                                int64_t max) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  if (is_empty_array(*value)) return std::vector<int64_t>{};
  std::vector<int64_t> result;
  auto convert = [&](const auto& values) -> Status {
    result.reserve(values.size());
    for (auto v : values) {
      std::optional<int64_t> in_bounds = bounded(v, min, max);
      if (!in_bounds)
        return make_error(ErrorCode::kCorrupt, "{}: key {}, element {} is {}, not within {} to {}",
                          source_, base::printable(key), result.size(), v, min, max);
      result.push_back(*in_bounds);
    }
    return {};
  };
  if (const auto* ints = std::get_if<std::vector<int64_t>>(value)) {
    LANTERN_TRY(convert(*ints));
  } else if (const auto* unsigneds = std::get_if<std::vector<uint64_t>>(value)) {
    LANTERN_TRY(convert(*unsigneds));
  } else {
    return wrong_type(key, "an array of integers");
  }
  return result;
}

Result<std::vector<float>> Metadata::get_floats(std::string_view key) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  if (const auto* floats = std::get_if<std::vector<float>>(value)) return *floats;
  if (const auto* doubles = std::get_if<std::vector<double>>(value)) {
    std::vector<float> result;
    result.reserve(doubles->size());
    for (double d : *doubles) result.push_back(static_cast<float>(d));
    return result;
  }
  if (is_empty_array(*value)) return std::vector<float>{};
  return wrong_type(key, "an array of floats");
}

Result<std::vector<bool>> Metadata::get_bools(std::string_view key) const {
  LANTERN_ASSIGN(const std::vector<bool>* value,
                 get<std::vector<bool>>(key, "an array of booleans"));
  return *value;
}

Result<std::vector<int64_t>> Metadata::get_ints_per_layer(std::string_view key, size_t n,
                                                          int64_t min, int64_t max) const {
  const MetadataValue* value = find(key);
  if (!value) return missing(key);
  if (std::holds_alternative<int64_t>(*value) || std::holds_alternative<uint64_t>(*value)) {
    LANTERN_ASSIGN(int64_t one, get_int(key, min, max));
    return std::vector<int64_t>(n, one);
  }
  LANTERN_ASSIGN(std::vector<int64_t> all, get_ints(key, min, max));
  if (all.size() != n)
    return make_error(ErrorCode::kCorrupt, "{}: key {} has {} elements for {} layers", source_,
                      base::printable(key), all.size(), n);
  return all;
}

}  // namespace lantern::format
