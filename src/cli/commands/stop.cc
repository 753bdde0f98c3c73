// lantern stop: unloads a model of the running service, or ends it.
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/service_client.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  std::string socket;
};

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const server::SocketClient client, service_client(flags.socket));
  LANTERN_ASSIGN(const base::OrderedJson said,
                 client.ask_json("POST", "/admin/stop", {{"model", flags.model}}));
  (void)said;
  tell(flags.model.empty()
           ? "the service ends once its answers have"
           : fmt::format("{} is unloaded; asking for it loads it again", flags.model));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "a loaded model (default: the service itself)");
  app.add_option("--socket", flags->socket, "the service's socket (default: where it puts it)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_stop;
const Command k_stop = {
    .name = "stop",
    .access = ModelAccess::kNone,
    .summary = "unload a model of the running service, or end it",
    .examples = "  lantern stop smollm2\n  lantern stop",
    .define = define,
};

}  // namespace lantern::cli
