// Progress of what lasts: a bar with rate and time left on a terminal, plain
// occasional lines elsewhere, and nothing at all for what is done within a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

namespace lantern::base {

/// Where progress goes. Answers go to stdout, so the usual place is stderr.
struct ProgressOutput {
  using Clock = std::chrono::steady_clock;
  std::function<void(std::string_view)> write;  // none: nothing is shown
  bool is_terminal = false;
  int columns = 80;
  std::function<Clock::time_point()> now = Clock::now;

  /// stderr, as a terminal if it is one.
  static ProgressOutput standard_error();
  /// Shows nothing.
  static ProgressOutput none() { return {}; }
};

/// One task. Thread-safe. Destroyed before finish(), it clears its bar.
class Progress {
 public:
  enum class Unit { kBytes, kItems };
  struct Options {
    std::string label = {};  // "Downloading model.gguf"; control characters in it are replaced
    uint64_t total = 0;      // 0: not known
    uint64_t done = 0;       // where it starts, as a resumed download does; not part of the rate
    Unit unit = Unit::kBytes;
    std::string item = {};  // the noun after a count of items: "tokens"
  };

  explicit Progress(Options options, ProgressOutput output = ProgressOutput::standard_error());
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(uint64_t n);
  /// Sets what is done; going back (a download that begins anew) starts the rate again.
  void set(uint64_t done);
  void set_total(uint64_t total);
  /// Ends it with a line that says how much and how fast, where anything had been shown.
  void finish();

 private:
  using Clock = ProgressOutput::Clock;
  void update(Clock::time_point now);
  void restart(Clock::time_point now);
  [[nodiscard]] std::string bar(double rate) const;
  [[nodiscard]] std::string amount(uint64_t n) const;

  std::mutex mutex_;
  Options options_;
  ProgressOutput output_;
  Clock::time_point started_, shown_at_, sampled_at_;
  uint64_t first_ = 0, sampled_ = 0;
  double rate_ = 0;  // units a second, smoothed
  bool shown_ = false, finished_ = false;
};

/// "92.9 MB" (powers of ten, as download tools and disks count).
std::string format_bytes(uint64_t bytes);
/// "0.4 s", "42 s", "3 min 20 s", "2 h 05 min".
std::string format_duration(double seconds);

}  // namespace lantern::base
