#include "server/http.h"

#include <algorithm>

#include "base/printable.h"

namespace lantern::server {
namespace {

bool same_name(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [field, value] : fields_)
    if (same_name(field, name)) return &value;
  return nullptr;
}

size_t Headers::count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(
      fields_.begin(), fields_.end(), [&](const auto& f) { return same_name(f.first, name); }));
}

Response json_response(int status, const base::OrderedJson& document) {
  return {
      .status = status,
      .headers = {{"Content-Type", "application/json"}},
      .body = document.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n"};
}

Result<std::string> path_of_target(std::string_view target) {
  const std::string_view path = target.substr(0, target.find_first_of("?#"));
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos)
    return make_error(ErrorCode::kInvalidArgument, "\"{}\" is no path of this service",
                      base::printable(target));
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      out += path[i];
      continue;
    }
    const int high = i + 2 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    if (high < 0 || low < 0 || (high == 0 && low == 0))
      return make_error(ErrorCode::kInvalidArgument, "\"{}\": a broken %-escape in the path",
                        base::printable(target));
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

Result<std::string> target_of_parts(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) {
    if (part.empty()) return make_error(ErrorCode::kInvalidArgument, "a name is empty");
    out += '/';
    for (const char c : part) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
      if (plain)
        out += c;
      else
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace lantern::server
