// The body of a request, read field by field: each has a type and bounds, and a fault names the
// field in front of a colon ("temperature: a number from 0 to 2 is needed, not a string").
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lantern::server {

/// A text, or the ids of one, which are run as they are.
using TextOrIds = std::variant<std::string, std::vector<int32_t>>;

/// A JSON object of at most 64 levels. kInvalidArgument.
Result<base::OrderedJson> parse_body(std::string_view body);

/// Reads the fields of one object. An absent field and null leave what is there; the first fault is
/// kept and says everything. `object` must outlive it.
class Fields {
 public:
  explicit Fields(const base::OrderedJson& object, std::string path = {});

  void read(std::string_view name, bool& out);
  void read(std::string_view name, std::string& out, size_t bytes_max = 1u << 20);
  void read(std::string_view name, int64_t& out, int64_t least, int64_t most);
  void read(std::string_view name, float& out, float least, float most);
  /// Any whole number of 64 bits; a negative one as its two's complement.
  void read_seed(std::string_view name, std::optional<uint64_t>& out);
  /// One string or an array of them.
  void read_strings(std::string_view name, std::vector<std::string>& out, size_t n_max);
  /// A text, an array of texts, the ids of one text, or an array of such; at least one.
  void read_texts(std::string_view name, std::vector<TextOrIds>& out, size_t n_max);
  /// The field, if it is there and not null; it counts as known.
  const base::OrderedJson* find(std::string_view name);
  /// Like find(), which must be an object or an array.
  const base::OrderedJson* object(std::string_view name);
  const base::OrderedJson* array(std::string_view name);
  /// Known, and of no consequence here.
  void ignore(std::initializer_list<std::string_view> names);

  void fail(std::string_view name, std::string_view what);
  /// "path.name", for messages.
  [[nodiscard]] std::string path_of(std::string_view name) const;
  [[nodiscard]] bool ok() const { return !fault_.has_value(); }
  /// kInvalidArgument: the first fault.
  [[nodiscard]] Status status() const;
  /// The first field that nothing asked for, if there is one.
  [[nodiscard]] std::optional<std::string> unknown() const;

 private:
  void need(std::string_view name, const base::OrderedJson& is, std::string_view what);

  const base::OrderedJson& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::optional<Error> fault_;
};

/// The field that a message of Fields begins with; empty where it begins otherwise.
std::string field_of(std::string_view message);

}  // namespace lantern::server
