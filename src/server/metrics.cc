#include "server/metrics.h"

#include <fmt/format.h>

#include <algorithm>

namespace lantern::server {
namespace {

// The bounds that OpenTelemetry's conventions advise, metric by metric.
constexpr std::array kSeconds = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};
constexpr std::array kFirstToken = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,
                                    0.25,  0.5,   0.75, 1.0,  2.5,  5.0,  7.5,  10.0};
constexpr std::array kPerToken = {0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                  0.3,  0.4,   0.5,  0.75,  1.0, 2.5};
constexpr std::array kTokens = {1.0,     4.0,     16.0,     64.0,      256.0,     1024.0,    4096.0,
                                16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0};

}  // namespace

void Histogram::add(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  sum_ += value;
}

void Histogram::write(std::string_view name, std::string_view labels, std::string& out) const {
  uint64_t below = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    const std::string bound = i < bounds_.size() ? fmt::format("{}", bounds_[i]) : "+Inf";
    out += fmt::format("{}_bucket{{{},le=\"{}\"}} {}\n", name, labels, bound, below);
  }
  out +=
      fmt::format("{}_sum{{{}}} {}\n{}_count{{{}}} {}\n", name, labels, sum_, name, labels, below);
}

std::string label_value(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

void write_metric_head(std::string_view name, std::string_view type, std::string_view help,
                       std::string& out) {
  out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

Metrics::OfModel::OfModel()
    : duration(kSeconds),
      first_token(kFirstToken),
      per_token(kPerToken),
      input(kTokens),
      output(kTokens) {}

void Metrics::count_request(std::string_view endpoint, int status, double seconds) {
  const std::lock_guard lock(mutex_);
  ++requests_[{std::string(endpoint), status}];
  seconds_.try_emplace(std::string(endpoint), kSeconds).first->second.add(seconds);
}

void Metrics::count_answer(const AnswerMeasures& answer) {
  const std::lock_guard lock(mutex_);
  OfModel& model = models_[{std::string(answer.model), std::string(answer.operation)}];
  model.duration.add(answer.request_seconds);
  model.input.add(static_cast<double>(answer.prompt_tokens));
  model.output.add(static_cast<double>(answer.completion_tokens));
  if (answer.completion_tokens > 0) model.first_token.add(answer.first_token_seconds);
  if (answer.completion_tokens > 1)
    model.per_token.add(answer.decode_seconds / static_cast<double>(answer.completion_tokens - 1));
}

std::string Metrics::text() const {
  const std::lock_guard lock(mutex_);
  std::string out;
  write_metric_head("lantern_http_requests_total", "counter", "Requests by endpoint and status.",
                    out);
  for (const auto& [key, n] : requests_)
    out += fmt::format("lantern_http_requests_total{{http_route=\"{}\",status=\"{}\"}} {}\n",
                       label_value(key.first), key.second, n);
  write_metric_head("http_server_request_duration_seconds", "histogram",
                    "From a request's arrival to its answer's end.", out);
  for (const auto& [endpoint, histogram] : seconds_)
    histogram.write("http_server_request_duration_seconds",
                    fmt::format("http_route=\"{}\"", label_value(endpoint)), out);

  const auto write = [&](std::string_view name, std::string_view help, Histogram OfModel::*which,
                         std::string_view more) {
    if (!help.empty()) write_metric_head(name, "histogram", help, out);
    for (const auto& [key, measures] : models_)
      (measures.*which)
          .write(name,
                 fmt::format("gen_ai_provider_name=\"lantern\",gen_ai_operation_name=\"{}\","
                             "gen_ai_request_model=\"{}\"{}",
                             key.second, label_value(key.first), more),
                 out);
  };
  write("gen_ai_server_request_duration_seconds", "From the request to the last token.",
        &OfModel::duration, "");
  write("gen_ai_server_time_to_first_token_seconds", "From the request to the first token.",
        &OfModel::first_token, "");
  write("gen_ai_server_time_per_output_token_seconds", "Between tokens after the first.",
        &OfModel::per_token, "");
  write("gen_ai_client_token_usage", "Tokens of prompts and of answers.", &OfModel::input,
        ",gen_ai_token_type=\"input\"");
  write("gen_ai_client_token_usage", "", &OfModel::output, ",gen_ai_token_type=\"output\"");
  return out;
}

}  // namespace lantern::server
