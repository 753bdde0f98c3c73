// hf: sources against a stub that speaks the Hub's API: revisions, the tree in pages, LFS digests,
// redirects to a storage host, tokens.
#include "base/json.h"
#include "supply/testing/fixture.h"
#include "supply/testing/stub_server.h"
#include "supply/url.h"

namespace lantern::supply {
namespace {

using testing::gguf_bytes;
using testing::hex_of;
using testing::read_all;
using testing::ScopedEnvironment;
using testing::serve_bytes;
using testing::StubReply;
using testing::StubRequest;
using testing::StubServer;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";

/// One repository, ada/tiny, and the storage host that its large files redirect to.
class StubHub {
 public:
  struct File {
    std::string content;
    bool in_lfs = true;
    std::string claimed_digest = {};  // empty: the true one
  };

  explicit StubHub(std::map<std::string, File> files)
      : files_(std::move(files)),
        storage_([this](const StubRequest& request) { return store(request); }),
        hub_([this](const StubRequest& request) { return answer(request); }) {}

  [[nodiscard]] std::string endpoint() const { return hub_.origin(); }
  [[nodiscard]] const StubServer& hub() const { return hub_; }
  [[nodiscard]] const StubServer& storage() const { return storage_; }

  size_t page_size = 1000;
  std::string token = {};                 // needed for everything, where set
  std::optional<StubReply> refusal = {};  // the answer to whatever lacks that token
  std::string next_page_at = {};          // instead of this host
  std::optional<size_t> drop_first_at = {};
  std::string licence = "apache-2.0";

 private:
  StubReply json(const base::Json& value) const { return StubReply{.body = value.dump()}; }

  StubReply answer(const StubRequest& request) {
    if (!token.empty() && request.header("authorization") != "Bearer " + token)
      return refusal.value_or(StubReply{.status = 401});
    std::string_view target = request.target;
    const std::string api = "/api/models/ada/tiny/";
    if (target.starts_with(api + "revision/")) {
      std::string revision = *percent_decode(target.substr(api.size() + 9));
      if (revision != "main" && revision != "refs/pr/1" && revision != kCommit)
        return {.status = 404, .headers = {{"X-Error-Code", "RevisionNotFound"}}};
      return json({{"sha", kCommit}, {"cardData", {{"license", licence}}}});
    }
    if (target.starts_with(api + "tree/" + kCommit)) return tree(target);
    const std::string resolve = "/ada/tiny/resolve/" + kCommit + "/";
    if (target.starts_with(resolve)) {
      std::string name = *percent_decode(target.substr(resolve.size()));
      auto found = files_.find(name);
      if (found == files_.end())
        return {.status = 404, .headers = {{"X-Error-Code", "EntryNotFound"}}};
      if (!found->second.in_lfs) return serve_bytes(request, found->second.content, "\"small\"");
      return {.status = 302,
              .headers = {{"Location", storage_.origin() + "/" + percent_encode(name, true)}}};
    }
    return {.status = 401, .headers = {{"X-Error-Code", "RepoNotFound"}}};
  }

  StubReply tree(std::string_view target) {
    size_t first = 0;
    if (size_t cursor = target.find("cursor="); cursor != std::string_view::npos)
      first = std::stoul(std::string(target.substr(cursor + 7)));
    base::Json list = base::Json::array();
    if (first == 0) list.push_back({{"type", "directory"}, {"path", "q"}, {"size", 0}});
    size_t n = 0;
    for (const auto& [name, file] : files_) {
      if (n >= first && n < first + page_size) {
        base::Json item = {
            {"type", "file"}, {"path", name}, {"size", file.content.size()}, {"oid", "0"}};
        if (file.in_lfs) {
          std::string digest =
              file.claimed_digest.empty() ? hex_of(file.content) : file.claimed_digest;
          item["lfs"] = {{"oid", digest}, {"size", file.content.size()}, {"pointerSize", 130}};
        }
        list.push_back(item);
      }
      ++n;
    }
    StubReply reply = json(list);
    if (first + page_size < files_.size())
      reply.headers["Link"] = "<" + (next_page_at.empty() ? endpoint() : next_page_at) +
                              "/api/models/ada/tiny/tree/" + kCommit +
                              "?recursive=true&cursor=" + std::to_string(first + page_size) +
                              ">; rel=\"next\"";
    return reply;
  }

