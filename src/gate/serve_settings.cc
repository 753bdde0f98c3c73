#include "gate/serve_settings.h"

#include <memory>

#include "base/file.h"
#include "base/toml_reader.h"
#include "policy/words.h"

namespace lantern::gate {
namespace {

constexpr size_t kAdaptersMax = 1024;
constexpr int64_t kSecondsMax = int64_t{24} * 3600;

std::string check_line(std::string_view text) {
  return policy::line_fault(text, policy::kLineBytesMax);
}

std::string check_override(std::string_view text) {
  return text == "no-tls" || text == "no-keys" ? "" : "no-tls or no-keys is needed";
}

std::string check_speculate(std::string_view text) {
  return text == "auto" || text == "off" || text == "always" ? "" : "auto, off or always is needed";
}

ServeSettings::Guess read_guess(base::TomlTable& table) {
  return {.speculate = table.text("speculate", check_speculate),
          .draft = table.text("draft", check_line)};
}

}  // namespace

bool ServeSettings::starts_as(const ServeSettings& other) const {
  ServeSettings same = other;
  same.require_keys = require_keys;
  same.hosts = hosts;
  same.header_bytes_max = header_bytes_max;
  same.body_bytes_max = body_bytes_max;
  same.connections_max = connections_max;
  same.idle_s = idle_s;
  same.header_s = header_s;
  same.body_s = body_s;
  same.write_s = write_s;
  return same == *this;
}

Result<ServeSettings> parse_serve_settings(std::string_view toml, std::string_view what) {
  LANTERN_ASSIGN(const std::unique_ptr<base::TomlDocument> document,
                 base::TomlDocument::parse(toml, what, kServeSettingsBytesMax));
  base::TomlTable root = document->root();
  ServeSettings out;
  out.listen = root.text("listen", check_line);
  out.socket = root.text("socket", check_line);
  out.socket_mode = root.text("socket_mode", check_line);
  out.tls_cert = root.text("tls_cert", check_line);
  out.tls_key = root.text("tls_key", check_line);
  out.models = root.texts("models", check_line);
  out.insecure_listen = root.texts("insecure_listen", check_override);
  out.sequences = root.integer("sequences", 1, 256);
  out.queue = root.integer("queue", 1, 65536);
  out.drain_s = root.integer("drain_s", 0, 3600);
  out.guess = read_guess(root);
  if (auto models = root.table("model")) {
    for (const std::string& name : models->keys()) {
      auto one = models->table(name);
      if (!one) continue;
      out.guess_of[name] = read_guess(*one);
      one->finish();
    }
    models->finish();
  }
  out.require_keys = root.boolean("require_keys");
  out.hosts = root.texts("hosts", check_line);
  for (base::TomlTable& table : root.tables("adapters", kAdaptersMax)) {
    for (const char* key : {"name", "adapter"}) table.require(key);
    AdapterSetting one;
    one.name = table.text("name", check_line).value_or("");
    one.adapter = table.text("adapter", check_line).value_or("");
    one.model = table.text("model", check_line).value_or("");
    table.finish();
    out.adapters.push_back(std::move(one));
  }
  if (auto limits = root.table("limits")) {
    out.header_bytes_max = limits->integer("header_bytes_max", 1024, 1 << 20);
    out.body_bytes_max = limits->integer("body_bytes_max", 1024, 1 << 30);
    out.connections_max = limits->integer("connections_max", 1, 65536);
    out.idle_s = limits->integer("idle_s", 1, kSecondsMax);
    out.header_s = limits->integer("header_s", 1, kSecondsMax);
    out.body_s = limits->integer("body_s", 1, kSecondsMax);
    out.write_s = limits->integer("write_s", 1, kSecondsMax);
    limits->finish();
  }
  root.finish();
  LANTERN_TRY(document->status());
  return out;
}

Result<ServeSettings> read_serve_settings(const std::filesystem::path& path) {
  LANTERN_ASSIGN(const std::string text, base::read_text_file(path, kServeSettingsBytesMax));
  return parse_serve_settings(text, path.string());
}

}  // namespace lantern::gate
