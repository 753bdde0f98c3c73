// hf:ORG/REPO[:FILE][@REV]: the Hub's HTTP API.
//
//   GET {endpoint}/api/models/ORG/REPO/revision/REV        -> the commit behind REV, the licence
//   GET {endpoint}/api/models/ORG/REPO/tree/COMMIT?recursive=true   -> files with sizes; of those
//   in
//       LFS their SHA-256; in pages, the next by the Link header
//   GET {endpoint}/ORG/REPO/resolve/COMMIT/FILE            -> redirects to the bytes
//
// The commit is looked up once and pins everything that follows. HF_TOKEN goes to the endpoint
// alone, never to where it redirects.
#include <algorithm>
#include <cstdlib>
#include <map>

#include "base/json.h"
#include "base/printable.h"
#include "supply/download.h"
#include "supply/licence.h"
#include "supply/names.h"
#include "supply/selection.h"
#include "supply/source.h"

namespace lantern::supply {
namespace {

using base::Json;

constexpr std::string_view kPublicEndpoint = "https://huggingface.co";
constexpr uint64_t kAnswerBytesMax = 32u << 20;
constexpr size_t kPagesMax = 200;
constexpr size_t kFilesMax = 200'000;

struct HubFile {
  uint64_t size = 0;
  std::optional<base::Digest> digest;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// The address behind rel="next" of a Link header, or empty.
std::string next_link(std::string_view header) {
  while (!header.empty()) {
    size_t open = header.find('<'), close = header.find('>', open);
    if (open == std::string_view::npos || close == std::string_view::npos) return "";
    std::string_view address = header.substr(open + 1, close - open - 1);
    header.remove_prefix(close + 1);
    size_t end = header.find(",");
    if (header.substr(0, end).find("rel=\"next\"") != std::string_view::npos)
      return std::string(address);
    header.remove_prefix(end == std::string_view::npos ? header.size() : end + 1);
  }
  return "";
}

class HubSource final : public Source {
 public:
  explicit HubSource(Reference reference) : reference_(std::move(reference)) {}

  Result<Plan> plan(const PullContext& context) override {
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, reference_.text));
    LANTERN_TRY(configure(context));
    HttpClient client(permit, context.http, context.stop, context.notice);
    Plan plan{.name = reference_.repo.substr(reference_.repo.find('/') + 1),
              .source = recordable(reference_)};
    LANTERN_TRY(look_up_revision(client, plan));
    LANTERN_ASSIGN(auto files, list_files(client, plan.revision));

    std::vector<std::string> names;
    for (const auto& [name, file] : files) names.push_back(name);
    LANTERN_ASSIGN(Selection selection,
                   select_files(names, reference_.file, "hf:" + reference_.repo));
    plan.kind = selection.kind;
    if (plan.kind == ModelKind::kGguf) plan.name = model_stem(selection.names.front());
    for (const auto& name : selection.names) {
      const HubFile& file = files[name];
      plan.files.push_back({.name = name,
                            .size = file.size,
                            .digest = file.digest,
                            .url = fmt::format("{}/{}/resolve/{}/{}", endpoint_, reference_.repo,
                                               plan.revision, percent_encode(name, true))});
    }
    for (const auto& name : signature_names(plan.kind, selection.names.front()))
      if (signature_name_.empty() && files.contains(name)) signature_name_ = name;
    if (signature_name_.empty() && files.contains("model.sig")) signature_name_ = "model.sig";
    flatten_names(plan);
    return plan;
  }

