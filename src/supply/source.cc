#include "supply/source.h"

#include "base/checked.h"
#include "base/paths.h"

namespace lantern::supply {
namespace {

/// Manifests, receipts and folders.
constexpr uint64_t kOverheadBytes = 1u << 20;

}  // namespace

Result<std::unique_ptr<Source>> make_source(Reference reference) {
  switch (reference.kind) {
    case Reference::Kind::kHub:
      return make_hub_source(std::move(reference));
    case Reference::Kind::kUrl:
      return make_url_source(std::move(reference));
    case Reference::Kind::kPypi:
      return make_pypi_source(std::move(reference));
    case Reference::Kind::kPath:
      return make_path_source(std::move(reference));
    default:
      break;
  }
  return make_error(ErrorCode::kInvalidArgument, "\"{}\" is a name, not a place", reference.text);
}

Status require_space(const PullContext& context, uint64_t needed) {
  LANTERN_TRY(base::make_private_folder(context.store.root()));
  LANTERN_ASSIGN(uint64_t free, context.free_bytes(context.store.root()));
  auto with_overhead = (base::CheckedSize(needed) + kOverheadBytes).value();
  if (with_overhead && *with_overhead <= free) return {};
  return make_error(ErrorCode::kExhausted,
                    "{}: {} are needed and {} are free: free some space, or set LANTERN_HOME to a "
                    "folder on another disk",
                    context.store.root().string(), base::format_bytes(needed),
                    base::format_bytes(free));
}

std::vector<std::string> signature_names(ModelKind kind, std::string_view first_file) {
  if (kind == ModelKind::kFolder) return {"model.sig"};
  const size_t slash = first_file.rfind('/');
  const std::string_view folder =
      slash == std::string_view::npos ? std::string_view() : first_file.substr(0, slash + 1);
  return {std::string(first_file) + ".sig", std::string(folder) + "model.sig"};
}

std::optional<FoundSignature> as_signature(std::string name, std::string text,
                                           const PullContext& context) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first != std::string::npos && text[first] == '{')
    return FoundSignature{.name = std::move(name), .text = std::move(text)};
  context.say(fmt::format("{} is no OpenSSF model signature: not looked at", name));
  return std::nullopt;
}

}  // namespace lantern::supply
