#include "supply/url.h"

#include <curl/curl.h>

#include <memory>

#include "base/ascii.h"
#include "base/loopback.h"
#include "base/printable.h"
#include "supply/names.h"

namespace lantern::supply {
namespace {

struct CurlUrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using CurlUrl = std::unique_ptr<CURLU, CurlUrlDeleter>;

Result<std::string> part(CURLU* url, CURLUPart which) {
  char* text = nullptr;
  CURLUcode code = curl_url_get(url, which, &text, 0);
  std::string value = text ? text : "";
  curl_free(text);
  if (code != CURLUE_OK && code != CURLUE_NO_PORT)
    return make_error(ErrorCode::kInvalidArgument, "not a URL: {}", curl_url_strerror(code));
  return value;
}

Result<Url> read(CurlUrl handle) {
  curl_url_set(handle.get(), CURLUPART_FRAGMENT, nullptr, 0);
  Url url;
  LANTERN_ASSIGN(url.text, part(handle.get(), CURLUPART_URL));
  LANTERN_ASSIGN(url.scheme, part(handle.get(), CURLUPART_SCHEME));
  LANTERN_ASSIGN(url.host, part(handle.get(), CURLUPART_HOST));
  LANTERN_ASSIGN(url.path, part(handle.get(), CURLUPART_PATH));
  LANTERN_ASSIGN(std::string port, part(handle.get(), CURLUPART_PORT));
  url.host = base::to_lower(url.host);
  url.origin = url.scheme + "://" + url.host + (port.empty() ? "" : ":" + port);
  return url;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  CurlUrl handle(curl_url());
  if (!handle) return make_error(ErrorCode::kExhausted, "no memory for a URL");
  CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, std::string(text).c_str(), 0);
  if (code != CURLUE_OK)
    return make_error(ErrorCode::kInvalidArgument, "\"{}\": not a URL: {}", base::printable(text),
                      curl_url_strerror(code));
  return read(std::move(handle));
}

Result<Url> resolve_url(const Url& base, std::string_view reference) {
  CurlUrl handle(curl_url());
  if (!handle) return make_error(ErrorCode::kExhausted, "no memory for a URL");
  CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, base.text.c_str(), 0);
  if (code == CURLUE_OK)
    code = curl_url_set(handle.get(), CURLUPART_URL, std::string(reference).c_str(), 0);
  auto resolved = code == CURLUE_OK ? read(std::move(handle)) : Result<Url>(Error{});
  if (!resolved.ok())
    return make_error(ErrorCode::kIo, "{}: sends an address that cannot be followed: \"{}\"",
                      base.origin, base::printable(reference));
  return resolved;
}

Status check_scheme(const Url& url) {
  if (url.scheme == "https" || (url.scheme == "http" && base::is_loopback_host(url.host)))
    return {};
  if (url.scheme == "http")
    return make_error(
        ErrorCode::kInvalidArgument,
        "{}: http is not encrypted and is used to this machine itself alone: give the "
        "https address",
        base::printable(url.origin));
  return make_error(ErrorCode::kInvalidArgument, "{}: only https is spoken",
                    base::printable(url.origin));
}

std::string percent_encode(std::string_view text, bool keep_slashes) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                 c == '-' || c == '.' || c == '_' || c == '~' || (keep_slashes && c == '/');
    if (plain) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  auto nibble = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    int value = -1;
    if (i + 2 < text.size() && nibble(text[i + 1]) >= 0 && nibble(text[i + 2]) >= 0)
      value = nibble(text[i + 1]) * 16 + nibble(text[i + 2]);
    if (value <= 0)
      return make_error(ErrorCode::kInvalidArgument, "\"{}\": a broken %-escape",
                        base::printable(text));
    out += static_cast<char>(value);
    i += 2;
  }
  return out;
}

}  // namespace lantern::supply