  Result<std::optional<FoundSignature>> signature(const Plan& plan,
                                                  const PullContext& context) override {
    if (signature_name_.empty()) return std::optional<FoundSignature>();
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, reference_.text));
    LANTERN_TRY(configure(context));
    HttpClient client(permit, context.http, context.stop, context.notice);
    LANTERN_ASSIGN(Url url,
                   parse_url(fmt::format("{}/{}/resolve/{}/{}", endpoint_, reference_.repo,
                                         plan.revision, percent_encode(signature_name_, true))));
    LANTERN_ASSIGN(
        HttpReply reply,
        client.get({.url = std::move(url), .bearer_token = token_, .explain = explainer()},
                   kFoundSignatureBytesMax));
    return as_signature(signature_name_, std::move(reply.body), context);
  }

  Result<std::vector<StagedFile>> fetch(const Plan& plan, const StagingFolder&,
                                        const PullContext& context) override {
    LANTERN_ASSIGN(NetworkPermit permit, NetworkPermit::request(context.network, reference_.text));
    LANTERN_TRY(configure(context));
    HttpClient client(permit, context.http, context.stop, context.notice);
    return download_all(client, plan, context, {.bearer_token = token_, .explain = explainer()});
  }

 private:
  Status configure(const PullContext& context) {
    endpoint_ = context.hub_endpoint.empty() ? environment("HF_ENDPOINT") : context.hub_endpoint;
    if (endpoint_.empty()) endpoint_ = kPublicEndpoint;
    while (endpoint_.ends_with('/')) endpoint_.pop_back();
    auto url = parse_url(endpoint_);
    Status usable = url.ok() ? check_scheme(*url) : Status(url.error());
    if (!usable.ok()) return std::move(usable).error().within("HF_ENDPOINT");
    token_ = context.hub_token.empty() ? environment("HF_TOKEN") : context.hub_token;
    // It becomes part of a header line.
    bool plain =
        std::all_of(token_.begin(), token_.end(), [](char c) { return c > 0x20 && c < 0x7f; });
    if (!plain)
      return make_error(ErrorCode::kInvalidArgument,
                        "HF_TOKEN holds blanks or control characters: copy the token again");
    return {};
  }

  /// What the Hub means by a refusal: it names the reason in a header, and answers 401 for what
  /// does not exist too, so as not to tell strangers.
  std::function<std::optional<Error>(const HttpReply&)> explainer() const {
    return [repo = reference_.repo, revision = reference_.revision,
            has_token = !token_.empty()](const HttpReply& reply) -> std::optional<Error> {
      std::string reason = reply.header("x-error-code");
      if (reason == "RevisionNotFound")
        return make_error(ErrorCode::kNotFound, "hf:{}: no revision \"{}\"", repo, revision);
      if (reason == "EntryNotFound")
        return make_error(ErrorCode::kNotFound, "hf:{}: the file is not there", repo);
      if (reason == "GatedRepo")
        return make_error(
            ErrorCode::kIo,
            "hf:{}: its owner asks for consent: accept the terms on its page, then set "
            "HF_TOKEN to a token of that account{}",
            repo, has_token ? " (the one that is set was refused)" : "");
      if (reply.status == 401 || reply.status == 403)
        return has_token
                   ? make_error(ErrorCode::kIo,
                                "hf:{}: the Hub refused HF_TOKEN ({}): it is expired, wrong, or "
                                "of an account without access",
                                repo, reply.status)
                   : make_error(ErrorCode::kIo,
                                "hf:{}: not public, or not there ({}): check the name, or set "
                                "HF_TOKEN to a token of an account with access",
                                repo, reply.status);
      if (reply.status == 404)
        return make_error(ErrorCode::kNotFound, "hf:{}: no such repository, revision or file",
                          repo);
      return std::nullopt;
    };
  }

  Result<Json> ask(HttpClient& client, const std::string& address, HttpReply& reply) const {
    HttpRequest request{.url = {}, .bearer_token = token_, .headers = {}, .explain = explainer()};
    LANTERN_ASSIGN(request.url, parse_url(address));
    LANTERN_ASSIGN(reply, client.get(request, kAnswerBytesMax));
    auto json = base::parse_json(reply.body, request.url.origin + request.url.path,
                                 {.bytes_max = kAnswerBytesMax, .depth_max = 32});
    // What a service says is not a file of the person's: the network's exit code, not bad input.
    if (!json.ok()) return make_error(ErrorCode::kIo, "{}", json.error().message);
    return json;
  }

  std::string api(std::string_view what, std::string_view revision) const {
    return fmt::format("{}/api/models/{}/{}/{}", endpoint_, reference_.repo, what,
                       percent_encode(revision));
  }

  Status look_up_revision(HttpClient& client, Plan& plan) const {
    HttpReply reply;
    LANTERN_ASSIGN(Json json, ask(client, api("revision", reference_.revision), reply));
    auto sha = json.is_object() ? json.find("sha") : json.end();
    bool usable = json.is_object() && sha != json.end() && sha->is_string();
    if (usable) plan.revision = sha->get<std::string>();
    usable = usable && plan.revision.size() >= 40 && plan.revision.size() <= 64 &&
             plan.revision.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (!usable)
      return make_error(ErrorCode::kIo, "hf:{}: the Hub names no commit for \"{}\"",
                        reference_.repo, reference_.revision);
    if (auto card = json.find("cardData"); card != json.end() && card->is_object())
      if (auto licence = card->find("license"); licence != card->end() && licence->is_string())
        plan.licence = spdx_of_hub_licence(licence->get_ref<const std::string&>());
    return {};
  }

  Result<std::map<std::string, HubFile>> list_files(HttpClient& client,
                                                    const std::string& commit) const {
    std::map<std::string, HubFile> files;
    std::string address = api("tree", commit) + "?recursive=true";
    for (size_t page = 0; !address.empty(); ++page) {
      if (page == kPagesMax || files.size() > kFilesMax)
        return make_error(ErrorCode::kTooLarge, "hf:{}: more than {} pages or {} files",
                          reference_.repo, kPagesMax, kFilesMax);
      HttpReply reply;
      LANTERN_ASSIGN(Json json, ask(client, address, reply));
      if (!json.is_array())
        return make_error(ErrorCode::kIo, "hf:{}: the Hub's list of files is no list",
                          reference_.repo);
      for (const auto& item : json) LANTERN_TRY(add_file(item, files));
      std::string next = next_link(reply.header("link"));
      if (next.empty()) break;
      LANTERN_ASSIGN(Url url, resolve_url(reply.url, next));
      LANTERN_ASSIGN(Url own, parse_url(endpoint_));
      if (url.origin != own.origin)
        return make_error(ErrorCode::kIo, "hf:{}: its list of files continues at another host, {}",
                          reference_.repo, base::printable(url.origin));
      address = url.text;
    }
    return files;
  }

  /// One line of the list. Names that we would not write to a disk are left out, and with them
  /// whatever else the repository keeps under such names.
  Status add_file(const Json& item, std::map<std::string, HubFile>& files) const {
    auto text = [](const Json& object, const char* key) -> std::string {
      auto found = object.find(key);
      return found != object.end() && found->is_string() ? found->get<std::string>() : "";
    };
    if (!item.is_object() || text(item, "type") != "file") return {};
    std::string name = text(item, "path");
    if (!is_safe_relative_path(name)) return {};
    auto broken = [&](std::string_view what) {
      return make_error(ErrorCode::kIo, "hf:{}: {}: the Hub gives no usable {}", reference_.repo,
                        name, what);
    };
    auto size = item.find("size");
    if (size == item.end() || !size->is_number_unsigned()) return broken("size");
    HubFile file{.size = size->get<uint64_t>(), .digest = {}};
    if (auto lfs = item.find("lfs"); lfs != item.end() && lfs->is_object()) {
      std::string oid = text(*lfs, "oid");
      auto digest = base::digest_from_hex(oid.starts_with("sha256:") ? oid.substr(7) : oid);
      if (!digest.ok()) return broken("SHA-256");
      file.digest = *digest;
      auto lfs_size = lfs->find("size");
      if (lfs_size != lfs->end() && lfs_size->is_number_unsigned())
        file.size = lfs_size->get<uint64_t>();
    }
    files[name] = file;
    return {};
  }

  /// A GGUF model in a folder of the repository (some keep each quantization in one) lies at the
  /// top of ours.
  static void flatten_names(Plan& plan) {
    if (plan.kind != ModelKind::kGguf) return;
    for (auto& file : plan.files) file.name = file.name.substr(file.name.rfind('/') + 1);
  }

  Reference reference_;
  std::string endpoint_, token_;
  std::string signature_name_;  // in the repository; empty: it has none
};

}  // namespace

std::unique_ptr<Source> make_hub_source(Reference reference) {
  return std::make_unique<HubSource>(std::move(reference));
}

}  // namespace lantern::supply
