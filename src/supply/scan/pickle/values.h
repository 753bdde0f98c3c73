// What a symbolic pickle machine computes with: constants where they can matter (names, numbers of
// arrays), and where a value came from otherwise.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace lantern::supply::scan {

using ValueId = uint32_t;

enum class ValueKind : uint8_t {
  kOpaque,  // data that is of no interest
  kMark,
  kInt,     // number
  kText,    // of at most kTextBytesMax bytes
  kTuple,   // items
  kList,    // the first items
  kDict,    // the first items: key, value, ...
  kGlobal,  // text: module "\n" name
  kCall,    // of value `a` with arguments `b`: an object made by a global, or a function's result
};

class ValueStore {
 public:
  struct Value {
    ValueKind kind = ValueKind::kOpaque;
    bool flag = false;  // kCall: a function was called, its result may be anything
    uint32_t a = 0, b = 0;
    int64_t number = 0;
  };

  static constexpr size_t kTextBytesMax = 512;
  static constexpr size_t kItemsMax = 64;          // kept of one container
  static constexpr size_t kValuesMax = 6'000'000;  // 24 bytes each
  static constexpr size_t kTextPoolMax = 256u << 20;

  ValueStore() { values_.push_back({}); }

  static constexpr ValueId kOpaqueId = 0;

  [[nodiscard]] bool full() const {
    return values_.size() >= kValuesMax || pool_.size() >= kTextPoolMax;
  }
  [[nodiscard]] const Value& at(ValueId id) const { return values_[id]; }
  [[nodiscard]] ValueKind kind(ValueId id) const { return values_[id].kind; }
  [[nodiscard]] std::string_view text(ValueId id) const {
    return std::string_view(pool_).substr(values_[id].a, values_[id].b);
  }
  [[nodiscard]] const std::vector<ValueId>& items(ValueId id) const {
    return containers_[values_[id].a];
  }

  ValueId add_int(int64_t number) { return add({.kind = ValueKind::kInt, .number = number}); }
  ValueId add_text(std::string_view text, ValueKind kind = ValueKind::kText) {
    const Value value{.kind = kind,
                      .a = static_cast<uint32_t>(pool_.size()),
                      .b = static_cast<uint32_t>(text.size())};
    pool_.append(text);
    return add(value);
  }
  ValueId add_container(ValueKind kind, std::vector<ValueId> items) {
    if (items.size() > kItemsMax) items.resize(kItemsMax);
    containers_.push_back(std::move(items));
    return add({.kind = kind, .a = static_cast<uint32_t>(containers_.size() - 1)});
  }
  ValueId add_call(ValueId callee, ValueId arguments, bool is_function) {
    return add({.kind = ValueKind::kCall, .flag = is_function, .a = callee, .b = arguments});
  }
  void append(ValueId container, ValueId item) {
    const Value& value = values_[container];
    if (value.kind != ValueKind::kList && value.kind != ValueKind::kDict) return;
    std::vector<ValueId>& items = containers_[value.a];
    if (items.size() < kItemsMax) items.push_back(item);
  }
  /// The value of a dict's key, or kOpaqueId.
  [[nodiscard]] ValueId find(ValueId dict, std::string_view key) const;

 private:
  ValueId add(const Value& value) {
    values_.push_back(value);
    return static_cast<ValueId>(values_.size() - 1);
  }

  std::vector<Value> values_;
  std::string pool_;
  std::vector<std::vector<ValueId>> containers_;
};

/// A pickle's memo: mostly numbered from 0 on, but any 32-bit number can be a key.
class Memo {
 public:
  void put(uint64_t key, ValueId value) {
    if (key < kDenseMax && key <= dense_.size() + 4096) {
      if (key >= dense_.size()) dense_.resize(key + 1, kMissing);
      dense_[key] = value;
    } else {
      sparse_[key] = value;
    }
    ++n_put_;
  }
  /// Past what any real pickle remembers.
  [[nodiscard]] bool full() const { return sparse_.size() >= kSparseMax; }
  /// ValueStore::kOpaqueId and `missing` where it was never put.
  [[nodiscard]] ValueId get(uint64_t key, bool& missing) const {
    if (key < dense_.size() && dense_[key] != kMissing) return dense_[key];
    const auto found = sparse_.find(key);
    if (found != sparse_.end()) return found->second;
    missing = true;
    return ValueStore::kOpaqueId;
  }
  /// The number that MEMOIZE gives next.
  [[nodiscard]] uint64_t n_put() const { return n_put_; }

 private:
  static constexpr ValueId kMissing = UINT32_MAX;
  static constexpr uint64_t kDenseMax = 1u << 24;
  static constexpr size_t kSparseMax = 1u << 20;

  std::vector<ValueId> dense_;
  std::unordered_map<uint64_t, ValueId> sparse_;
  uint64_t n_put_ = 0;
};

}  // namespace lantern::supply::scan
