#include <algorithm>

#include "base/ascii.h"
#include "base/printable.h"
#include "supply/advisories/advisory.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

constexpr size_t kPurlBytesMax = 2000;

bool is_type(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '+' || c == '-';
  });
}

std::string_view without_slashes(std::string_view text) {
  while (text.starts_with('/')) text.remove_prefix(1);
  while (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

}  // namespace

std::string PackageUrl::key() const {
  std::string plain = base::to_lower(name);
  if (type == "pypi") {
    // PEP 503: runs of - _ . are one -.
    std::string joined;
    for (char c : plain) {
      const bool separator = c == '-' || c == '_' || c == '.';
      if (separator && joined.ends_with('-')) continue;
      joined += separator ? '-' : c;
    }
    plain = std::move(joined);
  }
  return name_space.empty() ? fmt::format("{}/{}", type, plain)
                            : fmt::format("{}/{}/{}", type, base::to_lower(name_space), plain);
}

Result<PackageUrl> parse_package_url(std::string_view text) {
  auto wrong = [&](std::string_view fault) {
    return make_error(ErrorCode::kCorrupt, "package URL \"{}\": {}", base::printable(text, 200),
                      fault);
  };
  if (text.size() > kPurlBytesMax) return wrong("too long");
  if (!text.starts_with("pkg:")) return wrong("does not begin with pkg:");
  std::string_view rest = text.substr(4);
  rest = rest.substr(0, rest.find('#'));
  rest = without_slashes(rest.substr(0, rest.find('?')));
  PackageUrl purl;
  const size_t slash = rest.find('/');
  if (slash == std::string_view::npos) return wrong("no name");
  purl.type = base::to_lower(rest.substr(0, slash));
  if (!is_type(purl.type)) return wrong("the type is no word");
  rest.remove_prefix(slash + 1);
  if (const size_t at = rest.rfind('@');
      at != std::string_view::npos && (at > 0 || rest.find('/') == std::string_view::npos)) {
    LANTERN_ASSIGN(purl.version, percent_decode(rest.substr(at + 1)));
    rest = rest.substr(0, at);
  }
  rest = without_slashes(rest);
  const size_t last = rest.rfind('/');
  if (last != std::string_view::npos) {
    LANTERN_ASSIGN(purl.name_space, percent_decode(without_slashes(rest.substr(0, last))));
    rest.remove_prefix(last + 1);
  }
  LANTERN_ASSIGN(purl.name, percent_decode(rest));
  if (purl.name.empty()) return wrong("no name");
  return purl;
}

}  // namespace lantern::supply
