// LoRA adapters as a person and a client meet them: behind the gate, chosen for a run or by the
// request's model.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "engine/tiny_adapter.h"
#include "program.h"
#include "served_program.h"

namespace lantern::tests {
namespace {

using base::OrderedJson;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Clock = std::chrono::steady_clock;

const std::vector<std::string> kApproved = {"--approve", "made by this test"};

class Adapters : public ::testing::Test {
 protected:
  static std::vector<std::string> approved(std::vector<std::string> words) {
    words.insert(words.end(), kApproved.begin(), kApproved.end());
    return words;
  }
  [[nodiscard]] Ran run(const std::string& adapter) const {
    std::vector<std::string> words = {"run",          model_, "Who are you?", "--seed", "7",
                                      "--max-tokens", "24",   "--threads",    "1"};
    if (!adapter.empty()) words.insert(words.end(), {"--lora", adapter});
    return run_lantern(approved(words));
  }
  static std::string chat(const ServedProgram& service, const std::string& model,
                          const std::string& headers = {}) {
    return service.post("/v1/chat/completions",
                        fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":)"
                                    R"("Who are you?"}}],"max_tokens":24,"seed":7}})",
                                    model),
                        headers);
  }
  static std::string text_of(const std::string& answer) {
    const OrderedJson body = body_of(answer);
    return body.contains("choices") ? body["choices"][0]["message"]["content"].get<std::string>()
                                    : answer;
  }
  static std::string sha256_of(const std::string& path) {
    return base::to_hex(base::sha256(base::read_text_file(path, 1 << 20).value()));
  }

  ScopedHome home_{"adapters"};
  format::TemporaryFolder folder_;
  const std::string model_ = engine::TinyModel{}.write(folder_).string();
  const std::string one_ = engine::TinyAdapter{.seed = 1}.write(folder_, "one.gguf").string();
  const std::string two_ = engine::TinyAdapter{.seed = 2}.write(folder_, "two.gguf").string();
};

TEST_F(Adapters, GoThroughTheGate) {
  ASSERT_EQ(run("").exit_code, 0);
  const Ran unapproved =
      run_lantern({"run", model_, "Who are you?", "--max-tokens", "4", "--lora", one_});
  EXPECT_EQ(unapproved.exit_code, 4) << unapproved.err;
  EXPECT_THAT(unapproved.err, HasSubstr("one.gguf"));
  const Ran answered = run(one_);
  EXPECT_EQ(answered.exit_code, 0) << answered.err;
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"name\":\"one.gguf\"},\"rule\":\"personal.approved\""));
  ASSERT_EQ(run_lantern({"revoke", "sha256:" + sha256_of(one_), "--reason", "test"}).exit_code, 0);
  const Ran revoked = run(one_);
  EXPECT_EQ(revoked.exit_code, 4);
  EXPECT_THAT(revoked.err, HasSubstr("lantern.revoked"));
  EXPECT_EQ(run("").exit_code, 0) << "the model is not";
}

TEST_F(Adapters, ARunSaysWhatAnswered) {
  const std::string plain = run("").out, one = run(one_).out;
  EXPECT_NE(one, plain);
  EXPECT_NE(run(two_).out, one);
  EXPECT_EQ(run(one_ + ":0").out, plain);
  const Ran json = run_lantern(approved(
      {"run", model_, "Who are you?", "--max-tokens", "4", "--json", "--lora", one_ + ":0.5"}));
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const auto document = base::parse_json(json.out, "run").value();
  EXPECT_EQ(document["adapter"]["name"], "one.gguf");
  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr(document["adapter"]["id"].get<std::string>()));
  EXPECT_EQ(document["adapter"]["scale"], 0.5);

  Ran wrong = run(one_ + ":1000");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("scale"));
  wrong = run(model_);
  EXPECT_NE(wrong.exit_code, 0);
  EXPECT_THAT(wrong.err, HasSubstr("no adapter"));
  wrong = run_lantern(approved({"run", one_, "Hi"}));
  EXPECT_NE(wrong.exit_code, 0);
  EXPECT_THAT(wrong.err, HasSubstr("--lora"));
}

TEST_F(Adapters, OnesInTheStoreGoByTheirNames) {
  const std::filesystem::path golden = std::filesystem::path(LANTERN_SOURCE_DIR) / "tests/golden";
  const Ran pulled = run_lantern(approved({"pull", (golden / "adapters/llama-linear").string()}));
  ASSERT_EQ(pulled.exit_code, 0) << pulled.err;
  const auto logits = [&](const std::string& adapter) {
    const std::string out = (folder_.path() / "logits.npy").string();
    const Ran ran = run_lantern(approved({"logits", (golden / "models/llama-tied").string(),
                                          "--lora", adapter, "--tokens", "1,2,3", "--out", out}));
    EXPECT_EQ(ran.exit_code, 0) << ran.err;
    return base::read_text_file(out, 1 << 20).value();
  };
  EXPECT_EQ(logits("llama-linear"), logits((golden / "adapters/llama-linear").string()));
}

