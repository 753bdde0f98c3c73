// lantern ps: what the running service does.
#include <memory>

#include "base/progress.h"
#include "cli/command.h"
#include "cli/output.h"
#include "cli/service_client.h"
#include "cli/table.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string socket;
  bool json = false;
};

std::string number_of(const base::OrderedJson& from, const char* field) {
  return from.contains(field) ? from[field].dump() : "?";
}
std::string text_of(const base::OrderedJson& from, const char* field) {
  return from.contains(field) && from[field].is_string() ? from[field].get<std::string>() : "?";
}

std::string bytes_of(const base::OrderedJson& from, const char* field) {
  return from.contains(field) && from[field].is_number_unsigned()
             ? base::format_bytes(from[field].get<uint64_t>())
             : "?";
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const server::SocketClient client, service_client(flags.socket));
  LANTERN_ASSIGN(const base::OrderedJson status, client.ask_json("GET", "/admin/ps"));
  if (flags.json) {
    LANTERN_TRY(print_json(status));
    return Exit::kDone;
  }
  if (!status.is_object() || !status.contains("models") || !status["models"].is_array() ||
      !status.contains("users") || !status["users"].is_array())
    return make_error(ErrorCode::kCorrupt, "the service's answer is another version's");
  std::vector<std::vector<std::string>> rows = {{"MODEL", "DIGEST", "STATE", "MEMORY", "CONTEXT",
                                                 "RUNNING", "WAITING", "REQUESTS", "TOKENS"}};
  for (const base::OrderedJson& model : status["models"])
    rows.push_back({text_of(model, "name"), text_of(model, "digest").substr(0, 19),
                    text_of(model, "state"), bytes_of(model, "memory_bytes"),
                    number_of(model, "context_length"), number_of(model, "running"),
                    number_of(model, "waiting"), number_of(model, "requests"),
                    number_of(model, "generated_tokens")});
  LANTERN_TRY(print(visible(table(rows, {3, 4, 5, 6, 7, 8}))));
  if (!status["users"].empty()) {
    rows = {{"WHO", "TOKENS TODAY", "REQUESTS THIS MINUTE"}};
    for (const base::OrderedJson& user : status["users"])
      rows.push_back({text_of(user, "subject"), number_of(user, "tokens_today"),
                      number_of(user, "requests_this_minute")});
    LANTERN_TRY(print("\n" + visible(table(rows, {1, 2}))));
  }
  tell(fmt::format("process {}, since {}, at most {} of memory", number_of(status, "pid"),
                   text_of(status, "started_at"), bytes_of(status, "peak_resident_bytes")));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("--socket", flags->socket, "the service's socket (default: where it puts it)");
  app.add_flag("--json", flags->json, "a JSON document (docs/schemas/ps.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_ps;
const Command k_ps = {
    .name = "ps",
    .access = ModelAccess::kNone,
    .summary = "show what the running service does: models, users, requests",
    .examples = "  lantern ps\n  lantern ps --json",
    .define = define,
};

}  // namespace lantern::cli
