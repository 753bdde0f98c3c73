#include "delivery/transport.h"

#include <filesystem>

#include "base/loopback.h"
#include "base/printable.h"

namespace lantern::delivery {
namespace {

constexpr size_t kPathBytesMax = 4096;

}  // namespace

std::string check_absolute_path(std::string_view text) {
  const bool is_path = text.starts_with('/') && text.size() < kPathBytesMax &&
                       text.find('\0') == std::string_view::npos;
  return is_path ? "" : "an absolute path is needed";
}

TlsFiles read_tls_files(base::TomlTable& table) {
  TlsFiles files;
  files.ca = table.text("ca", check_absolute_path).value_or("");
  files.certificate = table.text("certificate", check_absolute_path).value_or("");
  files.key = table.text("key", check_absolute_path).value_or("");
  if (table.has("certificate") != table.has("key"))
    table.wrong(table.has("key") ? "key" : "certificate", "certificate and key go together");
  return files;
}

std::chrono::seconds read_timeout(base::TomlTable& table) {
  return std::chrono::seconds(table.integer("timeout_s", 1, 300).value_or(15));
}

std::optional<Address> read_address(base::TomlTable& table, std::string_view key) {
  table.require(key);
  (void)table.boolean("insecure");  // known to every address, whether it matters or not
  std::optional<Address> address;
  (void)table.text(key, [&address](std::string_view text) -> std::string {
    auto parsed = parse_address(text);
    if (!parsed.ok()) return parsed.error().message;
    if (parsed->has_more) return "an address with a user, a password or a fragment in it";
    address = *std::move(parsed);
    return "";
  });
  return address;
}

void refuse_plain(base::TomlTable& table, std::string_view key, const Address& address) {
  const bool insecure = table.boolean("insecure").value_or(false);
  if (!insecure && !base::is_loopback_host(address.host))
    table.wrong(key, fmt::format("{} is not encrypted: anyone on the way could read and change "
                                 "events; insecure = true allows it",
                                 address.scheme));
}

}  // namespace lantern::delivery
