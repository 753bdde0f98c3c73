// lantern serve: models behind the HTTP APIs that other programs speak.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/path_stamp.h"
#include "base/paths.h"
#include "base/progress.h"
#include "cli/browser.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "gate/model_host.h"
#include "gate/serve_settings.h"
#include "server/run.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;  // of each model
  SpeculationFlags speculation;
  std::map<std::string, gate::GuessOptions, std::less<>> guess_of;
  std::vector<std::string> models;
  std::vector<std::string> lora;
  std::string listen = "127.0.0.1:11435";
  engine::SchedulerOptions scheduler;
  std::string keep_alive = "5m";
  int64_t models_max = 0;
  bool only = false;
  int64_t drain_seconds = 30;
  std::string config, socket, socket_mode, tls_cert, tls_key;
  std::vector<std::string> insecure, hosts;
  bool keys_required = false, no_socket = false;
  bool json = false;
  bool open = false;
};

/// One line either way: whoever started this waits for it.
Status announce(const Flags& flags, const std::string& url, const std::string& socket) {
  if (!flags.json)
    return print(fmt::format("Serving {} at {}\n",
                             flags.models.empty()
                                 ? "the models of the store"
                                 : fmt::format("{}", fmt::join(flags.models, ", ")),
                             url));
  const base::OrderedJson document = {
      {"url", url},
      {"socket", socket.empty() ? base::OrderedJson() : base::OrderedJson(socket)},
      {"models", flags.models},
      {"pid", ::getpid()}};
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
  return gate::ModelHost::create(
      {.engine = {.threads = flags.engine.threads,
                  .kv_type = kv_type,
                  .context = flags.engine.context},
       .scheduler = flags.scheduler,
       .guess = {.speculation = flags.speculation.speculation, .draft = flags.speculation.draft},
       .guess_of = flags.guess_of,
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

/// "NAME=ADAPTER", ":SCALE" and "@MODEL" behind it where they are needed.
Result<gate::AdapterSpec> adapter_spec(const std::string& text, const Flags& flags) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    return make_error(ErrorCode::kInvalidArgument, "--lora {}: NAME=ADAPTER is needed", text);
  gate::AdapterSpec spec{.name = text.substr(0, equals)};
  std::string_view rest = std::string_view(text).substr(equals + 1);
  // A path may hold an @, too: only what names a model does.
  if (const size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string model(rest.substr(at + 1));
    if (std::find(flags.models.begin(), flags.models.end(), model) != flags.models.end()) {
      spec.model = model;
      rest = rest.substr(0, at);
    }
  }
  LANTERN_ASSIGN(const ScaledAdapter scaled, scaled_adapter(rest));
  spec.reference = scaled.reference;
  spec.scale = scaled.scale;
  return spec;
}

/// Those of the command line, or else of the file.
Result<std::vector<gate::AdapterSpec>> adapter_specs(const Flags& flags,
                                                     const gate::ServeSettings& file) {
  std::vector<gate::AdapterSpec> specs;
  for (const std::string& text : flags.lora) {
    LANTERN_ASSIGN(gate::AdapterSpec spec, adapter_spec(text, flags));
    specs.push_back(std::move(spec));
  }
  for (const gate::AdapterSetting& one : file.adapters) {
    if (!flags.lora.empty()) break;
    LANTERN_ASSIGN(const ScaledAdapter scaled, scaled_adapter(one.adapter));
    specs.push_back({.name = one.name,
                     .reference = scaled.reference,
                     .scale = scaled.scale,
                     .model = one.model});
  }
  for (gate::AdapterSpec& spec : specs) {
    if (spec.model.empty() && flags.models.size() == 1) spec.model = flags.models.front();
    if (spec.model.empty())
      return make_error(ErrorCode::kInvalidArgument,
                        "adapter {}: which model is it for? Give one MODEL, or --lora "
                        "NAME=ADAPTER@MODEL",
                        spec.name);
  }
  return specs;
}

Status load_adapter(gate::ModelHost& host, const Flags& flags, const gate::AdapterSpec& spec,
                    const std::stop_token& stop) {
  LANTERN_ASSIGN(const gate::ModelUse adapter,
                 host.load_adapter(spec, {.consent = flags.engine.consent.consent(),
                                          .stop = stop,
                                          .hashing = base::ProgressOutput::standard_error(),
                                          .warn = [](std::string_view s) { tell(visible(s)); }}));
  return {};
}

/// What the file says, where the command line does not.
template <typename T>
void settle(const CLI::App& app, const char* option, const std::optional<T>& setting, auto& out) {
  if (setting && app.count(option) == 0) out = static_cast<std::decay_t<decltype(out)>>(*setting);
}

/// One of the three words that are read.
engine::Speculation speculation_of(std::string_view word) {
  return word == "off"      ? engine::Speculation::kOff
         : word == "always" ? engine::Speculation::kAlways
                            : engine::Speculation::kAuto;
}

void settle_start(const CLI::App& app, const gate::ServeSettings& file, Flags& flags) {
  settle(app, "--listen", file.listen, flags.listen);
  settle(app, "--socket", file.socket, flags.socket);
  settle(app, "--socket-mode", file.socket_mode, flags.socket_mode);
  settle(app, "--tls-cert", file.tls_cert, flags.tls_cert);
  settle(app, "--tls-key", file.tls_key, flags.tls_key);
  settle(app, "MODEL", file.models, flags.models);
  settle(app, "--insecure-listen", file.insecure_listen, flags.insecure);
  settle(app, "--sequences", file.sequences, flags.scheduler.sequences_max);
  settle(app, "--queue", file.queue, flags.scheduler.queue_max);
  settle(app, "--drain", file.drain_s, flags.drain_seconds);
  settle(app, "--draft", file.guess.draft, flags.speculation.draft);
  if (app.count("--speculate") == 0 && file.guess.speculate)
    flags.speculation.speculation = speculation_of(*file.guess.speculate);
  for (const auto& [name, guess] : file.guess_of) {
    gate::GuessOptions& of = flags.guess_of[name];
    of.draft = guess.draft;
    if (guess.speculate) of.speculation = speculation_of(*guess.speculate);
  }
}

/// What may change while the service runs.
server::RunSettings run_settings(const Flags& flags, const gate::ServeSettings& file) {
  server::RunSettings out{.keys_required = flags.keys_required || file.require_keys.value_or(false),
                          .hosts = file.hosts.value_or(std::vector<std::string>())};
  out.hosts.insert(out.hosts.end(), flags.hosts.begin(), flags.hosts.end());
  const auto take = [](const std::optional<int64_t>& from, auto& to) {
    if (from) to = std::decay_t<decltype(to)>(*from);
  };
  take(file.header_bytes_max, out.limits.header_bytes_max);
  take(file.body_bytes_max, out.limits.body_bytes_max);
  take(file.connections_max, out.limits.connections_max);
  take(file.idle_s, out.limits.idle);
  take(file.header_s, out.limits.header);
  take(file.body_s, out.limits.body);
  take(file.write_s, out.limits.write);
  return out;
}

/// Reads the file again where it changed; says what of it waits for the next start.
class Config {
 public:
  Config(const Flags& flags, gate::ServeSettings first)
      : flags_(flags), first_(std::move(first)), last_(first_) {
    if (!flags_.config.empty()) stamp_ = base::path_stamp(flags_.config);
  }
  Result<std::optional<server::RunSettings>> reload() {
    if (flags_.config.empty()) return std::optional<server::RunSettings>();
    const base::PathStamp now = base::path_stamp(flags_.config);
    if (now.text == stamp_.text && !stamp_.is_young) return std::optional<server::RunSettings>();
    stamp_ = now;
    LANTERN_ASSIGN(gate::ServeSettings read, gate::read_serve_settings(flags_.config));
    if (read == last_) return std::optional<server::RunSettings>();
    if (!read.starts_as(first_) && !read.starts_as(last_))
      tell(flags_.config +
           ": listen, socket, certificate's paths, models, how they guess, adapters, sequences, "
           "queue and drain wait for the next start");
    last_ = std::move(read);
    return std::optional(run_settings(flags_, last_));
  }

 private:
  const Flags& flags_;
  const gate::ServeSettings first_;
  gate::ServeSettings last_;
  base::PathStamp stamp_;
};

Result<server::RunOptions> run_options(const Flags& flags, const gate::ServeSettings& file) {
  server::RunOptions options{.settings = run_settings(flags, file),
                             .drain = std::chrono::seconds(flags.drain_seconds)};
  LANTERN_ASSIGN(options.listen, server::parse_listen_address(flags.listen));
  if (flags.tls_cert.empty() != flags.tls_key.empty())
    return make_error(ErrorCode::kInvalidArgument, "--tls-cert and --tls-key need each other");
  if (!flags.tls_cert.empty())
    options.tls = server::TlsFiles{.certificate = flags.tls_cert, .key = flags.tls_key};
  for (const std::string& what : flags.insecure)
    (what == "no-tls" ? options.without_tls : options.without_keys) = true;
  const std::string usual_mode = base::machine_is_managed() ? "666" : "600";
  const std::string& mode_text = flags.socket_mode.empty() ? usual_mode : flags.socket_mode;
  unsigned mode = 0;
  const char* const end = mode_text.data() + mode_text.size();
  const auto [stop, wrong] = std::from_chars(mode_text.data(), end, mode, 8);
  if (wrong != std::errc() || stop != end || mode > 0777 || (mode & 0600) != 0600)
    return make_error(ErrorCode::kInvalidArgument, "--socket-mode {}: 600, 660 or 666 is needed",
                      flags.socket_mode);
  if (!flags.no_socket) {
    options.socket = server::SocketPath{.path = flags.socket, .mode = mode};
    options.socket_may_lack = flags.socket.empty();
    if (flags.socket.empty()) {
      LANTERN_ASSIGN(options.socket->path, server::default_socket());
    }
  }
  options.notice = [](std::string_view text) { tell(std::string(text)); };
  LANTERN_TRY(server::check_listen(options));
  return options;
}

Result<Exit> serve(const CLI::App& app, Flags& flags) {
  gate::ServeSettings file;
  if (!flags.config.empty()) {
    LANTERN_ASSIGN(file, gate::read_serve_settings(flags.config));
  }
  settle_start(app, file, flags);
  if (flags.only && flags.models.empty())
    return make_error(ErrorCode::kInvalidArgument, "--only: the models to serve are needed");
  LANTERN_ASSIGN(const std::vector<gate::AdapterSpec> adapters, adapter_specs(flags, file));
  LANTERN_ASSIGN(server::RunOptions options, run_options(flags, file));
  const std::stop_token stop = new_interruptible_scope();
  LANTERN_ASSIGN(auto host, make_host(flags));
  for (const std::string& name : flags.models) LANTERN_TRY(load(*host, flags, name, stop));
  for (const gate::AdapterSpec& spec : adapters)
    LANTERN_TRY(load_adapter(*host, flags, spec, stop));
  Config config(flags, std::move(file));
  options.reload = [&] { return config.reload(); };
  options.on_ready = [&](const std::string& url, const std::string& socket) -> Status {
    LANTERN_TRY(announce(flags, url, socket));
    if (!flags.open) return {};
    // Not having a browser is no reason not to serve.
    if (const Status opened = open_in_browser(url); !opened.ok()) tell(opened.error().message);
    return {};
  };
  LANTERN_TRY(server::run_service(std::move(host), options, stop));
  return Exit::kDone;
}

void define_listening(CLI::App& app, Flags& flags) {
  app.add_option("--listen", flags.listen, "address and port; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--tls-cert", flags.tls_cert, "certificate and chain (PEM), read again on change");
  app.add_option("--tls-key", flags.tls_key, "its private key (PEM)");
  app.add_flag("--require-keys", flags.keys_required,
               "ask for an API key on loopback, too (lantern key create)");
  app.add_option("--insecure-listen", flags.insecure,
                 "what an address that others reach does without: no-tls, no-keys; is recorded")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->check(CLI::IsMember({"no-tls", "no-keys"}));
  app.add_option("--host", flags.hosts, "a further name by which clients call this service")
      ->allow_extra_args(false);
  app.add_option(
      "--socket", flags.socket,
      "a Unix socket with the same API (default: in LANTERN_HOME or the runtime folder)");
  app.add_option("--socket-mode", flags.socket_mode,
                 "who may connect to it (default: 600; 666 on a managed machine)");
  app.add_flag("--no-socket", flags.no_socket, "no Unix socket");
  app.add_option("--config", flags.config, "serve.toml; the command line goes before it");
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  // Several, with the same options each.
  app.remove_option(app.get_option("MODEL"));
  app.add_option("MODEL", flags->models,
                 "models to load at once and to keep; others of the store are loaded when they are "
                 "asked for");
  app.add_option("--lora", flags->lora,
                 "serve a LoRA adapter of MODEL, a GGUF file or a PEFT folder, as the model NAME; "
                 "@MODEL says which where there are several; may be given several times")
      ->allow_extra_args(false)
      ->type_name("NAME=ADAPTER[:SCALE][@MODEL]");
  flags->speculation.define(app);
  define_listening(app, *flags);
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
  return [&app, flags] { return serve(app, *flags); };
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
        "  lantern serve smollm2 --lora support=./support-adapter --lora legal=./legal.gguf\n"
        "  curl http://127.0.0.1:11435/v1/chat/completions -d '{\"model\": \"smollm2\", "
        "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'",
    .define = define,
};

}  // namespace lantern::cli
