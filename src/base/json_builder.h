// JsonBuilder: parses JSON into values by events. parse_json() is what most callers want; this is
// for a file with parts too large to keep as values, whose reader overrides the events of those.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/printable.h"
#include "base/result.h"

namespace lantern::base {

template <typename J>
class JsonBuilder : public nlohmann::json_sax<J> {
 public:
  explicit JsonBuilder(int depth_max) : depth_max_(depth_max) {}

  J take() { return std::move(root_); }
  /// Why an event returned false; the message does not name the source.
  const std::optional<Error>& fault() const { return fault_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(typename J::number_integer_t value) override { return add(value); }
  bool number_unsigned(typename J::number_unsigned_t value) override { return add(value); }
  bool number_float(typename J::number_float_t value, const std::string&) override {
    return add(value);
  }
  bool string(std::string& value) override { return add(std::move(value)); }
  bool binary(typename J::binary_t&) override { return false; }  // JSON text has none

  bool start_object(size_t) override { return open(J::object()); }
  bool start_array(size_t) override { return open(J::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(std::string& name) override {
    auto& object = open_.back()->template get_ref<typename J::object_t&>();
    bool added = true;
    if constexpr (kKeepsOrder) {
      // An ordered object is a vector whose own search is linear, so its keys are kept beside it.
      added = keys_.back().insert(name).second;
      if (added) slot_ = &object.J::object_t::Container::emplace_back(name, nullptr).second;
    } else {
      const auto [entry, inserted] = object.emplace(name, nullptr);
      added = inserted;
      slot_ = &entry->second;
    }
    if (added) return true;
    return fail(
        make_error(ErrorCode::kCorrupt, "key \"{}\" stands twice in one object", printable(name)));
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& e) override {
    // nlohmann's text begins with "[json.exception...] "; a person needs what follows.
    std::string_view message = e.what();
    if (auto end = message.find("] "); end != std::string_view::npos)
      message.remove_prefix(end + 2);
    return fail(make_error(ErrorCode::kCorrupt, "not valid JSON: {}", message));
  }

 protected:
  bool fail(Error error) {
    fault_ = std::move(error);
    return false;
  }

 private:
  static constexpr bool kKeepsOrder = std::is_same_v<J, OrderedJson>;

  template <typename T>
  J* place(T&& value) {
    if (open_.empty()) {
      root_ = std::forward<T>(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->template get_ref<typename J::array_t&>();
      return &array.emplace_back(std::forward<T>(value));
    }
    *slot_ = std::forward<T>(value);
    return slot_;
  }
  template <typename T>
  bool add(T&& value) {
    place(std::forward<T>(value));
    return true;
  }
  bool open(J container) {
    if (open_.size() >= static_cast<size_t>(depth_max_))
      return fail(make_error(ErrorCode::kTooLarge, "nested deeper than {} levels", depth_max_));
    open_.push_back(place(std::move(container)));
    if constexpr (kKeepsOrder) keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    if constexpr (kKeepsOrder) keys_.pop_back();
    return true;
  }

  int depth_max_;
  J root_;
  // Containers that are not closed yet. Only the last one grows, so the others stay where they are.
  std::vector<J*> open_;
  std::vector<std::set<std::string>> keys_;
  J* slot_ = nullptr;  // where the value of the last key goes
  std::optional<Error> fault_;
};

/// Feeds `text` to `builder`. Errors as parse_json().
template <typename J>
Status build_json(std::string_view text, std::string_view what, JsonLimits limits,
                  JsonBuilder<J>& builder) {
  if (text.size() > limits.bytes_max)
    return make_error(ErrorCode::kTooLarge, "{}: {} bytes of JSON, at most {} are read", what,
                      text.size(), limits.bytes_max);
  try {
    if (J::sax_parse(text.begin(), text.end(), &builder)) return {};
  } catch (const std::exception& e) {
    return make_error(ErrorCode::kInternal, "{}: {}", what, e.what());
  }
  Error fault = builder.fault().value_or(Error{ErrorCode::kCorrupt, "not valid JSON"});
  return std::move(fault).within(what);
}

}  // namespace lantern::base
