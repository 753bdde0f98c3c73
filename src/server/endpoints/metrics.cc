// GET /metrics: Prometheus' text.
#include "base/memory.h"
#include "server/service.h"

namespace lantern::server {
namespace {

void write_gauges(Service& service, std::string& out) {
  struct Gauge {
    const char *name, *type, *help;
    uint64_t (*of)(const engine::SchedulerStats& stats);
  };
  static constexpr Gauge kGauges[] = {
      {"lantern_answers_running", "gauge", "Answers under way.",
       [](const auto& stats) { return static_cast<uint64_t>(stats.running); }},
      {"lantern_answers_waiting", "gauge", "Requests that wait for a place.",
       [](const auto& stats) { return static_cast<uint64_t>(stats.waiting); }},
      {"lantern_kv_cache_bytes", "gauge", "Bytes of the KV cache in use.",
       [](const auto& stats) { return stats.kv_bytes_in_use; }},
      {"lantern_requests_refused_total", "counter", "Requests that a full queue refused.",
       [](const auto& stats) { return stats.refused; }},
      {"lantern_answers_preempted_total", "counter", "Times that an answer made room for another.",
       [](const auto& stats) { return stats.preempted; }},
      {"lantern_prompt_tokens_total", "counter", "Tokens of prompts that were run.",
       [](const auto& stats) { return stats.prompt_tokens; }},
      {"lantern_cached_tokens_total", "counter", "Tokens of prompts that the cache had.",
       [](const auto& stats) { return stats.cached_tokens; }},
      {"lantern_generated_tokens_total", "counter", "Tokens of answers.",
       [](const auto& stats) { return stats.generated_tokens; }},
      {"lantern_guessed_tokens_total", "counter", "Tokens run before they were drawn.",
       [](const auto& stats) { return stats.guessed_tokens; }},
      {"lantern_kept_tokens_total", "counter", "Guessed tokens that were drawn then.",
       [](const auto& stats) { return stats.kept_tokens; }},
  };
  const std::vector<gate::LoadedModel> models = service.host().loaded();
  for (const Gauge& gauge : kGauges) {
    write_metric_head(gauge.name, gauge.type, gauge.help, out);
    for (const gate::LoadedModel& model : models)
      if (!model.is_loading && model.parent.empty())  // an adapter shares its model's scheduler
        out += fmt::format("{}{{gen_ai_request_model=\"{}\"}} {}\n", gauge.name,
                           label_value(model.name), gauge.of(model.stats));
  }
  write_metric_head("lantern_peak_resident_bytes", "gauge", "The most memory it ever had.", out);
  out += fmt::format("lantern_peak_resident_bytes {}\n", base::peak_resident_memory());
}

}  // namespace

extern const Endpoint k_metrics;
const Endpoint k_metrics = {
    .method = "GET",
    .path = "/metrics",
    .scope = Scope::kMetrics,
    .audit = AuditClass::kNone,
    .summary = "counters in Prometheus' text format",
    .handle =
        [](Service& service, const Request&, const std::shared_ptr<Reply>& reply) {
          std::string text = service.metrics().text();
          write_gauges(service, text);
          reply->send({.headers = {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                       .body = std::move(text)});
        },
};

}  // namespace lantern::server
