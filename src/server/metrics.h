// What the service did, counted: Prometheus' text, with the names of OpenTelemetry's conventions
// for generative AI where it has one. Numbers and names of models and paths; never content.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace lantern::server {

/// Counts of values by upper bounds, the sum beside them.
class Histogram {
 public:
  /// `bounds` ascending; must outlive it.
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(bounds.size() + 1) {}
  void add(double value);
  /// Lines of one series; `labels` without braces.
  void write(std::string_view name, std::string_view labels, std::string& out) const;

 private:
  std::span<const double> bounds_;
  std::vector<uint64_t> counts_;  // the last: above all bounds
  double sum_ = 0;
};

/// What became of an answer that came to its end.
struct AnswerMeasures {
  std::string_view model = {};
  std::string_view operation = "chat";  // "embeddings", as the conventions have it
  int64_t prompt_tokens = 0, completion_tokens = 0;
  double request_seconds = 0, first_token_seconds = 0, decode_seconds = 0;
};

/// Safe for any number of threads.
class Metrics {
 public:
  void count_request(std::string_view endpoint, int status, double seconds);
  void count_answer(const AnswerMeasures& answer);
  /// All of it, HELP and TYPE included.
  [[nodiscard]] std::string text() const;

 private:
  struct OfModel {
    OfModel();
    Histogram duration, first_token, per_token, input, output;
  };
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> requests_;
  std::map<std::string, Histogram> seconds_;
  std::map<std::pair<std::string, std::string>, OfModel> models_;  // by name and operation
};

/// A metric's two comment lines.
void write_metric_head(std::string_view name, std::string_view type, std::string_view help,
                       std::string& out);
/// A label's value: quotes, backslashes and line breaks escaped.
std::string label_value(std::string_view text);

}  // namespace lantern::server
