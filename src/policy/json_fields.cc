#include "policy/json_fields.h"

#include "base/printable.h"
#include "policy/words.h"

namespace lantern::policy {
namespace {

constexpr int kDepthMax = 8;

const base::Json& nothing() {
  static const base::Json kNull;
  return kNull;
}

}  // namespace

Result<base::Json> parse_payload(std::string_view json, std::string_view what, size_t bytes_max) {
  return base::parse_json(json, what, {.bytes_max = bytes_max, .depth_max = kDepthMax});
}

JsonFields::JsonFields(const base::Json& value, std::string where, std::optional<Error>& fault)
    : value_(value), where_(std::move(where)), fault_(fault) {
  if (!value.is_object() && !fault_)
    fault_ = make_error(ErrorCode::kCorrupt, "{}: a JSON object is needed", where_);
}

void JsonFields::wrong(std::string_view name, std::string_view fault) {
  if (!fault_)
    fault_ =
        make_error(ErrorCode::kCorrupt, "{}: \"{}\": {}", where_, base::printable(name, 60), fault);
}

bool JsonFields::has(const char* name) const { return value_.is_object() && value_.contains(name); }

const base::Json* JsonFields::find(const char* name) {
  asked_.emplace(name);
  if (!value_.is_object()) return nullptr;
  const auto found = value_.find(name);
  if (found != value_.end()) return &*found;
  return nullptr;
}

const base::Json& JsonFields::member(const char* name) {
  if (const base::Json* found = find(name)) return *found;
  wrong(name, "is missing");
  return nothing();
}

const base::Json& JsonFields::array(const char* name, size_t count_max) {
  static const base::Json kEmpty = base::Json::array();
  const base::Json& found = member(name);
  if (found.is_array() && found.size() <= count_max) return found;
  wrong(name, fmt::format("a list of at most {} is needed", count_max));
  return kEmpty;
}

std::string JsonFields::line(const char* name, size_t bytes_max) {
  const base::Json& found = member(name);
  if (!found.is_string()) {
    wrong(name, "a text is needed");
    return {};
  }
  const auto& text = found.get_ref<const std::string&>();
  if (const std::string fault = line_fault(text, bytes_max); !fault.empty()) wrong(name, fault);
  return text;
}

int64_t JsonFields::integer(const char* name, int64_t min, int64_t max) {
  const base::Json& found = member(name);
  // An unsigned number past int64's range is no value within any [min, max].
  const bool fits =
      found.is_number_integer() &&
      (!found.is_number_unsigned() || found.get<uint64_t>() <= static_cast<uint64_t>(INT64_MAX));
  if (fits && found.get<int64_t>() >= min && found.get<int64_t>() <= max)
    return found.get<int64_t>();
  wrong(name, fmt::format("a whole number within {} to {} is needed", min, max));
  return min;
}

base::UtcTime JsonFields::time(const char* name) {
  const base::Json& found = member(name);
  if (!found.is_string()) {
    wrong(name, "a time is needed");
    return {};
  }
  auto time = base::parse_utc(found.get_ref<const std::string&>());
  if (time.ok()) return *time;
  wrong(name, time.error().message);
  return {};
}

std::optional<base::UtcTime> JsonFields::optional_time(const char* name) {
  if (!has(name)) return {};
  return time(name);
}

base::Digest JsonFields::digest(const char* name) {
  const base::Json& found = member(name);
  if (found.is_string()) {
    auto digest = base::digest_from_hex(found.get_ref<const std::string&>());
    if (digest.ok()) return *digest;
  }
  wrong(name, "64 hexadecimal digits are needed");
  return {};
}

std::set<std::string> JsonFields::optional_lines(const char* name, size_t count_max) {
  std::set<std::string> lines;
  if (!has(name)) return lines;
  const base::Json& list = array(name, count_max);
  if (list.empty()) wrong(name, "the list is empty; leave it out instead");
  for (const base::Json& entry : list) {
    const bool fine =
        entry.is_string() && is_line(entry.get_ref<const std::string&>(), kNameBytesMax);
    if (!fine)
      wrong(name, "lines of text are needed");
    else if (!lines.insert(entry.get<std::string>()).second)
      wrong(name, "a line stands twice");
  }
  return lines;
}

void JsonFields::finish() {
  if (!value_.is_object()) return;
  for (const auto& [name, value] : value_.items())
    if (!asked_.contains(name)) return wrong(name, "unknown member");
}

}  // namespace lantern::policy
