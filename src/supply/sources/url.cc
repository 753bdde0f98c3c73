// https://HOST/PATH[#sha256=HEX]: one GGUF file, or all parts of a split one where the address
// names one of them. The fragment pins the digest, as Python's package index does it.
#include "supply/download.h"
#include "supply/names.h"
#include "supply/selection.h"
#include "supply/source.h"

namespace lantern::supply {
namespace {

constexpr std::string_view kPin = "#sha256=";

class UrlSource final : public Source {
 public:
  explicit UrlSource(Reference reference) : reference_(std::move(reference)) {}

  Result<Plan> plan(const PullContext& context) override {
    LANTERN_TRY(NetworkPermit::request(context.network, recordable(reference_)));
    LANTERN_ASSIGN(Url url, parse_url(reference_.url));
    LANTERN_TRY(check_scheme(url));
    LANTERN_ASSIGN(std::string name, file_name(url));
    Plan plan{.name = model_stem(name), .source = recordable(reference_)};
    auto split = parse_split_name(name);
    uint32_t n_parts = split ? split->n_parts : 1;
    for (uint32_t part = 1; part <= n_parts; ++part) {
      PlannedFile file{.name = name, .url = url.text};
      if (split) {
        LANTERN_ASSIGN(file, part_of(url, *split, part));
      }
      plan.files.push_back(std::move(file));
    }
    size_t pin = reference_.url.find(kPin);
    if (pin != std::string::npos) {
      if (split)
        return make_error(ErrorCode::kInvalidArgument,
                          "{}: one digest cannot pin the {} parts of a split model", plan.source,
                          n_parts);
      LANTERN_ASSIGN(
          plan.files.front().digest,
          base::digest_from_hex(std::string_view(reference_.url).substr(pin + kPin.size())));
    }
    return plan;
  }

  Result<std::vector<StagedFile>> fetch(const Plan& plan, const StagingFolder&,
                                        const PullContext& context) override {
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, plan.source));
    HttpClient client(permit, context.http, context.stop, context.notice);
    return download_all(client, plan, context, {});
  }

  Result<std::optional<FoundSignature>> signature(const Plan& plan,
                                                  const PullContext& context) override {
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, plan.source));
    HttpClient client(permit, context.http, context.stop, context.notice);
    LANTERN_ASSIGN(const Url url, parse_url(plan.files.front().url));
    const size_t slash = url.path.rfind('/');
    for (const std::string& name : signature_names(plan.kind, url.path.substr(slash + 1))) {
      LANTERN_ASSIGN(Url address, parse_url(url.origin + url.path.substr(0, slash + 1) + name));
      auto reply = client.get({.url = std::move(address)}, kFoundSignatureBytesMax);
      if (reply.ok()) return as_signature(name, std::move(reply->body), context);
      if (reply.error().code == ErrorCode::kCancelled) return std::move(reply).error();
    }
    return std::optional<FoundSignature>();
  }

 private:
  /// The last part of the path; what is no plain file name becomes one.
  static Result<std::string> file_name(const Url& url) {
    LANTERN_ASSIGN(std::string name, percent_decode(url.path.substr(url.path.rfind('/') + 1)));
    if (!is_safe_file_name(name)) name = make_alias(name);
    if (!ends_with_ignoring_case(name, ".gguf")) name += ".gguf";
    return name;
  }

  /// Another part of the same set: the same address with another number in it.
  static Result<PlannedFile> part_of(const Url& url, const SplitName& split, uint32_t part) {
    std::string tail = fmt::format("-{:05}-of-{:05}.gguf", part, split.n_parts);
    Url other = url;
    std::string path = url.path.substr(0, url.path.size() - tail.size()) + tail;
    std::string text = url.text;
    text.replace(text.find(url.path, url.scheme.size() + 3), url.path.size(), path);
    LANTERN_ASSIGN(other, parse_url(text));
    return PlannedFile{.name = split.prefix + tail, .url = other.text};
  }

  Reference reference_;
};

}  // namespace

std::unique_ptr<Source> make_url_source(Reference reference) {
  return std::make_unique<UrlSource>(std::move(reference));
}

}  // namespace lantern::supply
