// lantern serve: models behind the HTTP APIs that other programs speak.
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.h"
#include "cli/browser.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/served_model.h"
#include "server/run.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;  // of each model
  std::vector<std::string> models;
  std::string listen = "127.0.0.1:11435";
  engine::SchedulerOptions scheduler;
  int64_t drain_seconds = 30;
  bool json = false;
  bool open = false;
};

/// One line either way: whoever started this waits for it.
Status announce(const Flags& flags, const std::string& url) {
  if (!flags.json)
    return print(fmt::format("Serving {} at {}\n", fmt::join(flags.models, ", "), url));
  const base::OrderedJson document = {{"url", url}, {"models", flags.models}, {"pid", ::getpid()}};
  return print(document.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

Result<std::shared_ptr<gate::ServedModel>> load(const Flags& flags, const std::string& name,
                                                const std::stop_token& stop) {
  LANTERN_ASSIGN(const kernels::KvType kv_type, kv_type_from_name(flags.engine.kv));
  std::optional<base::Progress> loading;
  auto follow = [&](uint64_t done, uint64_t total) {
    if (!loading) loading.emplace(base::Progress::Options{.label = "Loading " + name});
    loading->set_total(total);
    loading->set(done);
    return !stop.stop_requested();
  };
  auto model = gate::ServedModel::load(
      name, {.admit = {.consent = flags.engine.consent.consent(),
                       .stop = stop,
                       .progress = base::ProgressOutput::standard_error(),
                       .paranoid = flags.engine.paranoid,
                       .warn = [](std::string_view s) { tell(visible(s)); }},
             .engine = {.threads = flags.engine.threads,
                        .kv_type = kv_type,
                        .context = flags.engine.context,
                        .progress = follow},
             .scheduler = flags.scheduler});
  if (model.ok())
    for (const std::string& notice : (*model)->info().notices) tell(notice);
  return model;
}

Result<Exit> serve(Flags& flags) {
  if (flags.models.empty()) flags.models = {"smollm2"};
  LANTERN_ASSIGN(const server::ListenAddress listen, server::parse_listen_address(flags.listen));
  LANTERN_TRY(server::check_listen(listen));
  const std::stop_token stop = new_interruptible_scope();
  server::Models models;
  for (const std::string& name : flags.models) {
    LANTERN_ASSIGN(auto model, load(flags, name, stop));
    models.push_back(std::move(model));
  }
  server::RunOptions options{.listen = listen, .drain = std::chrono::seconds(flags.drain_seconds)};
  options.on_ready = [&](const std::string& url) -> Status {
    LANTERN_TRY(announce(flags, url));
    if (!flags.open) return {};
    // Not having a browser is no reason not to serve.
    if (const Status opened = open_in_browser(url); !opened.ok()) tell(opened.error().message);
    return {};
  };
  LANTERN_TRY(server::run_service(std::move(models), options, stop));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  // Several, with the same options each.
  app.remove_option(app.get_option("MODEL"));
  app.add_option("MODEL", flags->models, "models to serve (default: smollm2)");
  app.add_option("--listen", flags->listen, "address and port; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--sequences", flags->scheduler.sequences_max,
                 "answers under way at once, a model")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  app.add_option("--queue", flags->scheduler.queue_max,
                 "requests that wait, a model; more are refused (429)")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_option("--drain", flags->drain_seconds,
                 "seconds that answers under way have to end after SIGTERM or Ctrl-C")
      ->capture_default_str()
      ->check(CLI::Range(0, 3600));
  app.add_flag("--open", flags->open, "open the chat page in this desktop's browser");
  app.add_flag("--json", flags->json,
               "say where it listens as a JSON document (docs/schemas/serve.json)");
  return [flags] { return serve(*flags); };
}

}  // namespace

extern const Command k_serve;
const Command k_serve = {
    .name = "serve",
    .access = ModelAccess::kUses,
    .summary = "answer over HTTP: a chat page, and the OpenAI, Anthropic and Ollama APIs",
    .examples =
        "  lantern serve smollm2 --open\n"
        "  lantern serve smollm2 ./model.gguf --listen 127.0.0.1:8080\n"
        "  curl http://127.0.0.1:11435/v1/chat/completions -d '{\"model\": \"smollm2\", "
        "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'",
    .define = define,
};

}  // namespace lantern::cli