  StubReply store(const StubRequest& request) {
    StubReply reply = serve_bytes(
        request, files_.at(*percent_decode(request.target.substr(1))).content, "\"lfs\"");
    if (drop_first_at) reply.drop_after = std::exchange(drop_first_at, std::nullopt);
    return reply;
  }

  std::map<std::string, File> files_;
  StubServer storage_, hub_;
};

class HubSource : public testing::StoreTest {
 protected:
  Result<Pulled> pull_from(const StubHub& hub, const std::string& reference,
                           const std::string& token = "") {
    // Nothing of the machine's own settings reaches the stub.
    ScopedEnvironment environment({{"HF_TOKEN", nullptr}, {"HF_ENDPOINT", nullptr}});
    PullContext with = context();
    with.hub_endpoint = hub.endpoint();
    with.hub_token = token;
    return pull(with, reference, "");
  }
  Error failure(const StubHub& hub, const std::string& reference, const std::string& token = "") {
    auto pulled = pull_from(hub, reference, token);
    EXPECT_FALSE(pulled.ok()) << reference;
    expect_nothing_admitted();
    return pulled.ok() ? Error{} : pulled.error();
  }

  const std::string model_ = gguf_bytes(200'000);
};

TEST_F(HubSource, PullsAWholeFolder) {
  std::string weights = gguf_bytes(50'000, 3);
  StubHub hub({{"config.json", {"{}", false}},
               {"tokenizer.json", {"{\"a\":1}", false}},
               {"model.safetensors", {weights}},
               {"README.md", {"hello", false}},
               {"additional_chat_templates/rag.jinja", {"{{ x }}", false}},
               {".gitattributes", {"x", false}},
               {"pytorch_model.bin", {"pickle"}}});
  auto pulled = pull_from(hub, "hf:ada/tiny");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->alias, "tiny");
  const Manifest& manifest = pulled->model.manifest;
  EXPECT_EQ(manifest.kind, ModelKind::kFolder);
  EXPECT_EQ(manifest.source, "hf:ada/tiny");
  EXPECT_EQ(manifest.revision, kCommit);
  EXPECT_EQ(manifest.licence, "Apache-2.0");
  ASSERT_EQ(manifest.files.size(), 4u);
  EXPECT_EQ(read_all(pulled->model.folder / "model.safetensors"), weights);
  EXPECT_EQ(read_all(pulled->model.folder / "additional_chat_templates/rag.jinja"), "{{ x }}");
}

TEST_F(HubSource, ChoosesAndFlattensOneGguf) {
  StubHub hub({{"q/tiny-Q4_K_M.gguf", {model_}}, {"q/tiny-Q8_0.gguf", {gguf_bytes(10, 2)}}});
  auto pulled = pull_from(hub, "hf:ada/tiny@refs/pr/1");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->alias, "tiny-q4_k_m");
  EXPECT_EQ(pulled->model.entry().filename(), "tiny-Q4_K_M.gguf");
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  auto other = pull_from(hub, "hf:ada/tiny:Q8_0");
  ASSERT_TRUE(other.ok()) << other.error().message;
  EXPECT_EQ(other->alias, "tiny-q8_0");
  EXPECT_EQ(pull_from(hub, "hf:ada/tiny:Q2_K").error().message,
            "hf:ada/tiny: no \"Q2_K\" in it; there are: q/tiny-Q4_K_M.gguf, q/tiny-Q8_0.gguf");
}

TEST_F(HubSource, ReadsTheTreeInPagesAndPullsSplitModels) {
  std::map<std::string, StubHub::File> files;
  for (int part = 1; part <= 5; ++part)
    files[fmt::format("m-{:05}-of-00005.gguf", part)] = {
        gguf_bytes(1000, static_cast<uint32_t>(part))};
  StubHub hub(files);
  hub.page_size = 2;
  auto pulled = pull_from(hub, "hf:ada/tiny");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->model.manifest.files.size(), 5u);
  EXPECT_EQ(pulled->alias, "m");
  hub.next_page_at = "http://127.0.0.1:1";
  auto again = pull_from(hub, "hf:ada/tiny");
  EXPECT_EQ(again.error().message,
            "hf:ada/tiny: its list of files continues at another host, http://127.0.0.1:1");
}

TEST_F(HubSource, ASecondPullOfTheSameFilesDownloadsNothing) {
  StubHub hub({{"m.gguf", {model_}}});
  ASSERT_FALSE(pull_from(hub, "hf:ada/tiny")->was_here_already);
  int before = hub.storage().n_connections();
  auto again = pull_from(hub, "hf:ada/tiny");
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->was_here_already);
  EXPECT_EQ(hub.storage().n_connections(), before);
}

