// What a scanner is, and what it works with.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/source.h"
#include "supply/scan/report.h"
#include "supply/scan/scan.h"

namespace lantern::supply::scan {

/// One object to judge: a file, or something found inside one.
class Input {
 public:
  /// `cut`: the object is longer than `source`, which holds its beginning.
  Input(const format::Source& source, std::string name, bool cut = false);

  [[nodiscard]] const format::Source& source() const { return source_; }
  [[nodiscard]] uint64_t size() const { return source_.size(); }
  /// The last component of its name, in lower case: its role, never its format.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] bool cut() const { return cut_; }
  /// Up to 4 KiB from the beginning.
  [[nodiscard]] std::string_view head() const { return head_; }
  /// Bytes [offset, offset + n), fewer at the end or where they cannot be read.
  [[nodiscard]] std::string read(uint64_t offset, uint64_t n) const;
  /// No NUL or other control bytes but tab, line breaks, form feed and escape in the head.
  [[nodiscard]] bool looks_like_text() const;

 private:
  const format::Source& source_;
  std::string name_;
  std::string head_;
  bool cut_;
};

/// A running scan: findings go in, bounds are kept, nested objects are judged.
class Scan {
 public:
  explicit Scan(const Limits& limits);

  [[nodiscard]] const Limits& limits() const { return limits_; }

  /// Judges `input` by all scanners that know its content. Returns the formats' names.
  std::vector<std::string> judge(const Input& input);
  /// The same one level deeper, `name` being appended to the place; inconclusive past the depth.
  void judge_nested(const std::string& name, const format::Source& source, bool cut = false);
  void judge_nested(const std::string& name, std::string_view bytes, bool cut = false);

  void add(std::string_view scanner, std::string_view rule, Verdict verdict, std::string message,
           std::optional<uint64_t> offset = std::nullopt);
  /// An inconclusive finding of rule "<scanner>-unreadable" with the error's message.
  void unreadable(std::string_view scanner, const Error& error);

  /// kTooLarge past the time or the bytes; asked in every loop over outside data.
  [[nodiscard]] Status spend_read(uint64_t bytes);
  [[nodiscard]] Status spend_extracted(uint64_t bytes);
  [[nodiscard]] Status spend_entry();
  [[nodiscard]] Status check_time() const;
  [[nodiscard]] int depth() const { return depth_; }

  /// Names a part of the current object in findings while it lives (a metadata key, say).
  class Place {
   public:
    Place(Scan& scan, std::string_view part);
    ~Place() { scan_.nested_.resize(size_before_); }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    Scan& scan_;
    size_t size_before_;
  };

  void begin_file(const std::string& path);
  Report& report() { return report_; }

 private:
  friend class Place;

  Limits limits_;
  std::chrono::steady_clock::time_point deadline_;
  Report report_;
  std::string file_;
  std::string nested_;
  int depth_ = 0;
  uint64_t read_bytes_ = 0, extracted_bytes_ = 0, entries_ = 0;
};

struct Scanner {
  std::string_view name;
  /// By content. Several scanners may know one object: a file can be two things at once.
  bool (*matches)(const Input&);
  void (*scan)(const Input&, Scan&);
};

std::span<const Scanner* const> all_scanners();

}  // namespace lantern::supply::scan
