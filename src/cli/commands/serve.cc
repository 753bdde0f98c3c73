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
#include "gate/model_host.h"
#include "server/run.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;  // of each model
  std::vector<std::string> models;
  std::string listen = "127.0.0.1:11435";
  engine::SchedulerOptions scheduler;
  std::string keep_alive = "5m";
  int64_t models_max = 0;
  bool only = false;
  int64_t drain_seconds = 30;
  bool json = false;
  bool open = false;
};

/// One line either way: whoever started this waits for it.
Status announce(const Flags& flags, const std::string& url) {
  if (!flags.json)
    return print(fmt::format("Serving {} at {}\n",
                             flags.models.empty()
                                 ? "the models of the store"
                                 : fmt::format("{}", fmt::join(flags.models, ", ")),
                             url));
  const base::OrderedJson document = {{"url", url}, {"models", flags.models}, {"pid", ::getpid()}};
  return print(document.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

/// "5m", "0", "-1": for ever.
Result<std::chrono::seconds> keep_alive_of(const std::string& text) {
  if (text == "-1") return gate::kForever;
  if (text == "0") return std::chrono::seconds(0);
  return duration_from_text(text);
}

Result<std::unique_ptr<gate::ModelHost>> make_host(const Flags& flags) {
  LANTERN_ASSIGN(const kernels::KvType kv_type, kv_type_from_name(flags.engine.kv));
  LANTERN_ASSIGN(const std::chrono::seconds keep_alive, keep_alive_of(flags.keep_alive));
  return gate::ModelHost::create({.engine = {.threads = flags.engine.threads,
                                             .kv_type = kv_type,
                                             .context = flags.engine.context},
                                  .scheduler = flags.scheduler,
                                  .paranoid = flags.engine.paranoid,
                                  .keep_alive = keep_alive,
                                  .models_max = flags.models_max,
                                  .named_only = flags.only});
}

Status load(gate::ModelHost& host, const Flags& flags, const std::string& name,
            const std::stop_token& stop) {
  std::optional<base::Progress> loading;
  auto follow = [&](uint64_t done, uint64_t total) {
    if (!loading) loading.emplace(base::Progress::Options{.label = "Loading " + name});
    loading->set_total(total);
    loading->set(done);
    return true;
  };
  LANTERN_ASSIGN(const gate::ModelUse model,
                 host.load(name, {.consent = flags.engine.consent.consent(),
                                  .stop = stop,
                                  .hashing = base::ProgressOutput::standard_error(),
                                  .warn = [](std::string_view s) { tell(visible(s)); },
                                  .progress = follow}));
  for (const std::string& notice : model->info().notices) tell(notice);
  return {};
}

Result<Exit> serve(const Flags& flags) {
  if (flags.only && flags.models.empty())
    return make_error(ErrorCode::kInvalidArgument, "--only: the models to serve are needed");
  LANTERN_ASSIGN(const server::ListenAddress listen, server::parse_listen_address(flags.listen));
  LANTERN_TRY(server::check_listen(listen));
  const std::stop_token stop = new_interruptible_scope();
  LANTERN_ASSIGN(auto host, make_host(flags));
  for (const std::string& name : flags.models) LANTERN_TRY(load(*host, flags, name, stop));
  server::RunOptions options{.listen = listen, .drain = std::chrono::seconds(flags.drain_seconds)};
  options.on_ready = [&](const std::string& url) -> Status {
    LANTERN_TRY(announce(flags, url));
    if (!flags.open) return {};
    // Not having a browser is no reason not to serve.
    if (const Status opened = open_in_browser(url); !opened.ok()) tell(opened.error().message);
    return {};
  };
  LANTERN_TRY(server::run_service(std::move(host), options, stop));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  // Several, with the same options each.
  app.remove_option(app.get_option("MODEL"));
  app.add_option("MODEL", flags->models,
                 "models to load at once and to keep; others of the store are loaded when they are "
                 "asked for");
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
  app.add_option("--keep-alive", flags->keep_alive,
                 "how long a model stays loaded that nobody uses (5m, 1h); -1: for ever")
      ->capture_default_str();
  app.add_option("--models-max", flags->models_max,
                 "models loaded at once; 0: as many as memory has room for")
      ->capture_default_str()
      ->check(CLI::Range(0, 1024));
  app.add_flag("--only", flags->only, "serve the named models and no others");
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
        "  lantern serve\n"
        "  lantern serve smollm2 --open\n"
        "  lantern serve smollm2 ./model.gguf --listen 127.0.0.1:8080\n"
        "  curl http://127.0.0.1:11435/v1/chat/completions -d '{\"model\": \"smollm2\", "
        "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'",
    .define = define,
};

}  // namespace lantern::cli