TEST_F(HubSource, ResumesFromTheStorageHost) {
  StubHub hub({{"m.gguf", {model_}}});
  hub.drop_first_at = 70'000;
  auto pulled = pull_from(hub, "hf:ada/tiny");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(read_all(pulled->model.entry()), model_);
  EXPECT_EQ(hub.storage().requests().back().header("range"), "bytes=70000-");
}

TEST_F(HubSource, TheTokenGoesToTheHubAlone) {
  StubHub hub({{"m.gguf", {model_}}, {"config.json", {"{}", false}}});
  hub.token = "hf_secret";
  auto pulled = pull_from(hub, "hf:ada/tiny:m.gguf", "hf_secret");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  for (const auto& request : hub.hub().requests())
    EXPECT_EQ(request.header("authorization"), "Bearer hf_secret");
  ASSERT_FALSE(hub.storage().requests().empty());
  for (const auto& request : hub.storage().requests())
    EXPECT_EQ(request.header("authorization"), "") << "another port is another host";
}

TEST_F(HubSource, MissingAndRejectedTokens) {
  StubHub hub({{"m.gguf", {model_}}});
  hub.token = "hf_right";
  auto missing = failure(hub, "hf:ada/tiny");
  EXPECT_EQ(missing.code, ErrorCode::kIo);
  EXPECT_EQ(
      missing.message,
      "hf:ada/tiny: not public, or not there (401): check the name, or set HF_TOKEN to a token "
      "of an account with access");
  auto wrong = failure(hub, "hf:ada/tiny", "hf_wrong");
  EXPECT_EQ(wrong.code, ErrorCode::kIo);
  EXPECT_EQ(wrong.message,
            "hf:ada/tiny: the Hub refused HF_TOKEN (401): it is expired, wrong, or of an account "
            "without access");
  hub.refusal = StubReply{.status = 403, .headers = {{"X-Error-Code", "GatedRepo"}}};
  EXPECT_EQ(
      failure(hub, "hf:ada/tiny").message,
      "hf:ada/tiny: its owner asks for consent: accept the terms on its page, then set HF_TOKEN "
      "to a token of that account");
  auto broken = failure(hub, "hf:ada/tiny", "hf_x\r\nX-Evil: 1");
  EXPECT_EQ(broken.message, "HF_TOKEN holds blanks or control characters: copy the token again");
}

TEST_F(HubSource, WhatIsNotThere) {
  StubHub hub({{"m.gguf", {model_}}});
  EXPECT_EQ(failure(hub, "hf:ada/tiny@v9").message, "hf:ada/tiny: no revision \"v9\"");
  EXPECT_EQ(failure(hub, "hf:ada/tiny@v9").code, ErrorCode::kNotFound);
  EXPECT_EQ(failure(hub, "hf:ada/none").code, ErrorCode::kIo);
}

