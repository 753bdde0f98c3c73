// What administrators and clients write in few words: the first byte says which reader takes the
// rest. What is checked besides memory: errors are one line, and what has a text form reads back.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/time.h"
#include "gate/api_keys.h"
#include "gate/sensor_responses.h"
#include "gate/serve_settings.h"
#include "server/admin/keys.h"
#include "server/http_server.h"
#include "server/ollama/request.h"
#include "supply/advisories/advisory.h"
#include "supply/manifest.h"
#include "supply/reference.h"
#include "supply/url.h"

namespace {

using namespace lantern;

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename T>
bool is_good(const Result<T>& read) {
  if (!read.ok()) require(read.error().message.find('\n') == std::string::npos);
  return read.ok();
}

void check_manifest(std::string_view text) {
  const auto manifest = supply::parse_manifest(text, "manifest");
  if (!is_good(manifest)) return;
  const std::string again = supply::to_json(*manifest);
  const auto read = supply::parse_manifest(again, "manifest");
  require(is_good(read) && supply::to_json(*read) == again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 's':
      if (text.size() <= gate::kServeSettingsBytesMax)
        (void)is_good(gate::parse_serve_settings(text, "serve.toml"));
      break;
    case 'k':
      (void)is_good(server::admin::parse_key_request(text));
      break;
    case 'K':
      (void)gate::ApiKeys::is_key(text);
      break;
    case 'b':
      if (const auto tokens = gate::tokens_a_day_from_text(text); is_good(tokens)) {
        const auto again = gate::tokens_a_day_from_text(gate::tokens_a_day_text(*tokens));
        require(*tokens > 0 && is_good(again) && *again == *tokens);
      }
      break;
    case 'r':
      if (const auto rate = gate::requests_a_minute_from_text(text); is_good(rate)) {
        const auto again = gate::requests_a_minute_from_text(gate::requests_a_minute_text(*rate));
        require(*rate > 0 && is_good(again) && *again == *rate);
      }
      break;
    case 'd':
      if (const auto run = gate::parse_dry_run(text, "fuzz"); run.ok())
        if (!gate::parse_dry_run(gate::dry_run_to_json(*run), "fuzz").ok()) std::abort();
      break;
    case 'l':
      (void)is_good(server::parse_listen_address(std::string(text)));
      break;
    case 'p':
      (void)is_good(server::ollama::parse_pull(text));
      break;
    case 'm':
      check_manifest(text);
      break;
    case 'f':
      (void)is_good(supply::parse_reference(text));
      break;
    case 'u':
      (void)is_good(supply::parse_url(text));
      break;
    case 'P':
      (void)is_good(supply::parse_package_url(text));
      break;
    default:
      (void)is_good(base::parse_utc(text));
  }
  return 0;
}
