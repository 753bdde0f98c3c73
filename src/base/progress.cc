#include "base/progress.h"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace lantern::base {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kShownAfter{1000};
constexpr milliseconds kRedraw{100};        // faster only flickers
constexpr milliseconds kPlainLine{10'000};  // a log file wants few
constexpr milliseconds kSample{250};
constexpr double kSmoothing_s = 3;  // the rate's memory: steady to read, yet it follows a change

double seconds(ProgressOutput::Clock::duration d) {
  return std::chrono::duration<double>(d).count();
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  static constexpr const char* kUnits[] = {"kB", "MB", "GB", "TB", "PB"};
  if (bytes < 1000) return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  // 999.95 would round to 1000.0.
  while (value >= 999.95 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string format_duration(double s) {
  if (!(s >= 0)) s = 0;
  if (s < 10) return fmt::format("{:.1f} s", s);
  auto whole = static_cast<uint64_t>(std::min(std::round(s), 1e9));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
}

ProgressOutput ProgressOutput::standard_error() {
  ProgressOutput output;
  output.is_terminal = ::isatty(STDERR_FILENO) == 1;
  winsize size{};
  if (output.is_terminal && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    output.columns = size.ws_col;
  output.write = [](std::string_view text) {
    while (!text.empty()) {
      ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
      if (n <= 0) return;  // progress is a courtesy: a closed stderr ends it, not the work
      text.remove_prefix(static_cast<size_t>(n));
    }
  };
  return output;
}

Progress::Progress(Options options, ProgressOutput output)
    : options_(std::move(options)), output_(std::move(output)) {
  // Labels hold names from outside; an escape sequence must not reach the terminal.
  for (char& c : options_.label)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  started_ = output_.now();
  restart(started_);
}

Progress::~Progress() {
  if (!finished_ && shown_ && output_.is_terminal) output_.write("\r\x1b[K");
}

void Progress::restart(Clock::time_point now) {
  first_ = sampled_ = options_.done;
  sampled_at_ = now;
  rate_ = 0;
}

void Progress::advance(uint64_t n) {
  std::lock_guard lock(mutex_);
  options_.done += n;
  update(output_.now());
}

void Progress::set(uint64_t done) {
  std::lock_guard lock(mutex_);
  bool went_back = done < options_.done;
  options_.done = done;
  auto now = output_.now();
  if (went_back) restart(now);
  update(now);
}

void Progress::set_total(uint64_t total) {
  std::lock_guard lock(mutex_);
  options_.total = total;
}

void Progress::update(Clock::time_point now) {
  if (!output_.write || finished_) return;
  if (auto since = now - sampled_at_; since >= kSample) {
    double latest = static_cast<double>(options_.done - sampled_) / seconds(since);
    double keep = rate_ == 0 ? 0 : std::exp(-seconds(since) / kSmoothing_s);
    rate_ = keep * rate_ + (1 - keep) * latest;
    sampled_ = options_.done;
    sampled_at_ = now;
  }
  if (now - started_ < kShownAfter) return;
  if (shown_ && now - shown_at_ < (output_.is_terminal ? kRedraw : kPlainLine)) return;
  shown_ = true;
  shown_at_ = now;
  std::string line = bar(rate_);
  output_.write(output_.is_terminal ? "\r" + line + "\x1b[K" : line + "\n");
}

std::string Progress::amount(uint64_t n) const {
  if (options_.unit == Unit::kBytes) return format_bytes(n);
  return fmt::format("{}{}{}", n, options_.item.empty() ? "" : " ", options_.item);
}

std::string Progress::bar(double rate) const {
  std::string figures;
  bool known = options_.total > 0;
  if (known) {
    double part = static_cast<double>(options_.done) / static_cast<double>(options_.total);
    figures = fmt::format("{:3.0f} %  {} of {}", std::floor(100 * std::min(part, 1.0)),
                          options_.unit == Unit::kBytes ? format_bytes(options_.done)
                                                        : fmt::format("{}", options_.done),
                          amount(options_.total));
  } else {
    figures = amount(options_.done);
  }
  if (rate > 0) {
    figures += options_.unit == Unit::kBytes
                   ? fmt::format("  {}/s", format_bytes(static_cast<uint64_t>(rate)))
                   : fmt::format("  {:.1f}/s", rate);
    if (known && options_.total > options_.done)
      figures += fmt::format(
          "  {} left", format_duration(static_cast<double>(options_.total - options_.done) / rate));
  }
  if (!output_.is_terminal) return options_.label + "  " + figures;

  auto columns = static_cast<size_t>(std::max(output_.columns, 20)) - 1;
  std::string label =
      options_.label.substr(0, std::min<size_t>(options_.label.size(), columns / 2));
  std::string line = label + "  ";
  size_t width = columns > line.size() + figures.size() + 4
                     ? std::min<size_t>(columns - line.size() - figures.size() - 4, 30)
                     : 0;
  if (known && width >= 5) {
    double part =
        std::min(1.0, static_cast<double>(options_.done) / static_cast<double>(options_.total));
    auto full = static_cast<size_t>(part * static_cast<double>(width));
    line += "[" + std::string(full, '#') + std::string(width - full, '.') + "] ";
  }
  line += figures;
  return line.substr(0, columns);
}

void Progress::finish() {
  std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (!shown_) return;
  double took_s = std::max(seconds(output_.now() - started_), 1e-3);
  double rate = static_cast<double>(options_.done - std::min(first_, options_.done)) / took_s;
  std::string line = fmt::format(
      "{}  {} in {} ({}/s)", options_.label, amount(options_.done), format_duration(took_s),
      options_.unit == Unit::kBytes ? format_bytes(static_cast<uint64_t>(rate))
                                    : fmt::format("{:.1f}", rate));
  output_.write((output_.is_terminal ? "\r" : "") + line +
                (output_.is_terminal ? "\x1b[K\n" : "\n"));
}

}  // namespace lantern::base
