#include "server/admin/status.h"

#include <unistd.h>

#include "base/memory.h"
#include "base/time.h"
#include "gate/usage.h"
#include "server/access.h"

namespace lantern::server::admin {
namespace {

base::OrderedJson models_of(Service& service) {
  base::OrderedJson models = base::OrderedJson::array();
  for (const gate::LoadedModel& model : service.host().loaded()) {
    const engine::SchedulerStats& stats = model.stats;
    models.push_back({{"name", model.name},
                      {"digest", "sha256:" + base::to_hex(model.id)},
                      {"architecture", model.architecture},
                      {"context_length", model.context},
                      {"memory_bytes", model.memory_bytes},
                      {"state", model.is_loading  ? "loading"
                                : model.is_ending ? "ending"
                                                  : "loaded"},
                      {"uses", model.uses},
                      {"running", stats.running},
                      {"waiting", stats.waiting},
                      {"requests", stats.requests},
                      {"refused", stats.refused},
                      {"prompt_tokens", stats.prompt_tokens},
                      {"generated_tokens", stats.generated_tokens}});
    if (!model.parent.empty()) models.back()["parent"] = model.parent;
  }
  return models;
}

}  // namespace

audit::Actor asker_of(const Request& request) {
  const gate::Caller caller = request.identify();
  return {
      .user = caller.user, .uid = caller.uid, .program = caller.program, .key_id = caller.key_id};
}

Result<base::OrderedJson> status_document(Service& service) {
  base::OrderedJson users = base::OrderedJson::array();
  LANTERN_ASSIGN(const auto used, service.access().usage().report());
  for (const auto& [subject, one] : used)
    users.push_back({{"subject", subject},
                     {"tokens_today", one.tokens_today},
                     {"requests_this_minute", one.requests_this_minute}});
  const auto started = std::chrono::floor<std::chrono::seconds>(service.started());
  return base::OrderedJson{{"pid", ::getpid()},
                           {"version", LANTERN_VERSION},
                           {"started_at", base::format_utc(started)},
                           {"ready", service.ready()},
                           {"keys_required", service.access().keys_required()},
                           {"peak_resident_bytes", base::peak_resident_memory()},
                           {"models", models_of(service)},
                           {"users", std::move(users)}};
}

}  // namespace lantern::server::admin