TEST_F(Adapters, AreServedUnderTheirNames) {
  const std::string plain = run("").out, one = run(one_).out, two = run(two_ + ":-0.5").out;
  const ServedProgram service(
      approved({model_, "--lora", "first=" + one_, "--lora", "second=" + two_ + ":-0.5"}));
  const OrderedJson models = service.get_json("/v1/models")["data"];
  ASSERT_EQ(models.size(), 3u) << models.dump();
  std::map<std::string, std::string> parents;
  for (const auto& model : models) parents[model["id"]] = model.value("parent", "");
  EXPECT_EQ(parents, (std::map<std::string, std::string>{
                         {"tiny.gguf", ""}, {"first", "tiny.gguf"}, {"second", "tiny.gguf"}}));
  const OrderedJson tags = service.get_json("/api/tags")["models"];
  for (const auto& model : tags)
    EXPECT_EQ(model["details"]["parent_model"], parents[model["name"]]);
  const OrderedJson shown = body_of(service.post("/api/show", R"({"model":"first"})"));
  EXPECT_EQ(shown["details"]["parent_model"], "tiny.gguf") << shown.dump();
  EXPECT_THAT(shown["template"].get<std::string>(), HasSubstr("im_start"));

  // Beside each other, too.
  std::vector<std::string> answers(12);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < answers.size(); ++i)
      threads.emplace_back([&, i] {
        answers[i] = chat(service, i % 3 == 0 ? "tiny.gguf" : i % 3 == 1 ? "first" : "second");
      });
  }
  const std::string* const expected[] = {&plain, &one, &two};
  for (size_t i = 0; i < answers.size(); ++i)
    EXPECT_EQ(text_of(answers[i]) + "\n", *expected[i % 3]) << i;
  EXPECT_EQ(body_of(answers[1])["model"], "first");
  EXPECT_NE(body_of(answers[0])["system_fingerprint"], body_of(answers[1])["system_fingerprint"]);

  const Ran log = run_lantern({"audit", "export", "--format", "jsonl"});
  EXPECT_THAT(log.out, HasSubstr("\"adapter\":\"first\",\"adapter_id\":\""));
  EXPECT_THAT(log.out, HasSubstr("\"adapter_scale\":\"-0.5\""));
  EXPECT_THAT(chat(service, "third"), StartsWith("HTTP/1.1 404"));
}

TEST_F(Adapters, OnesThatAreRevokedEndAndTheOthersGoOn) {
  const ServedProgram service(
      approved({model_, "--lora", "first=" + one_, "--lora", "second=" + two_}));
  EXPECT_THAT(chat(service, "first"), StartsWith("HTTP/1.1 200"));
  ASSERT_EQ(run_lantern({"revoke", "sha256:" + sha256_of(one_), "--reason", "test"}).exit_code, 0);
  const auto end = Clock::now() + kPatience;
  std::string answer;
  while (Clock::now() < end && !(answer = chat(service, "first")).starts_with("HTTP/1.1 403"))
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_THAT(answer, HasSubstr("lantern.revoked"));
  EXPECT_THAT(chat(service, "second"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(chat(service, "tiny.gguf"), StartsWith("HTTP/1.1 200"));
}

TEST_F(Adapters, AKeyMayBeForOneOfThem) {
  const Ran key = run_lantern({"key", "create", "--name", "narrow", "--models", "first"});
  ASSERT_EQ(key.exit_code, 0) << key.err;
  const std::string secret = key.out.substr(0, key.out.find('\n'));
  const std::string header = "Authorization: Bearer " + secret + "\r\n";
  const ServedProgram service(
      approved({model_, "--lora", "first=" + one_, "--lora", "second=" + two_, "--require-keys"}));
  EXPECT_THAT(chat(service, "first", header), StartsWith("HTTP/1.1 200"));
  for (const char* other : {"second", "tiny.gguf"}) {
    const std::string refused = chat(service, other, header);
    EXPECT_THAT(refused, StartsWith("HTTP/1.1 403"));
    EXPECT_THAT(refused, HasSubstr("lantern.key-models"));
  }
  const OrderedJson models = body_of(service.get("/v1/models", header))["data"];
  ASSERT_EQ(models.size(), 1u) << models.dump();
  EXPECT_EQ(models[0]["id"], "first");
}

TEST_F(Adapters, TheServicesFileNamesThem) {
  const std::string config = (folder_.path() / "serve.toml").string();
  std::ofstream(config) << "models = [\"" << model_ << "\"]\n[[adapters]]\nname = \"first\"\n"
                        << "adapter = \"" << one_ << ":0\"\n";
  const ServedProgram service(approved({"--config", config}));
  EXPECT_EQ(text_of(chat(service, "first")), text_of(chat(service, "tiny.gguf")));

  const Ran ambiguous = run_lantern(
      approved({"serve", model_, two_, "--lora", "first=" + one_, "--listen", "127.0.0.1:0"}));
  EXPECT_EQ(ambiguous.exit_code, 2);
  EXPECT_THAT(ambiguous.err, HasSubstr("@MODEL"));
  const Ran taken = run_lantern(approved(
      {"serve", model_, "--lora", "tiny.gguf=" + one_, "--listen", "127.0.0.1:0", "--no-socket"}));
  EXPECT_EQ(taken.exit_code, 2);
  EXPECT_THAT(taken.err, HasSubstr("another model"));
}

}  // namespace
}  // namespace lantern::tests
