// What a file's bytes said, kept by what the file is (device, inode, size, times), so that a file
// is read once and not at every look. Bounded: what was asked for longest ago is forgotten first.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "base/file.h"
#include "sensor/parser.h"

namespace lantern::sensor {

/// One thread at a time.
class LookCache {
 public:
  explicit LookCache(size_t entries_max = 4096) : generation_max_(entries_max / 2 + 1) {}

  /// Null: not known. Valid until the next call.
  const ParseAnswer* find(const ParseJob& job);
  /// Keeps nothing for what is no file of its own (a stamp of 0s).
  void keep(const ParseJob& job, const ParseAnswer& answer);
  [[nodiscard]] size_t size() const { return young_.size() + old_.size(); }

 private:
  using Key =
      std::tuple<ParseTask, uint64_t, uint64_t, uint64_t, int64_t, int64_t, size_t, std::string>;
  static Key key_of(const ParseJob& job);

  // Two generations: what is asked for moves into the young one, and when that is full it becomes
  // the old one, which is dropped.
  size_t generation_max_;
  std::map<Key, std::shared_ptr<const ParseAnswer>> young_, old_;
};

}  // namespace lantern::sensor
