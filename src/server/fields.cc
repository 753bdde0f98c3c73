#include "server/fields.h"

#include <cmath>

#include "base/printable.h"

namespace lantern::server {
namespace {

std::string_view type_of(const base::OrderedJson& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "a boolean";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  return value.is_array() ? "an array" : "an object";
}

/// A whole number, also where it is spelled 1.0.
std::optional<int64_t> whole(const base::OrderedJson& value) {
  if (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX) return {};
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return {};
  const double number = value.get<double>();
  if (std::nearbyint(number) != number || std::fabs(number) > 9e15) return {};
  return static_cast<int64_t>(number);
}

}  // namespace

Result<base::OrderedJson> parse_body(std::string_view body) {
  auto json = base::parse_ordered_json(body, "the body", {.bytes_max = 64u << 20, .depth_max = 64});
  if (!json.ok()) return Error{ErrorCode::kInvalidArgument, json.error().message};
  if (!json->is_object())
    return make_error(ErrorCode::kInvalidArgument, "the body is {}, a JSON object is needed",
                      type_of(*json));
  return json;
}

Fields::Fields(const base::OrderedJson& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object_.is_object())
    fault_ = make_error(ErrorCode::kInvalidArgument, "{}: an object is needed, not {}", path_,
                        type_of(object_));
}

std::string Fields::path_of(std::string_view name) const {
  return path_.empty() ? std::string(name) : fmt::format("{}.{}", path_, name);
}

const base::OrderedJson* Fields::find(std::string_view name) {
  known_.emplace(name);
  if (!object_.is_object()) return nullptr;
  const auto field = object_.find(std::string(name));
  return field == object_.end() || field->is_null() ? nullptr : &*field;
}

void Fields::fail(std::string_view name, std::string_view what) {
  if (!fault_) fault_ = make_error(ErrorCode::kInvalidArgument, "{}: {}", path_of(name), what);
}

void Fields::need(std::string_view name, const base::OrderedJson& is, std::string_view what) {
  fail(name, is.is_number() ? fmt::format("{} is needed, not {}", what, is.dump())
                            : fmt::format("{} is needed, not {}", what, type_of(is)));
}

void Fields::read(std::string_view name, bool& out) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  if (!value->is_boolean()) return need(name, *value, "true or false");
  out = value->get<bool>();
}

void Fields::read(std::string_view name, std::string& out, size_t bytes_max) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  if (!value->is_string()) return need(name, *value, "a string");
  const auto& text = value->get_ref<const std::string&>();
  if (text.size() > bytes_max) return fail(name, fmt::format("longer than {} bytes", bytes_max));
  out = text;
}

void Fields::read(std::string_view name, int64_t& out, int64_t least, int64_t most) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  const auto number = whole(*value);
  if (!number || *number < least || *number > most)
    return need(name, *value, fmt::format("a whole number from {} to {}", least, most));
  out = *number;
}

void Fields::read(std::string_view name, float& out, float least, float most) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  const double number = value->is_number() ? value->get<double>() : std::nan("");
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most)))
    return need(name, *value, fmt::format("a number from {} to {}", least, most));
  out = static_cast<float>(number);
}

void Fields::read_seed(std::string_view name, std::optional<uint64_t>& out) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  if (value->is_number_unsigned()) {
    out = value->get<uint64_t>();
  } else if (const auto number = whole(*value)) {
    out = static_cast<uint64_t>(*number);
  } else {
    need(name, *value, "a whole number");
  }
}

void Fields::read_strings(std::string_view name, std::vector<std::string>& out, size_t n_max) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr) return;
  if (value->is_string()) {
    out = {value->get<std::string>()};
    return;
  }
  if (!value->is_array()) return need(name, *value, "a string or an array of strings");
  if (value->size() > n_max) return fail(name, fmt::format("at most {} are taken", n_max));
  out.clear();
  for (const base::OrderedJson& one : *value) {
    if (!one.is_string()) return need(name, one, "an array of strings");
    out.push_back(one.get<std::string>());
  }
}

namespace {

/// Ids of one text; nothing where `json` is no array of them.
std::optional<std::vector<int32_t>> ids_of(const base::OrderedJson& json) {
  if (!json.is_array()) return std::nullopt;
  std::vector<int32_t> ids;
  ids.reserve(json.size());
  for (const base::OrderedJson& id : json) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) return std::nullopt;
    ids.push_back(static_cast<int32_t>(id.get<uint64_t>()));
  }
  return ids;
}

}  // namespace

void Fields::read_texts(std::string_view name, std::vector<TextOrIds>& out, size_t n_max) {
  const base::OrderedJson* value = find(name);
  if (value != nullptr && value->is_string()) {
    out.emplace_back(value->get<std::string>());
    return;
  }
  if (value == nullptr || !value->is_array() || value->empty())
    return fail(name, "a text or an array of texts is needed");
  if (value->front().is_number()) {
    auto ids = ids_of(*value);
    if (!ids) return fail(name, "an array of token ids is needed");
    out.emplace_back(std::move(*ids));
    return;
  }
  if (value->size() > n_max) return fail(name, fmt::format("at most {} texts are taken", n_max));
  for (const base::OrderedJson& one : *value) {
    if (one.is_string()) {
      out.emplace_back(one.get<std::string>());
      continue;
    }
    auto ids = ids_of(one);
    if (!ids) return fail(name, "each must be a text or an array of token ids");
    out.emplace_back(std::move(*ids));
  }
}

const base::OrderedJson* Fields::object(std::string_view name) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  need(name, *value, "an object");
  return nullptr;
}

const base::OrderedJson* Fields::array(std::string_view name) {
  const base::OrderedJson* value = find(name);
  if (value == nullptr || value->is_array()) return value;
  need(name, *value, "an array");
  return nullptr;
}

void Fields::ignore(std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) known_.emplace(name);
}

Status Fields::status() const {
  if (fault_) return *fault_;
  return {};
}

std::optional<std::string> Fields::unknown() const {
  if (!object_.is_object()) return {};
  for (const auto& [name, value] : object_.items())
    if (!known_.contains(name)) return base::printable(name);
  return {};
}

std::string field_of(std::string_view message) {
  const std::string_view field = message.substr(0, std::min(message.find(": "), message.size()));
  const bool is_field =
      field.size() < message.size() &&
      field.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.[]") == std::string_view::npos;
  return is_field ? std::string(field) : std::string();
}

}  // namespace lantern::server
