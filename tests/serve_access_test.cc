// Who may use the service: keys, budgets, TLS, its Unix socket, and what may change while it runs.
// Over real sockets, with the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "engine/tiny_model.h"
#include "gate/caller.h"
#include "json_schema.h"
#include "program.h"
#include "served_program.h"
#include "served_tiny.h"
#include "server/socket_client.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

std::string schema_fault(const std::string& name, const std::string& document) {
  return schema_violations(published_schema(name), nlohmann::json::parse(document));
}

/// `lantern serve` of a tiny model with these options.
class Running : public ServedProgram {
 public:
  explicit Running(const std::vector<std::string>& more) : ServedProgram(arguments(more)) {}

  static std::string chat_body(const std::string& more = R"(,"max_tokens":4)") {
    return fmt::format(
        R"({{"model":"{}","messages":[{{"role":"user","content":"Hi"}}],"seed":7{}}})",
        model_name(), more);
  }
  [[nodiscard]] std::string chat(const std::string& headers = {}) const {
    return post("/v1/chat/completions", chat_body(), headers);
  }

  static std::string model_path() {
    static const std::string path = [] {
      static const format::TemporaryFolder folder;
      return engine::TinyModel{}.write(folder).string();
    }();
    return path;
  }
  static std::string model_name() { return fs::path(model_path()).filename().string(); }

 private:
  static std::vector<std::string> arguments(const std::vector<std::string>& more) {
    std::vector<std::string> words = {model_path(), "--approve", "made by this test"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

std::string new_key(std::vector<std::string> more) {
  std::vector<std::string> words = {"key", "create"};
  words.insert(words.end(), more.begin(), more.end());
  const Ran ran = run_lantern(words);
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  return ran.out.substr(0, ran.out.find('\n'));
}
std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }

/// All bytes of all files of a folder.
std::string everything_in(const fs::path& folder) {
  std::string all;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file())
      if (const auto text = base::read_text_file(entry.path(), 64u << 20); text.ok()) all += *text;
  return all;
}

TEST(ApiKeys, AreShownOnceAndKeptAsAHash) {
  const ScopedHome home("keys-made");
  const Ran made =
      run_lantern({"key", "create", "--name", "ci", "--user", "alice", "--models", "smollm2,other",
                   "--budget", "2M/day", "--rate", "60/minute", "--expires", "90d", "--json"});
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(schema_fault("key", made.out), "");
  const std::string key = OrderedJson::parse(made.out)["keys"][0]["key"];
  const std::string secret = key.substr(key.size() - 64);
  const std::string kept = everything_in(home.path());
  EXPECT_THAT(kept, HasSubstr("alice"));
  EXPECT_THAT(kept, Not(HasSubstr(secret)));
  const Ran listed = run_lantern({"key", "list", "--json"});
  EXPECT_EQ(schema_fault("key", listed.out), "");
  EXPECT_THAT(listed.out, Not(HasSubstr(secret)));
  const OrderedJson one = OrderedJson::parse(listed.out)["keys"][0];
  EXPECT_EQ(one["tokens_a_day"], 2'000'000);
  EXPECT_EQ(one["requests_a_minute"], 60);
  EXPECT_EQ(one["state"], "active");

  EXPECT_EQ(run_lantern({"key", "create", "--name", "ci"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"key", "create", "--name", "b", "--budget", "much"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"key", "create", "--name", "b", "--scopes", "all"}).exit_code, 2);
  EXPECT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 0);
  EXPECT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 2);
  EXPECT_THAT(run_lantern({"key", "list"}).out, HasSubstr("revoked"));
  EXPECT_EQ(run_lantern({"key", "create", "--name", "ci"}).exit_code, 0);
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("key_create"));
  EXPECT_THAT(log.out, HasSubstr("\"revoke\""));
}