TEST_F(HubSource, AWrongLfsDigestIsRefused) {
  StubHub hub({{"m.gguf", {model_, true, hex_of("another")}}});
  auto error = failure(hub, "hf:ada/tiny");
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.message, "m.gguf from hf:ada/tiny: wrong content: its SHA-256 is " +
                               hex_of(model_) + " and should be " + hex_of("another") +
                               "; it was deleted");
  EXPECT_EQ(count("partial"), 0u);
}

TEST_F(HubSource, NamesAndDigestsOfThePeerAreChecked) {
  StubHub hub({{"m.gguf", {model_}}, {"../../escape.gguf", {"GGUFx"}}, {"/etc/x.gguf", {"GGUFy"}}});
  auto pulled = pull_from(hub, "hf:ada/tiny");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->model.manifest.files.size(), 1u) << "such names are as if they were not there";
  ASSERT_TRUE(store_.remove("m").ok());
  StubHub evil({{"m.gguf", {model_, true, "../../../../etc/passwd"}}});
  EXPECT_EQ(failure(evil, "hf:ada/tiny").message,
            "hf:ada/tiny: m.gguf: the Hub gives no usable SHA-256");
}

TEST_F(HubSource, NonsenseFromTheServiceIsANetworkFault) {
  for (const char* body : {"", "<html>", "[]", "{\"sha\": 3}", "{\"sha\": \"../../x\"}"}) {
    StubServer server([&](const StubRequest&) { return StubReply{.body = body}; });
    PullContext with = context();
    with.hub_endpoint = server.origin();
    auto pulled = pull(with, "hf:ada/tiny", "");
    ASSERT_FALSE(pulled.ok()) << body;
    EXPECT_EQ(pulled.error().code, ErrorCode::kIo) << pulled.error().message;
  }
}

TEST_F(HubSource, TakesEndpointAndTokenFromTheEnvironment) {
  StubHub hub({{"m.gguf", {model_}}});
  hub.token = "hf_env";
  std::string endpoint = hub.endpoint() + "/";
  ScopedEnvironment environment({{"HF_ENDPOINT", endpoint.c_str()}, {"HF_TOKEN", "hf_env"}});
  auto pulled = pull(context(), "hf:ada/tiny", "chosen");
  ASSERT_TRUE(pulled.ok()) << pulled.error().message;
  EXPECT_EQ(pulled->alias, "chosen");
  ScopedEnvironment plain({{"HF_ENDPOINT", "http://example.org"}});
  EXPECT_EQ(
      pull(context(), "hf:ada/tiny", "").error().message,
      "HF_ENDPOINT: http://example.org: http is not encrypted and is used to this machine itself "
      "alone: give the https address");
}

TEST_F(HubSource, OfflineNeverOpensASocket) {
  StubHub hub({{"m.gguf", {model_}}});
  PullContext offline = context();
  offline.hub_endpoint = hub.endpoint();
  offline.network = NetworkMode::kOffline;
  auto pulled = pull(offline, "hf:ada/tiny", "");
  EXPECT_EQ(pulled.error().message, "hf:ada/tiny needs the network, and --offline forbids it");
  EXPECT_EQ(hub.hub().n_connections() + hub.storage().n_connections(), 0);

  ASSERT_TRUE(pull_from(hub, "hf:ada/tiny").ok());
  int before = hub.hub().n_connections();
  auto here = pull(offline, "hf:ada/tiny", "again");
  ASSERT_TRUE(here.ok()) << here.error().message;
  EXPECT_TRUE(here->was_here_already);
  EXPECT_TRUE(store_.find("again").ok());
  EXPECT_EQ(hub.hub().n_connections(), before);
}

}  // namespace
}  // namespace lantern::supply
