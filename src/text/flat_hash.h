// The two hash tables of a tokenizer: bytes to token, and a pair of tokens to their merge.
// Open addressing in one block each; a random seed, because vocabularies come from outside and
// could be made to collide.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "text/string_table.h"

namespace lantern::text {

inline uint64_t multiply_fold(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

inline constexpr uint64_t kHashMultiplier = 0x9E3779B97F4A7C15;  // 2^64 / golden ratio

/// Two unaligned, possibly overlapping loads cover up to 16 bytes; longer ones go by 16.
inline uint64_t hash_bytes(std::string_view text, uint64_t seed) {
  const auto load = [](const char* p, auto zero) {
    std::memcpy(&zero, p, sizeof(zero));
    return static_cast<uint64_t>(zero);
  };
  const char* p = text.data();
  size_t n = text.size();
  uint64_t h = seed ^ text.size() * kHashMultiplier;
  while (n > 16) {
    h = multiply_fold(load(p, uint64_t{}) ^ h, load(p + 8, uint64_t{}) ^ kHashMultiplier);
    p += 16;
    n -= 16;
  }
  uint64_t a = 0, b = 0;
  if (n >= 8) {
    a = load(p, uint64_t{});
    b = load(p + n - 8, uint64_t{});
  } else if (n >= 4) {
    a = load(p, uint32_t{});
    b = load(p + n - 4, uint32_t{});
  } else if (n > 0) {
    a = static_cast<uint64_t>(static_cast<uint8_t>(p[0])) |
        static_cast<uint64_t>(static_cast<uint8_t>(p[n / 2])) << 8 |
        static_cast<uint64_t>(static_cast<uint8_t>(p[n - 1])) << 16;
  }
  return multiply_fold(a ^ h, b ^ kHashMultiplier ^ seed);
}

/// Bytes to the index of an equal string in a StringTable that the caller keeps.
class StringIndex {
 public:
  StringIndex() = default;
  StringIndex(size_t n_strings, uint64_t seed) : seed_(seed) {
    size_t capacity = 16;
    while (capacity < n_strings * 2) capacity *= 2;
    slots_.resize(capacity);
    mask_ = capacity - 1;
  }

  /// At most as many calls as the constructor was told. An equal string before is replaced, and
  /// the result then false.
  bool insert(const StringTable& strings, int32_t i) {
    const uint64_t h = hash_bytes(strings[static_cast<size_t>(i)], seed_);
    size_t at = h & mask_;
    while (slots_[at].index >= 0 && !(slots_[at].tag == tag(h) &&
                                      equal(strings, slots_[at], strings[static_cast<size_t>(i)])))
      at = (at + 1) & mask_;
    const bool is_new = slots_[at].index < 0;
    slots_[at] = {tag(h), i};
    return is_new;
  }

  /// Brings the slot of hash(text) near, and next what it points to, for a find() soon after.
  /// Three memory accesses that wait for one another are most of what a look-up costs.
  void prefetch_slot(uint64_t h) const { __builtin_prefetch(&slots_[h & mask_]); }
  void prefetch_string(const StringTable& strings, uint64_t h) const {
    const int32_t index = slots_[h & mask_].index;
    if (index >= 0) strings.prefetch(static_cast<size_t>(index));
  }

  [[nodiscard]] uint64_t hash(std::string_view text) const { return hash_bytes(text, seed_); }

  /// -1 where no string is equal. `h` is hash(text).
  [[nodiscard]] int32_t find(const StringTable& strings, std::string_view text, uint64_t h) const {
    for (size_t at = h & mask_;; at = (at + 1) & mask_) {
      const Slot slot = slots_[at];
      if (slot.index < 0) return -1;
      if (slot.tag == tag(h) && equal(strings, slot, text)) return slot.index;
    }
  }
  [[nodiscard]] int32_t find(const StringTable& strings, std::string_view text) const {
    return find(strings, text, hash(text));
  }

 private:
  struct Slot {
    uint32_t tag = 0;
    int32_t index = -1;
  };
  static uint32_t tag(uint64_t h) { return static_cast<uint32_t>(h >> 32); }
  static bool equal(const StringTable& strings, Slot slot, std::string_view text) {
    return strings[static_cast<size_t>(slot.index)] == text;
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1);
  size_t mask_ = 0;
  uint64_t seed_ = 0;
};

/// Two token ids to a merge: its rank and the token it makes.
class PairIndex {
 public:
  struct Merge {
    uint32_t rank = UINT32_MAX;
    int32_t id = -1;  // -1: the two do not merge
  };

  PairIndex() = default;
  PairIndex(size_t n_pairs, uint64_t seed) : seed_(seed | 1) {
    size_t capacity = 16;
    while (capacity < n_pairs + n_pairs / 2) capacity *= 2;
    slots_.resize(capacity);
    mask_ = capacity - 1;
  }

  /// At most as many calls as the constructor was told. A merge of the same pair is replaced.
  void insert(int32_t left, int32_t right, Merge merge) {
    const uint64_t k = key(left, right);
    size_t at = multiply_fold(k ^ seed_, kHashMultiplier) & mask_;
    while (slots_[at].key != k && slots_[at].merge.id >= 0) at = (at + 1) & mask_;
    slots_[at] = {k, merge};
  }

  /// Ids may be negative, which no merge has.
  [[nodiscard]] Merge find(int32_t left, int32_t right) const {
    const uint64_t k = key(left, right);
    for (size_t at = multiply_fold(k ^ seed_, kHashMultiplier) & mask_;; at = (at + 1) & mask_)
      if (slots_[at].key == k || slots_[at].merge.id < 0) return slots_[at].merge;
  }

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge;
  };
  static uint64_t key(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }

  std::vector<Slot> slots_ = std::vector<Slot>(1);
  size_t mask_ = 0;
  uint64_t seed_ = 1;
};

}  // namespace lantern::text
