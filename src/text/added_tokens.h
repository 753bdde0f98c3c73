// Finds the tokens that are matched before the model runs: special and user-defined ones.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "text/tokenizer.h"

namespace lantern::text {

class AddedTokenMatcher {
 public:
  struct Entry {
    std::string text;
    AddedToken token;
  };
  struct Match {
    size_t begin = 0, end = 0;  // bytes of the text, with the white space that the token takes
    TokenId id = -1;
  };

  /// Longer texts are kUnsupported: every place of a text may be compared with one.
  static constexpr size_t kTextBytesMax = 1024;

  /// Of two entries with the same text the first counts.
  static Result<AddedTokenMatcher> create(std::vector<Entry> entries);

  /// The leftmost match that begins at or after `from`, of several there the longest, among
  /// those for which `eligible(entry, begin, end)` is true. False if there is none.
  template <typename Eligible>
  bool next(std::string_view text, size_t from, const Eligible& eligible, Match& match) const {
    if (entries_.empty()) return false;
    for (size_t at = from; at < text.size(); ++at) {
      if (!first_bytes_[static_cast<uint8_t>(text[at])]) continue;
      const Entry* longest = nullptr;
      visit_at(text, at, [&](const Entry& entry) {
        if (eligible(entry.token, at, at + entry.text.size())) longest = &entry;
      });
      if (longest == nullptr) continue;
      match = with_white_space(text, from, at, *longest);
      return true;
    }
    return false;
  }

  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  /// Calls visit for every entry whose text stands at `at`, shortest first.
  template <typename Visit>
  void visit_at(std::string_view text, size_t at, const Visit& visit) const {
    // entries_ is sorted, so those that begin with text[at, at + depth) are a range.
    size_t low = 0, high = entries_.size();
    for (size_t depth = 0; low < high; ++depth) {
      if (entries_[low].text.size() == depth) visit(entries_[low++]);
      if (at + depth == text.size()) return;
      narrow(depth, static_cast<uint8_t>(text[at + depth]), low, high);
    }
  }
  void narrow(size_t depth, uint8_t byte, size_t& low, size_t& high) const;
  static Match with_white_space(std::string_view text, size_t from, size_t at, const Entry& entry);

  std::vector<Entry> entries_;  // by text, none empty, none twice
  std::array<bool, 256> first_bytes_{};
};

}  // namespace lantern::text
