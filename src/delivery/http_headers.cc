#include "delivery/http_headers.h"

#include <algorithm>

#include "base/ascii.h"

namespace lantern::delivery {
namespace {

/// RFC 9110, 5.6.2.
bool is_token(std::string_view text) {
  static constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kOthers.find(c) != std::string_view::npos;
  });
}

bool is_decided_by_request(std::string_view name) {
  const std::string lower = base::to_lower(name);
  for (const std::string_view own : {"content-length", "content-type", "transfer-encoding", "host",
                                     "connection", "expect", "upgrade", "te", "trailer"})
    if (lower == own) return true;
  return false;
}

}  // namespace

Result<std::vector<std::string>> parse_headers(std::string_view text, std::string_view what) {
  std::vector<std::string> headers;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view header = base::trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (header.empty() || header.front() == '#') continue;
    const size_t colon = header.find(':');
    const auto wrong = [&](std::string_view fault) {
      return make_error(ErrorCode::kCorrupt, "{}: line {}: {}", what, line, fault);
    };
    if (colon == std::string_view::npos || !is_token(header.substr(0, colon)))
      return wrong("a header such as \"Authorization: Bearer ...\" is needed");
    const std::string_view name = header.substr(0, colon);
    const std::string_view value = base::trimmed(header.substr(colon + 1));
    if (is_decided_by_request(name)) return wrong("this header is not for a file to set");
    if (value.empty()) return wrong("the header is empty");
    if (std::any_of(value.begin(), value.end(), [](char c) {
          return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 127;
        }))
      return wrong("a control character");
    headers.push_back(fmt::format("{}: {}", name, value));
  }
  return headers;
}

}  // namespace lantern::delivery
