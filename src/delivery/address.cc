#include "delivery/address.h"

#include <curl/curl.h>

#include <charconv>
#include <memory>

#include "base/printable.h"

namespace lantern::delivery {
namespace {

constexpr size_t kAddressBytesMax = 2048;

std::string part_of(CURLU* url, CURLUPart part) {
  char* raw = nullptr;
  if (curl_url_get(url, part, &raw, 0) != CURLUE_OK) return {};
  const std::unique_ptr<char, void (*)(void*)> owned(raw, curl_free);
  return raw;
}

}  // namespace

Result<Address> parse_address(std::string_view text) {
  // Without a host it is no URL to libcurl.
  if (text.starts_with("unix:/"))
    return Address{
        .text = std::string(text), .scheme = "unix", .path = std::string(text.substr(5))};
  const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  const bool is_url = url != nullptr && text.size() <= kAddressBytesMax &&
                      text.find('\0') == std::string_view::npos &&
                      curl_url_set(url.get(), CURLUPART_URL, std::string(text).c_str(),
                                   CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  Address out{.text = std::string(text)};
  if (is_url) {
    out.scheme = part_of(url.get(), CURLUPART_SCHEME);
    out.host = part_of(url.get(), CURLUPART_HOST);
    out.path = part_of(url.get(), CURLUPART_PATH);
    const std::string port = part_of(url.get(), CURLUPART_PORT);
    std::from_chars(port.data(), port.data() + port.size(), out.port);
    for (const CURLUPart part : {CURLUPART_USER, CURLUPART_PASSWORD, CURLUPART_FRAGMENT})
      out.has_more = out.has_more || !part_of(url.get(), part).empty();
  }
  if (out.scheme.empty() || out.host.empty())
    return make_error(ErrorCode::kInvalidArgument, "\"{}\" is no address",
                      base::printable(text, 80));
  if (out.host.front() == '[' && out.host.back() == ']')
    out.host = out.host.substr(1, out.host.size() - 2);
  return out;
}

std::string address_label(const Address& address) {
  if (address.scheme == "unix") return base::printable(address.text, 300);
  const bool is_v6 = address.host.find(':') != std::string::npos;
  return base::printable(
      fmt::format("{}://{}{}{}", address.scheme, is_v6 ? "[" + address.host + "]" : address.host,
                  address.port == 0 ? "" : fmt::format(":{}", address.port),
                  address.path == "/" ? "" : address.path),
      300);
}

}  // namespace lantern::delivery
