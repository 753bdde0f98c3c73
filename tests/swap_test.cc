// What was checked is what is used: a file or a link that changes at any moment between the two
// never brings in what was not checked.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <functional>

#include "base/file.h"
#include "kill.h"
#include "program.h"

namespace lantern::tests {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const fs::path& golden_model() {
  static const fs::path path = fs::path(LANTERN_SOURCE_DIR) / "tests/golden/models/llama-tied";
  return path;
}

std::string content_of(const fs::path& path) {
  auto text = base::read_text_file(path, 64 << 20);
  EXPECT_TRUE(text.ok()) << path;
  return text.ok() ? *std::move(text) : "";
}

/// lantern at a terminal: once it asks for the approval, `act` happens, then the reason is given.
Ran run_and_act_at_the_question(const std::vector<std::string>& arguments,
                                const std::function<void()>& act) {
  int terminal = -1;
  const pid_t child = ::forkpty(&terminal, nullptr, nullptr, nullptr);
  if (child == 0) {
    const std::string program = std::string(LANTERN_BUILD_DIR) + "/lantern";
    std::vector<char*> argv = {const_cast<char*>(program.c_str())};
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    ::execv(program.c_str(), argv.data());
    ::_exit(127);
  }
  Ran ran;
  bool asked = false;
  std::array<char, 4096> buffer{};
  // The read fails once the program has gone.
  for (ssize_t n = 0; (n = ::read(terminal, buffer.data(), buffer.size())) > 0;) {
    ran.out.append(buffer.data(), static_cast<size_t>(n));
    if (asked || ran.out.find("Approve it?") == std::string::npos) continue;
    asked = true;
    act();
    EXPECT_EQ(::write(terminal, "a test\r", 7), 7);
  }
  EXPECT_TRUE(asked) << ran.out;
  ::close(terminal);
  int status = 0;
  ::waitpid(child, &status, 0);
  ran.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

class Swapped : public ::testing::Test {
 protected:
  /// good.gguf and bad.gguf, which is the same but for a weight, and whom nobody approved.
  void SetUp() override {
    const Ran made = run_lantern(
        {"convert", golden_model().string(), "--out", at("good.gguf"), "--approve", "a test"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    std::string bytes = content_of(at("good.gguf"));
    bytes[bytes.size() - 65] = static_cast<char>(bytes[bytes.size() - 65] ^ 0x15);
    std::ofstream(at("bad.gguf"), std::ios::binary) << bytes;
    point("good.gguf");
    const Ran used = run_lantern(logits({"--approve", "a test"}));
    ASSERT_EQ(used.exit_code, 0) << used.err;
    answer_ = content_of(at("out.npy"));
    point("bad.gguf");
    ASSERT_EQ(run_lantern(logits()).exit_code, 4) << "nobody approved it";
  }

  [[nodiscard]] std::string at(const std::string& name) const { return (folder_ / name).string(); }
  /// model.gguf, a link, leads to `name`; in one step.
  void point(const std::string& name) const {
    fs::remove(at("next"));
    fs::create_symlink(name, at("next"));
    fs::rename(at("next"), at("model.gguf"));
  }
  [[nodiscard]] std::vector<std::string> logits(const std::vector<std::string>& more = {}) const {
    fs::remove(at("out.npy"));
    std::vector<std::string> arguments = {
        "logits", at("model.gguf"), "--tokens", "1,2", "--threads", "1", "--out", at("out.npy")};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }

  fs::path folder_ = [] {
    const fs::path folder = scratch_folder() / "swapped";
    fs::remove_all(folder);
    fs::create_directories(folder);
    return folder;
  }();
  ScopedHome home_{"swapped"};
  std::string answer_;
};

TEST_F(Swapped, ALinkThatTurnsAtAnyOpeningLoadsNothingUnchecked) {
  for (const auto& [before, after] :
       {std::pair("good.gguf", "bad.gguf"), std::pair("bad.gguf", "good.gguf")}) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE(fmt::format("from {} to {} at opening {}", before, after, n));
      point(before);
      const Opened ran =
          run_and_act_at_opening(logits(), at("model.gguf"), n, [&, to = after] { point(to); });
      if (!ran.allowed) GTEST_SKIP() << "tracing is not allowed here";
      if (ran.exit_code == 0)
        EXPECT_EQ(content_of(at("out.npy")), answer_) << "the answer of what nobody approved";
      else
        EXPECT_FALSE(fs::exists(at("out.npy")));
      if (ran.n < n) {
        EXPECT_GT(n, 3) << "too few openings for a test of this";
        break;
      }
    }
  }
}

TEST_F(Swapped, WeightsThatChangeWhileTheApprovalIsAskedForAreNotUsed) {
  fs::copy_file(at("bad.gguf"), at("asked.gguf"));
  std::vector<std::string> arguments = logits();
  arguments[1] = at("asked.gguf");
  const auto change = [&] {
    std::fstream file(at("asked.gguf"), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-64, std::ios::end);
    file << "changed";
  };
  const Ran ran = run_and_act_at_the_question(arguments, change);
  EXPECT_NE(ran.exit_code, 0) << ran.out;
  EXPECT_FALSE(fs::exists(at("out.npy")));
}

TEST_F(Swapped, ATokenizerThatIsReplacedWhileTheApprovalIsAskedForIsNotUsed) {
  const fs::path model = folder_ / "model";
  fs::copy(golden_model(), model, fs::copy_options::recursive);
  const auto write_tokenizer = [&](const char* vocabulary) {
    std::ofstream(model / "next.json")
        << R"({"version": "1.0", "added_tokens": [], "normalizer": null,
      "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
      "post_processor": null, "decoder": {"type": "ByteLevel"},
      "model": {"type": "BPE", "unk_token": null, "merges": [], "vocab": )"
        << vocabulary << "}}";
    fs::rename(model / "next.json", model / "tokenizer.json");
  };
  std::ofstream(model / "tokenizer_config.json") << R"({"tokenizer_class": "GPT2Tokenizer"})";
  write_tokenizer(R"({"A": 5, "B": 6})");
  const auto tokenize = [&](const std::string& home) {
    const ScopedHome own(home);
    return run_lantern({"tokenize", model.string(), "--approve", "a test", "AB"}).out;
  };
  const std::string before = tokenize("tokenizer-before");
  const auto replace = [&] { write_tokenizer(R"({"A": 6, "B": 5})"); };
  const Ran ran = run_and_act_at_the_question({"tokenize", model.string(), "AB"}, replace);
  const std::string after = tokenize("tokenizer-after");
  ASSERT_NE(before, after);
  EXPECT_THAT(ran.out, Not(HasSubstr(after)));
  if (ran.exit_code == 0) {
    EXPECT_THAT(ran.out, HasSubstr(before.substr(0, before.find('\n'))));
  }
}

}  // namespace
}  // namespace lantern::tests
