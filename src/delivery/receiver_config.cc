#include "delivery/receiver_config.h"

#include <algorithm>
#include <memory>
#include <set>

namespace lantern::delivery {
namespace {

constexpr int64_t kSpoolMibMax = 64 << 10;

std::string check_receiver_name(std::string_view text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  };
  const bool is_name = !text.empty() && text.size() <= 64 && text[0] != '_' && text[0] != '-' &&
                       std::all_of(text.begin(), text.end(), fits);
  return is_name ? "" : "a name of [a-z0-9][a-z0-9_-]{0,63} is needed";
}

const TransportKind* find_kind(std::string_view name) {
  for (const TransportKind* kind : transport_kinds())
    if (kind->name == name) return kind;
  return nullptr;
}

std::string check_kind(std::string_view text) {
  if (find_kind(text) != nullptr) return "";
  std::string names;
  for (const TransportKind* kind : transport_kinds())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", kind->name);
  return fmt::format("no such kind of receiver; there are {}", names);
}

}  // namespace

std::vector<Receiver> read_receivers(base::TomlTable& root) {
  std::vector<Receiver> receivers;
  std::set<std::string> names;
  for (base::TomlTable& table : root.tables("receivers", kReceiversMax)) {
    for (const char* key : {"name", "kind"}) table.require(key);
    Receiver one;
    one.name = table.text("name", check_receiver_name).value_or("");
    if (!names.insert(one.name).second) table.wrong("name", "another receiver has this name");
    one.kind = table.text("kind", check_kind).value_or("");
    one.spool_bytes_max =
        static_cast<uint64_t>(table.integer("spool_mib", 1, kSpoolMibMax).value_or(64)) << 20;
    if (const TransportKind* kind = find_kind(one.kind)) {
      TransportSettings settings = kind->read(table);
      one.target = std::move(settings.target);
      one.make = std::move(settings.make);
      table.finish();
    }
    receivers.push_back(std::move(one));
  }
  return receivers;
}

Result<std::vector<Receiver>> parse_receivers(std::string_view toml, std::string_view what) {
  LANTERN_ASSIGN(const std::unique_ptr<base::TomlDocument> document,
                 base::TomlDocument::parse(toml, what, kReceiverConfigBytesMax));
  base::TomlTable root = document->root();
  std::vector<Receiver> receivers = read_receivers(root);
  root.finish();
  LANTERN_TRY(document->status());
  return receivers;
}

}  // namespace lantern::delivery
