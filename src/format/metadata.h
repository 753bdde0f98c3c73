// Typed key-value metadata, as GGUF has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace lantern::format {

/// A list of strings in one block of memory. A vocabulary with its merges has half a million
/// strings; a std::string each would cost more time than reading the file.
class StringArray {
 public:
  using value_type = std::string_view;
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = std::string_view;
    Iterator(const StringArray* array, size_t i) : array_(array), i_(i) {}
    std::string_view operator*() const { return (*array_)[i_]; }
    Iterator& operator++() {
      ++i_;
      return *this;
    }
    bool operator==(const Iterator& other) const { return i_ == other.i_; }

   private:
    const StringArray* array_;
    size_t i_;
  };

  StringArray() = default;
  StringArray(std::initializer_list<std::string_view> strings) {
    for (std::string_view s : strings) push_back(s);
  }

  [[nodiscard]] size_t size() const { return ends_.size(); }
  [[nodiscard]] bool empty() const { return ends_.empty(); }
  /// `i` < size(). The view lives as long as the array is not changed.
  [[nodiscard]] std::string_view operator[](size_t i) const {
    size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(text_).substr(begin, ends_[i] - begin);
  }
  [[nodiscard]] Iterator begin() const { return {this, 0}; }
  [[nodiscard]] Iterator end() const { return {this, size()}; }

  void push_back(std::string_view s) {
    text_.append(s);
    ends_.push_back(text_.size());
  }
  void reserve(size_t n) { ends_.reserve(n); }
  bool operator==(const StringArray&) const = default;

 private:
  std::string text_;
  std::vector<size_t> ends_;
};

/// Integers are widened to 64 bits, floats to double; arrays are homogeneous.
using MetadataValue = std::variant<bool, int64_t, uint64_t, double, std::string, std::vector<bool>,
                                   std::vector<int64_t>, std::vector<uint64_t>, std::vector<float>,
                                   std::vector<double>, StringArray>;

/// The type on disk of a value, or of an array's elements. The values are GGUF's own ids.
enum class MetadataType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

struct MetadataEntry {
  MetadataValue value;
  MetadataType type = MetadataType::kString;
  bool operator==(const MetadataEntry&) const = default;
};

/// The type GGUF writers use for a value made by us: 32 bits where the numbers fit, f32 for a
/// double.
MetadataType usual_type(const MetadataValue& value);

/// Keys in order. Getters say which key is missing or of another type than asked (a u8 array read
/// as scores is an error, not a cast).
class Metadata {
 public:
  Metadata() = default;
  /// `source` names the file in messages.
  explicit Metadata(std::string source) : source_(std::move(source)) {}

  /// kCorrupt where the key is there already. Without `type`, usual_type().
  Status add(std::string key, MetadataValue value, std::optional<MetadataType> type = std::nullopt);
  void set(std::string key, MetadataValue value, std::optional<MetadataType> type = std::nullopt);

  [[nodiscard]] const MetadataValue* find(std::string_view key) const;
  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] const std::map<std::string, MetadataEntry, std::less<>>& all() const {
    return entries_;
  }
  [[nodiscard]] const std::string& source() const { return source_; }

  /// A non-negative integer of any width within [min, max]; kCorrupt otherwise, kNotFound where
  /// missing.
  Result<int64_t> get_int(std::string_view key, int64_t min, int64_t max) const;
  Result<double> get_float(std::string_view key) const;  // finite; integers are taken too
  Result<bool> get_bool(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  /// The same with a default for a missing key; a key of a wrong type is still an error.
  Result<int64_t> get_int_or(std::string_view key, int64_t min, int64_t max,
                             int64_t otherwise) const;
  Result<bool> get_bool_or(std::string_view key, bool otherwise) const;
  Result<std::string> get_string_or(std::string_view key, std::string otherwise) const;

  /// Arrays: kNotFound where missing, kCorrupt where of another type or with an element outside
  /// [min, max]. The pointers live as long as the metadata is not changed. An empty array is
  /// taken whatever its element type.
  Result<const StringArray*> get_strings(std::string_view key) const;
  Result<std::vector<int64_t>> get_ints(std::string_view key, int64_t min, int64_t max) const;
  Result<std::vector<float>> get_floats(std::string_view key) const;  // f32 or f64, as stored
  Result<std::vector<bool>> get_bools(std::string_view key) const;
  /// `n` integers, one a layer, where files give either one for all or an array of n.
  Result<std::vector<int64_t>> get_ints_per_layer(std::string_view key, size_t n, int64_t min,
                                                  int64_t max) const;

 private:
  [[nodiscard]] Error missing(std::string_view key) const;
  [[nodiscard]] Error wrong_type(std::string_view key, std::string_view wanted) const;
  /// The value if it is of a type among T..., else the error.
  template <typename T>
  Result<const T*> get(std::string_view key, std::string_view wanted) const;

  std::string source_ = "metadata";
  std::map<std::string, MetadataEntry, std::less<>> entries_;
};

}  // namespace lantern::format