TEST(ApiKeys, AnOldCopyOfTheStateBringsNoRevokedKeyBack) {
  const ScopedHome home("keys-put-back");
  const std::string key = new_key({"--name", "ci"});
  const fs::path data = home.path() / "data", copy = home.path() / "copy";
  fs::create_directories(copy);
  const auto is_kept = [](const fs::path& file) {
    return file.filename().string().starts_with("state.db") ||
           file.filename().string().starts_with("api-keys.db");
  };
  for (const auto& entry : fs::directory_iterator(data))
    if (is_kept(entry.path())) fs::copy_file(entry.path(), copy / entry.path().filename());
  ASSERT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 0);
  for (const auto& entry : fs::directory_iterator(data))
    if (is_kept(entry.path())) fs::remove(entry.path());
  for (const auto& entry : fs::directory_iterator(copy))
    fs::copy_file(entry.path(), data / entry.path().filename());
  const Running service({"--require-keys"});
  EXPECT_THAT(service.chat(bearer(key)), StartsWith("HTTP/1.1 401"));
}

TEST(ServeAccess, AnswersKeysAloneWhereTheyAreRequired) {
  const ScopedHome home("serve-keys");
  const std::string key = new_key({"--name", "ci", "--user", "alice"});
  const std::string metrics = new_key({"--name", "prometheus", "--scopes", "metrics"});
  const std::string other = new_key({"--name", "other", "--models", "another"});
  const Running service({"--require-keys"});
  EXPECT_THAT(service.get("/healthz"), StartsWith("HTTP/1.1 200"));

  const std::string openai = service.chat();
  EXPECT_THAT(openai, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(openai, HasSubstr("WWW-Authenticate: Bearer"));
  EXPECT_EQ(body_of(openai)["error"]["code"], "invalid_api_key");
  const std::string anthropic = service.post("/v1/messages", "{}");
  EXPECT_THAT(anthropic, StartsWith("HTTP/1.1 401"));
  EXPECT_EQ(body_of(anthropic)["error"]["type"], "authentication_error");
  const std::string ollama = service.post("/api/chat", "{}");
  EXPECT_THAT(ollama, StartsWith("HTTP/1.1 401"));
  EXPECT_TRUE(body_of(ollama)["error"].is_string());

  EXPECT_THAT(service.chat(bearer(key)), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(service.chat("x-api-key: " + key + "\r\n"), StartsWith("HTTP/1.1 200"));
  std::string wrong = key;
  wrong.back() = wrong.back() == '0' ? '1' : '0';
  for (const std::string& bad : {wrong, key.substr(0, key.size() - 1), std::string("none"),
                                 std::string("lantern_000000000000_") + std::string(64, '0')})
    EXPECT_THAT(service.chat(bearer(bad)), StartsWith("HTTP/1.1 401")) << bad;

  EXPECT_THAT(service.get("/metrics", bearer(metrics)), StartsWith("HTTP/1.1 200"));
  const std::string scope = service.chat(bearer(metrics));
  EXPECT_THAT(scope, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(scope, HasSubstr("lantern.key-scope"));
  const std::string model = service.chat(bearer(other));
  EXPECT_THAT(model, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(model, HasSubstr("lantern.key-models"));

  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"user\":\"alice\""));
  EXPECT_THAT(log.out, HasSubstr("\"key_id\":\"" + key.substr(8, 12)));
  EXPECT_THAT(log.out, HasSubstr("lantern.key\""));
  EXPECT_THAT(log.out, Not(HasSubstr(key.substr(key.size() - 64))));
  EXPECT_THAT(log.out, Not(HasSubstr(wrong.substr(key.size() - 64))));
}

TEST(ServeAccess, AKeyOfAnotherIsNotTheOwners) {
  const ScopedHome home("serve-key-owner");
  const std::string login = gate::user_name(::geteuid());
  const std::string other = new_key({"--name", "other", "--user", "alice"});
  const std::string held = new_key({"--name", "held", "--user", login, "--models", "smollm2"});
  const std::string own = new_key({"--name", "own", "--user", login});
  const Running service({});
  const auto remove = [&](const std::string& headers) {
    return service.exchange(
        http_request("DELETE", "/api/delete", R"({"model":"not-here"})", headers));
  };
  const std::string refused = remove(bearer(other));
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(refused, HasSubstr("lantern.owner"));
  EXPECT_THAT(service.post("/api/pull", R"({"model":"smollm2"})", bearer(other)),
              StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(remove(bearer(held)), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(remove(bearer(own)), StartsWith("HTTP/1.1 404"));
  EXPECT_THAT(remove({}), StartsWith("HTTP/1.1 404"));
}

TEST(ServeAccess, ARevokedKeyEndsWithinASecond) {
  const ScopedHome home("serve-key-revoked");
  const std::string key = new_key({"--name", "ci"});
  const Running service({});
  // Without keys being required, one that is presented counts all the same.
  EXPECT_THAT(service.chat(bearer(key)), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(service.chat(bearer("sk-anything")), StartsWith("HTTP/1.1 200"));
  const int fd = service.connect();
  const std::string stream =
      http_request("POST", "/v1/chat/completions",
                   Running::chat_body(R"(,"stream":true,"ignore_eos":true)"), bearer(key));
  ASSERT_GT(::send(fd, stream.data(), stream.size(), MSG_NOSIGNAL), 0);
  read_from(fd, "data: ");
  ASSERT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 0);
  const auto revoked = Clock::now();
  EXPECT_THAT(service.chat(bearer(key)), StartsWith("HTTP/1.1 401"));
  read_from(fd);
  EXPECT_LT(Clock::now() - revoked, std::chrono::milliseconds(1500));
  ::close(fd);
}

/// What each API answers with at length, and a whole answer, when `ends` cuts them.
std::vector<std::string> long_answers(const Served& served, const std::string& headers,
                                      const std::function<void()>& ends) {
  // A model may end where it likes, but not before it has said so many numbers.
  const std::string schema =
      R"({"type":"object","properties":{"a":{"type":"array","minItems":9000,"items":{"enum":[1]}}},)"
      R"("required":["a"],"additionalProperties":false})";
  const std::string model = fmt::format(R"({{"model":"{}",)", served.name_);
  const std::string question = R"("messages":[{"role":"user","content":"Hi"}],)";
  const std::string openai = R"("ignore_eos":true,"max_tokens":30000)";
  const std::pair<const char*, std::string> asked[] = {
      {"/v1/chat/completions", model + question + openai + R"(,"stream":true})"},
      {"/v1/completions", model + R"("prompt":"Hi",)" + openai + R"(,"stream":true})"},
      {"/v1/responses", model + R"("input":"Hi","stream":true,"text":{"format":{"type":)" +
                            R"("json_schema","name":"n","schema":)" + schema + "}}}"},
      {"/v1/messages", model + question + R"("max_tokens":30000,"stream":true,"tools":[{"name":)" +
                           R"("n","input_schema":)" + schema +
                           R"(}],"tool_choice":{"type":"any"}})"},
      {"/api/chat", model + question + R"("think":false,"format":)" + schema + "}"},
      {"/v1/chat/completions", model + question + openai + "}"}};
  std::vector<int> open;
  for (const auto& [path, body] : asked) {
    open.push_back(served.connect());
    send_all(open.back(), http_request("POST", path, body, headers));
  }
  const auto patience = Clock::now() + kPatience;
  while (served.metric("lantern_answers_running") < 6 && Clock::now() < patience)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  ends();
  std::vector<std::string> answers;
  for (const int fd : open) {
    answers.push_back(read_from(fd));
    ::close(fd);
  }
  return answers;
}

engine::TinyModel long_winded() {
  std::ifstream in(LANTERN_SOURCE_DIR "/src/text/testdata/tool_templates/hermes.jinja");
  engine::TinyModel tiny;
  tiny.chat_template = {std::istreambuf_iterator<char>(in), {}};
  tiny.context = 32'768;
  return tiny;
}

TEST(ServeAccess, EachApiSaysThatTheKeyWasRevoked) {
  const ScopedHome home("serve-key-said");
  const std::string key = new_key({"--name", "ci"});
  const Served served({}, long_winded());
  const auto answers = long_answers(served, bearer(key), [] {
    ASSERT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 0);
  });
  const std::string openai = R"("code":"invalid_api_key")";
  const std::string own[] = {openai,        openai, "invalid_api_key", "authentication_error",
                             "{\"error\":", openai};
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_THAT(answers[i], StartsWith(i < 5 ? "HTTP/1.1 200" : "HTTP/1.1 401")) << i;
    EXPECT_THAT(answers[i], HasSubstr("the API key is revoked")) << i;
    EXPECT_THAT(answers[i], HasSubstr(own[i])) << i;
  }
}

TEST(ServeAccess, EachApiNamesTheRuleByWhichItsModelWasRevoked) {
  const ScopedHome home("serve-model-said");
  const Served served({}, long_winded());
  const std::string id = served.get_json("/v1/models")["data"][0]["digest"];
  const auto answers = long_answers(served, {}, [&] {
    ASSERT_EQ(run_lantern({"revoke", id, "--reason", "test"}).exit_code, 0);
  });
  const std::string openai = R"("type":"permission_error")";
  const std::string own[] = {openai, openai, "denied_by_policy", openai, "{\"error\":", openai};
  for (size_t i = 0; i < answers.size(); ++i) {
    EXPECT_THAT(answers[i], StartsWith(i < 5 ? "HTTP/1.1 200" : "HTTP/1.1 403")) << i;
    EXPECT_THAT(answers[i], HasSubstr("lantern.revoked")) << i;
    EXPECT_THAT(answers[i], HasSubstr(own[i])) << i;
  }
}

TEST(ServeAccess, AnAnswerThatIsEndedIsNoWholeOne) {
  const ScopedHome home("serve-key-ended");
  const std::string key = new_key({"--name", "ci"});
  const Running service({});
  // More than can be answered before the revocation is seen, a quarter of a second at most.
  std::vector<int> waiting;
  for (int i = 0; i < 12; ++i) {
    waiting.push_back(service.connect());
    send_all(waiting.back(),
             http_request("POST", "/v1/chat/completions",
                          Running::chat_body(R"(,"n":8,"ignore_eos":true)"), bearer(key)));
  }
  ASSERT_EQ(run_lantern({"key", "revoke", "ci"}).exit_code, 0);
  size_t n_ended = 0;
  for (const int fd : waiting) {
    const std::string answer = read_from(fd);
    ::close(fd);
    if (answer.starts_with("HTTP/1.1 503") || answer.starts_with("HTTP/1.1 401")) {
      ++n_ended;
      continue;
    }
    const OrderedJson choices = body_of(answer)["choices"];
    for (const auto& choice : choices) EXPECT_EQ(choice["finish_reason"], "length") << answer;
  }
  EXPECT_GT(n_ended, 0u);
}

TEST(ServeAccess, ABudgetOutlivesARestart) {
  const ScopedHome home("serve-budget");
  const std::string key = new_key({"--name", "small", "--budget", "3/day"});
  const std::string rate = new_key({"--name", "slow", "--rate", "1/minute"});
  {
    const Running service({"--require-keys"});
    EXPECT_THAT(service.chat(bearer(key)), StartsWith("HTTP/1.1 200"));
    EXPECT_THAT(service.chat(bearer(rate)), StartsWith("HTTP/1.1 200"));
    const std::string slow = service.chat(bearer(rate));
    EXPECT_THAT(slow, StartsWith("HTTP/1.1 429"));
    EXPECT_THAT(slow, HasSubstr("lantern.key-rate"));
    EXPECT_THAT(slow, HasSubstr("Retry-After: "));
  }
  const Running again({"--require-keys"});
  const std::string spent = again.chat(bearer(key));
  EXPECT_THAT(spent, StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(spent, HasSubstr("lantern.key-budget"));
  EXPECT_THAT(spent, HasSubstr("Retry-After: "));
  EXPECT_EQ(body_of(spent)["error"]["code"], "rate_limit_exceeded");
}

// --- TLS

struct Certificate {
  fs::path file, key;
};

/// A certificate for localhost that signs itself.
Certificate make_certificate(const fs::path& folder, long serial) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_EC_gen("P-256"),
                                                                &EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> own(X509_new(), &X509_free);
  X509_set_version(own.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(own.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(own.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(own.get()), 3600);
  X509_set_pubkey(own.get(), key.get());
  X509_NAME* name = X509_get_subject_name(own.get());
  const std::string common = "localhost";
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common.data()), -1, -1, 0);
  X509_set_issuer_name(own.get(), name);
  EXPECT_GT(X509_sign(own.get(), key.get(), EVP_sha256()), 0);
  Certificate out{.file = folder / "cert.pem", .key = folder / "key.pem"};
  fs::create_directories(folder);
  const auto write = [](const fs::path& path, auto put) {
    const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new(BIO_s_mem()), &BIO_free);
    put(bio.get());
    char* text = nullptr;
    const long n = BIO_get_mem_data(bio.get(), &text);
    EXPECT_TRUE(
        base::write_file_atomically(path, std::string_view(text, static_cast<size_t>(n))).ok());
    fs::permissions(path, fs::perms(0600));
  };
  write(out.file, [&](BIO* bio) { PEM_write_bio_X509(bio, own.get()); });
  write(out.key, [&](BIO* bio) {
    PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  });
  return out;
}

struct TlsAnswer {
  std::string text = {};  // empty: no handshake
  std::string version = {};
  long serial = 0;
};

TlsAnswer ask_over_tls(const Running& service, const std::string& bytes, int version_max = 0) {
  TlsAnswer out;
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()),
                                                                  &SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);
  if (version_max != 0) {
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), version_max);
  }
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), &SSL_free);
  const int fd = service.connect();
  SSL_set_fd(ssl.get(), fd);
  if (SSL_connect(ssl.get()) == 1) {
    out.version = SSL_get_version(ssl.get());
    const std::unique_ptr<X509, decltype(&X509_free)> peer(SSL_get1_peer_certificate(ssl.get()),
                                                           &X509_free);
    out.serial = ASN1_INTEGER_get(X509_get0_serialNumber(peer.get()));
    SSL_write(ssl.get(), bytes.data(), static_cast<int>(bytes.size()));
    std::array<char, 65536> buffer{};
    for (int n = 0; (n = SSL_read(ssl.get(), buffer.data(), buffer.size())) > 0;)
      out.text.append(buffer.data(), static_cast<size_t>(n));
  }
  ::close(fd);
  return out;
}

