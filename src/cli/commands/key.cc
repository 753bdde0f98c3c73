// lantern key: API keys of the service.
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/output.h"
#include "cli/service_client.h"
#include "cli/subcommands.h"
#include "cli/table.h"
#include "gate/api_keys.h"
#include "server/admin/keys.h"
#include "server/http.h"

namespace lantern::cli {
namespace {

struct Flags {
  gate::ApiKeyRequest request;
  std::string budget, rate, expires;
  std::string name;  // or the id, of one to revoke
  bool json = false;
};

/// Through the service where the state is its own.
Result<base::OrderedJson> create_one(const gate::ApiKeyRequest& request) {
  if (service_owns_state()) {
    LANTERN_ASSIGN(const server::SocketClient client, service_that_owns_state());
    return client.ask_json("POST", "/admin/keys", server::admin::key_request_document(request));
  }
  LANTERN_ASSIGN(const gate::NewApiKey made, gate::create_api_key(request));
  base::OrderedJson document = server::admin::key_document(made.record);
  document["key"] = made.key;
  return base::OrderedJson{{"keys", base::OrderedJson::array({document})}};
}
Result<base::OrderedJson> list_all() {
  if (service_owns_state()) {
    LANTERN_ASSIGN(const server::SocketClient client, service_that_owns_state());
    return client.ask_json("GET", "/admin/keys");
  }
  LANTERN_ASSIGN(const std::vector<supply::ApiKeyRecord> keys, gate::list_api_keys());
  base::OrderedJson list = base::OrderedJson::array();
  for (const supply::ApiKeyRecord& key : keys) list.push_back(server::admin::key_document(key));
  return base::OrderedJson{{"keys", list}};
}
Result<base::OrderedJson> revoke_one(const std::string& name) {
  if (service_owns_state()) {
    LANTERN_ASSIGN(const server::SocketClient client, service_that_owns_state());
    LANTERN_ASSIGN(const std::string target, server::target_of_parts({"admin", "keys", name}));
    return client.ask_json("DELETE", target);
  }
  LANTERN_ASSIGN(const supply::ApiKeyRecord key, gate::revoke_api_key(name));
  return base::OrderedJson{{"keys", base::OrderedJson::array({server::admin::key_document(key)})}};
}

/// The documents of keys in an answer, whoever gave it. kCorrupt.
Result<std::vector<base::OrderedJson>> keys_in(const base::OrderedJson& document) {
  std::vector<base::OrderedJson> keys;
  const bool is_list =
      document.is_object() && document.contains("keys") && document["keys"].is_array();
  for (const base::OrderedJson& key : is_list ? document["keys"] : base::OrderedJson::array()) {
    for (const char* field : {"id", "name", "user", "state"})
      if (!key.is_object() || !key.contains(field) || !key[field].is_string())
        return make_error(ErrorCode::kCorrupt, "the service's answer is another version's");
    keys.push_back(key);
  }
  return keys;
}

Result<Exit> create(Flags& flags) {
  if (!flags.budget.empty()) {
    LANTERN_ASSIGN(flags.request.tokens_a_day, gate::tokens_a_day_from_text(flags.budget));
  }
  if (!flags.rate.empty()) {
    LANTERN_ASSIGN(flags.request.requests_a_minute, gate::requests_a_minute_from_text(flags.rate));
  }
  if (!flags.expires.empty()) {
    LANTERN_ASSIGN(flags.request.lasts, duration_from_text(flags.expires));
  }
  LANTERN_ASSIGN(const base::OrderedJson made, create_one(flags.request));
  LANTERN_ASSIGN(const std::vector<base::OrderedJson> keys, keys_in(made));
  if (keys.empty()) return make_error(ErrorCode::kCorrupt, "the service answered without a key");
  if (flags.json) {
    LANTERN_TRY(print_json(made));
  } else {
    if (!keys[0].contains("key") || !keys[0]["key"].is_string())
      return make_error(ErrorCode::kCorrupt, "the service answered without the key");
    LANTERN_TRY(print(keys[0]["key"].get<std::string>() + "\n"));
  }
  tell(fmt::format("key {} ({}) speaks for {}; it is not shown again",
                   keys[0]["id"].get<std::string>(), keys[0]["name"].get<std::string>(),
                   keys[0]["user"].get<std::string>()));
  return Exit::kDone;
}

std::string or_any(const base::OrderedJson& key, const char* field) {
  std::string names;
  if (key.contains(field) && key[field].is_array())
    for (const base::OrderedJson& name : key[field])
      if (name.is_string()) names += (names.empty() ? "" : ", ") + name.get<std::string>();
  return names.empty() ? "any" : names;
}
int64_t number_of(const base::OrderedJson& key, const char* field) {
  return key.contains(field) && key[field].is_number_integer() ? key[field].get<int64_t>() : 0;
}

Result<Exit> list(const Flags& flags) {
  LANTERN_ASSIGN(const base::OrderedJson document, list_all());
  if (flags.json) {
    LANTERN_TRY(print_json(document));
    return Exit::kDone;
  }
  LANTERN_ASSIGN(const std::vector<base::OrderedJson> keys, keys_in(document));
  std::vector<std::vector<std::string>> rows = {
      {"ID", "NAME", "USER", "STATE", "MODELS", "SCOPES", "LIMITS", "EXPIRES"}};
  for (const base::OrderedJson& key : keys) {
    std::string limits = gate::tokens_a_day_text(number_of(key, "tokens_a_day"));
    const std::string rate = gate::requests_a_minute_text(number_of(key, "requests_a_minute"));
    if (!rate.empty()) limits += (limits.empty() ? "" : ", ") + rate;
    const bool ends = key.contains("expires_at") && key["expires_at"].is_string();
    rows.push_back({key["id"], key["name"], key["user"], key["state"], or_any(key, "models"),
                    or_any(key, "scopes"), limits.empty() ? "none" : limits,
                    ends ? key["expires_at"].get<std::string>() : "never"});
  }
  LANTERN_TRY(print(visible(table(rows))));
  if (keys.empty()) tell("no keys yet: `lantern key create --name NAME` makes one");
  return Exit::kDone;
}

Result<Exit> revoke(const Flags& flags) {
  LANTERN_ASSIGN(const base::OrderedJson revoked, revoke_one(flags.name));
  (void)revoked;
  tell(fmt::format("key {} is revoked; a running service refuses it within a second", flags.name));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  const auto flags = std::make_shared<Flags>();
  Subcommands subcommands(app);
  const auto add = [&](const char* name, const char* summary, auto run) -> CLI::App& {
    return subcommands.add(name, summary, [flags, run] { return run(*flags); });
  };
  CLI::App& creates = add("create", "make a key; shows it this once", create);
  creates.add_option("--name", flags->request.name, "what it is for")->required();
  creates.add_option("--user", flags->request.user,
                     "for whom it speaks: the policy and the log see this user (default: you)");
  creates.add_option("--models", flags->request.models, "models that it may ask (default: any)")
      ->delimiter(',');
  creates
      .add_option("--scopes", flags->request.scopes,
                  "answers, models, metrics (default: answers,models)")
      ->delimiter(',');
  creates.add_option("--budget", flags->budget, "tokens a day, of prompts and answers: 2M/day");
  creates.add_option("--rate", flags->rate, "requests a minute: 60/minute");
  creates.add_option("--expires", flags->expires, "after so long: 90d, 12h (default: never)");
  CLI::App& lists = add("list", "every key, without its secret, which nobody has", list);
  for (CLI::App* sub : {&creates, &lists})
    sub->add_flag("--json", flags->json, "a JSON document (docs/schemas/key.json)");
  add("revoke", "end a key, on a running service within a second", revoke)
      .add_option("KEY", flags->name, "its name or its id")
      ->required();
  return subcommands.action();
}

}  // namespace

extern const Command k_key;
const Command k_key = {
    .name = "key",
    .access = ModelAccess::kNone,
    .summary = "make, list and revoke API keys of the service",
    .examples =
        "  lantern key create --name ci --user alice --models smollm2 --budget 2M/day\n"
        "  lantern key create --name laptop --rate 60/minute --expires 90d\n"
        "  lantern key list\n"
        "  lantern key revoke ci",
    .define = define,
};

}  // namespace lantern::cli
