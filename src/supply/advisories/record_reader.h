// Members of a JSON object from outside, with messages that name file, field and fault.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace lantern::supply {

/// A record is small; a list in it is bounded by this too.
inline constexpr size_t kRecordBytesMax = 8u << 20;
inline constexpr int kRecordDepthMax = 24;
inline constexpr size_t kRecordListMax = 200'000;
inline constexpr size_t kRecordTextMax = 4096;

/// The JSON of one record, within those limits.
inline Result<base::Json> parse_record(std::string_view text, std::string_view where) {
  return base::parse_json(text, where,
                          {.bytes_max = kRecordBytesMax, .depth_max = kRecordDepthMax});
}

struct Advisory;
struct VexDocument;
/// parse_osv() and parse_openvex() on JSON that was parsed already.
Result<Advisory> read_osv(const base::Json& json, std::string_view where);
Result<VexDocument> read_openvex(const base::Json& json, std::string_view where);

class RecordReader {
 public:
  /// `object` outlives the reader. `where` is "file: field".
  RecordReader(const base::Json& object, std::string where)
      : object_(object), where_(std::move(where)) {}

  /// kCorrupt unless it is an object.
  [[nodiscard]] Status check_object() const {
    if (object_.is_object()) return {};
    return make_error(ErrorCode::kCorrupt, "{}: an object is needed", where_);
  }
  [[nodiscard]] Error wrong(std::string_view key, std::string_view fault) const {
    return make_error(ErrorCode::kCorrupt, "{}: {}: {}", where_, key, fault);
  }
  [[nodiscard]] std::string inside(std::string_view key) const {
    return fmt::format("{}: {}", where_, key);
  }

  /// Null where the member is missing or null (OSV's exports write null for nothing).
  [[nodiscard]] const base::Json* find(const char* key) const {
    const auto at = object_.find(key);
    return at == object_.end() || at->is_null() ? nullptr : &*at;
  }
  /// Empty where missing. kCorrupt for what is no text or longer than kRecordTextMax.
  [[nodiscard]] Result<std::string> text(const char* key) const {
    const base::Json* member = find(key);
    if (!member) return std::string();
    if (!member->is_string()) return wrong(key, "a text is needed");
    const auto& value = member->get_ref<const std::string&>();
    if (value.size() > kRecordTextMax)
      return wrong(key, fmt::format("longer than {} bytes", kRecordTextMax));
    return value;
  }
  [[nodiscard]] Result<std::string> needed_text(const char* key) const {
    LANTERN_ASSIGN(std::string value, text(key));
    if (value.empty()) return wrong(key, "a text is needed");
    return value;
  }
  /// Null where missing; kCorrupt for what is no list or too long.
  [[nodiscard]] Result<const base::Json*> list(const char* key) const {
    const base::Json* member = find(key);
    if (!member) return member;
    if (!member->is_array()) return wrong(key, "a list is needed");
    if (member->size() > kRecordListMax)
      return wrong(key, fmt::format("more than {} entries", kRecordListMax));
    return member;
  }
  [[nodiscard]] Result<std::vector<std::string>> texts(const char* key) const {
    LANTERN_ASSIGN(const base::Json* member, list(key));
    std::vector<std::string> values;
    if (!member) return values;
    values.reserve(member->size());
    for (const base::Json& one : *member) {
      if (!one.is_string()) return wrong(key, "a list of texts is needed");
      const auto& value = one.get_ref<const std::string&>();
      if (value.size() > kRecordTextMax)
        return wrong(key, fmt::format("an entry longer than {} bytes", kRecordTextMax));
      values.push_back(value);
    }
    return values;
  }

 private:
  const base::Json& object_;
  std::string where_;
};

}  // namespace lantern::supply