TEST(ServeAccess, IsReachedFromElsewhereWithKeysAndTlsAlone) {
  const ScopedHome home("serve-tls");
  const std::string key = new_key({"--name", "ci"});
  Certificate files = make_certificate(home.path() / "tls", 17);
  const std::vector<std::string> tls = {"--tls-cert", files.file.string(), "--tls-key",
                                        files.key.string()};
  std::vector<std::string> open = {"--listen", "0.0.0.0:0"};
  open.insert(open.end(), tls.begin(), tls.end());

  Running service(open);
  EXPECT_THAT(service.url(), StartsWith("https://0.0.0.0:"));
  const auto chat = [&](const std::string& headers) {
    return http_request("POST", "/v1/chat/completions", Running::chat_body(), headers,
                        "models.example");
  };
  EXPECT_THAT(ask_over_tls(service, chat("")).text, StartsWith("HTTP/1.1 401"));
  const TlsAnswer answer = ask_over_tls(service, chat(bearer(key)));
  EXPECT_THAT(answer.text, StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(answer.version, "TLSv1.3");
  EXPECT_EQ(answer.serial, 17);
  EXPECT_EQ(ask_over_tls(service, chat(bearer(key)), TLS1_2_VERSION).version, "TLSv1.2");
  EXPECT_EQ(ask_over_tls(service, chat(bearer(key)), TLS1_1_VERSION).version, "");
  // What is no TLS gets no answer, and no harm is done.
  EXPECT_THAT(service.chat(bearer(key)), Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(ask_over_tls(service, http_request("GET", "/v1/models", {},
                                                 bearer(key) + "Origin: https://evil.example\r\n"))
                  .text,
              StartsWith("HTTP/1.1 403"));

  // Another certificate at the same place, without a restart; a broken one changes nothing.
  make_certificate(home.path() / "tls", 18);
  service.hang_up();
  const auto end = Clock::now() + kPatience;
  while (ask_over_tls(service, chat(bearer(key))).serial != 18 && Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(ask_over_tls(service, chat(bearer(key))).serial, 18);
  std::ofstream(files.file) << "nothing";
  service.hang_up();
  while (service.said().find("the old certificate stays") == std::string::npos &&
         Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(ask_over_tls(service, chat(bearer(key))).serial, 18);
}

TEST(ServeAccess, DoingWithoutKeysOrTlsElsewhereIsSaidAndRecorded) {
  const ScopedHome home("serve-insecure");
  for (const std::vector<std::string>& less :
       {std::vector<std::string>{}, {"--insecure-listen", "no-keys"}}) {
    std::vector<std::string> words = {"serve", "nothing", "--listen", "0.0.0.0:0"};
    words.insert(words.end(), less.begin(), less.end());
    const Ran ran = run_lantern(words);
    EXPECT_EQ(ran.exit_code, 4);
    EXPECT_THAT(ran.err, HasSubstr("lantern.listen"));
  }
  {
    const Running keyed({"--listen", "0.0.0.0:0", "--insecure-listen", "no-tls"});
    EXPECT_THAT(keyed.chat(), StartsWith("HTTP/1.1 401"));
  }
  const Running service(
      {"--listen", "0.0.0.0:0", "--insecure-listen", "no-tls,no-keys", "--host", "models.example"});
  EXPECT_THAT(service.said(), HasSubstr("WARNING"));
  EXPECT_THAT(service.chat(), StartsWith("HTTP/1.1 200"));
  const auto models = [&](const std::string& host) {
    return service.exchange(http_request("GET", "/v1/models", {}, {}, host));
  };
  EXPECT_THAT(models("Models.example:8000"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(models("192.0.2.7:11435"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(models("rebound.example"), StartsWith("HTTP/1.1 403"));
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("without TLS and keys"));
}

TEST(ServeAccess, AKeyThatOthersReadIsRefused) {
  const ScopedHome home("serve-tls-open");
  const Certificate files = make_certificate(home.path() / "tls", 1);
  fs::permissions(files.key, fs::perms(0644));
  const Ran ran =
      run_lantern({"serve", Running::model_path(), "--approve", "test", "--listen", "127.0.0.1:0",
                   "--tls-cert", files.file.string(), "--tls-key", files.key.string()});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_THAT(ran.err, HasSubstr("others may read this key"));
}

// --- the socket

TEST(ServeAccess, TheSocketKnowsItsCallersAndCarriesTheAdministration) {
  const ScopedHome home("serve-socket");
  EXPECT_THAT(run_lantern({"ps"}).err, HasSubstr("not running"));
  Running service({});
  ASSERT_EQ(service.socket(), (home.path() / "lantern.sock").string());
  struct stat info {};
  ASSERT_EQ(::stat(service.socket().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);

  const server::SocketClient client(service.socket());
  const auto answer = client.ask("POST", "/v1/chat/completions", Running::chat_body());
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(answer->status, 200);
  std::string streamed;
  const auto pieces = client.ask("POST", "/v1/chat/completions",
                                 Running::chat_body(R"(,"max_tokens":4,"stream":true)"),
                                 [&](std::string_view piece) -> Status {
                                   streamed += piece;
                                   return {};
                                 });
  ASSERT_TRUE(pieces.ok());
  EXPECT_THAT(streamed, HasSubstr("data: [DONE]"));
  const Ran log = run_lantern({"audit", "query", "--action", "chat", "--json"});
  EXPECT_THAT(log.out, HasSubstr("lantern_tests"));  // the program, by the socket's peer

  const Ran ps = run_lantern({"ps", "--json"});
  ASSERT_EQ(ps.exit_code, 0) << ps.err;
  EXPECT_EQ(schema_fault("ps", ps.out), "");
  EXPECT_THAT(run_lantern({"ps"}).out, HasSubstr("user:"));
  // Over TCP nobody administers.
  EXPECT_THAT(service.get("/admin/ps"), StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(service.get("/admin/ps"), HasSubstr("lantern.admin-socket"));

  // Another service cannot take the socket; without naming one it does without.
  {
    const Running other({});
    EXPECT_EQ(other.socket(), "");
  }
  const Ran taken = run_lantern({"serve", Running::model_path(), "--approve", "test", "--listen",
                                 "127.0.0.1:0", "--socket", service.socket()});
  EXPECT_EQ(taken.exit_code, 6);
  EXPECT_THAT(taken.err, HasSubstr("another service answers there"));

  EXPECT_EQ(run_lantern({"stop"}).exit_code, 0);
  EXPECT_EQ(service.wait(), 0);
  EXPECT_FALSE(fs::exists(service.socket()));
}

// --- serve.toml

TEST(ServeAccess, SettingsAreReadAgainWhileItRuns) {
  const ScopedHome home("serve-config");
  const fs::path config = home.path() / "serve.toml";
  std::ofstream(config) << "listen = \"127.0.0.1:0\"\nno_such_key = 1\n";
  const Ran wrong = run_lantern({"serve", "nothing", "--config", config.string()});
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("no_such_key"));

  std::ofstream(config) << "require_keys = false\n[limits]\nbody_bytes_max = 2048\n";
  const Running service({"--config", config.string()});
  EXPECT_THAT(service.post("/v1/chat/completions", std::string(4096, ' ')),
              StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(service.chat(), StartsWith("HTTP/1.1 200"));
  std::ofstream(config) << "require_keys = true\nqueue = 7\n[limits]\nbody_bytes_max = 8192\n";
  service.hang_up();
  const auto end = Clock::now() + kPatience;
  while (!service.chat().starts_with("HTTP/1.1 401") && Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THAT(service.chat(), StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(service.post("/v1/chat/completions", std::string(4096, ' ')),
              StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(service.said(), HasSubstr("wait for the next start"));
  std::ofstream(config) << "require_keys = maybe\n";
  service.hang_up();
  while (service.said().find("the old settings stay") == std::string::npos && Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_THAT(service.chat(), StartsWith("HTTP/1.1 401"));
}

TEST(ServeAccess, BoundsEveryWaitAndEveryCount) {
  const ScopedHome home("serve-limits");
  const fs::path config = home.path() / "serve.toml";
  std::ofstream(config)
      << "[limits]\nheader_bytes_max = 2048\nheader_s = 1\nbody_s = 1\nidle_s = 1\n"
         "connections_max = 4\n";
  const Running service({"--config", config.string()});
  EXPECT_THAT(service.get("/healthz", "X: " + std::string(4000, 'a') + "\r\n"),
              StartsWith("HTTP/1.1 431"));
  const auto answer_to = [&](const std::string& bytes) {
    const int fd = service.connect();
    EXPECT_EQ(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
    const auto begun = Clock::now();
    std::string answer = read_from(fd);
    EXPECT_LT(Clock::now() - begun, std::chrono::seconds(10));
    ::close(fd);
    return answer;
  };
  EXPECT_THAT(answer_to("GET /healthz HTT"), Not(StartsWith("HTTP/1.1 2")));
  EXPECT_THAT(
      answer_to("POST /v1/messages HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"),
      Not(StartsWith("HTTP/1.1 2")));
  EXPECT_EQ(answer_to(""), "");  // whoever says nothing is owed nothing

  std::vector<int> open;
  for (int i = 0; i < 4; ++i) open.push_back(service.connect());
  for (const int fd : open) EXPECT_EQ(::send(fd, "G", 1, MSG_NOSIGNAL), 1);
  EXPECT_EQ(service.get("/healthz"), "");
  for (const int fd : open) ::close(fd);
  const auto end = Clock::now() + kPatience;
  while (!service.get("/healthz").starts_with("HTTP/1.1 200") && Clock::now() < end)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));

  std::string messages;
  for (int i = 0; i < 4097; ++i)
    messages += std::string(i > 0 ? "," : "") + R"({"role":"user","content":"x"})";
  EXPECT_THAT(service.post("/v1/chat/completions",
                           fmt::format(R"({{"model":"tiny.gguf","messages":[{}]}})", messages)),
              StartsWith("HTTP/1.1 400"));
}

}  // namespace
}  // namespace lantern::tests
