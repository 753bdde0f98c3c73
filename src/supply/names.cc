#include "supply/names.h"

#include <algorithm>

#include "base/ascii.h"

namespace lantern::supply {
namespace {

constexpr size_t kAliasBytesMax = 128, kFileNameBytesMax = 200, kComponentsMax = 4;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower_letter(char c) { return c >= 'a' && c <= 'z'; }
bool is_hex(char c) {
  return is_digit(c) || (base::to_lower(c) >= 'a' && base::to_lower(c) <= 'f');
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return base::to_lower(x) == base::to_lower(y); });
}

}  // namespace

bool is_alias(std::string_view text) {
  if (text.empty() || text.size() > kAliasBytesMax) return false;
  if (!is_lower_letter(text[0]) && !is_digit(text[0])) return false;
  if (text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
  });
}

std::string make_alias(std::string_view text) {
  std::string alias;
  for (char c : text.substr(0, kAliasBytesMax - 8)) {
    c = base::to_lower(c);
    bool allowed = is_lower_letter(c) || is_digit(c) || c == '.' || c == '_';
    if (!allowed) c = '-';
    if (alias.empty() && !is_lower_letter(c) && !is_digit(c)) continue;
    if (c == '-' && alias.ends_with('-')) continue;
    alias += c;
  }
  while (!alias.empty() && (alias.back() == '-' || alias.back() == '.')) alias.pop_back();
  if (alias.empty()) return "model";
  return is_alias(alias) ? alias : "model-" + alias;
}

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > kFileNameBytesMax) return false;
  if (name[0] == '.' || name[0] == '-' || name[0] == ' ') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return c >= 0x20 && c < 0x7f &&
           std::string_view("/\\:*?\"<>|").find(c) == std::string_view::npos;
  });
}

bool is_safe_relative_path(std::string_view path) {
  for (size_t n = 0; n < kComponentsMax; ++n) {
    size_t slash = path.find('/');
    if (!is_safe_file_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

bool is_spdx_id(std::string_view text) {
  if (text.empty() || text.size() > 100) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_lower_letter(base::to_lower(c)) || is_digit(c) || c == '.' || c == '-' || c == '+';
  });
}

bool begins_with_ignoring_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && same_ignoring_case(text.substr(0, prefix.size()), prefix);
}

bool ends_with_ignoring_case(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         same_ignoring_case(text.substr(text.size() - suffix.size()), suffix);
}

}  // namespace lantern::supply
