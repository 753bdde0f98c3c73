// The program's manners: exit codes, one-line errors, answers on stdout and all else on stderr.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "program.h"

namespace lantern::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

/// One line on stderr that begins with the program's name, after the progress of what took more
/// than a second; nothing on stdout.
void expect_refusal(const Ran& ran, int exit_code, const std::string& fragment) {
  EXPECT_EQ(ran.exit_code, exit_code) << ran.err;
  EXPECT_EQ(ran.out, "");
  const size_t at = ran.err.find("lantern: ");
  ASSERT_NE(at, std::string::npos) << ran.err;
  EXPECT_TRUE(at == 0 || ran.err[at - 1] == '\n') << ran.err;
  EXPECT_THAT(ran.err.substr(at), HasSubstr(fragment));
}

std::string write_scratch(const std::string& name, const std::string& content) {
  const auto path = scratch_folder() / name;
  std::ofstream(path, std::ios::binary) << content;
  return path.string();
}

TEST(Program, HelpGoesToStdoutAndExitsZero) {
  const Ran help = run_lantern({"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* command : {"pull", "list", "show", "remove", "run", "chat", "tokenize", "logits",
                              "inspect", "fit", "bench", "convert", "template"}) {
    EXPECT_THAT(help.out, HasSubstr(command));
    const Ran own = run_lantern({command, "--help"});
    EXPECT_EQ(own.exit_code, 0) << command;
    EXPECT_THAT(own.out, HasSubstr("Examples:")) << command;
  }
  EXPECT_THAT(run_lantern({"--version"}).out, StartsWith("lantern "));
}

TEST(Program, UsageErrorsExitTwo) {
  expect_refusal(run_lantern({}), 2, "");
  expect_refusal(run_lantern({"fly"}), 2, "fly: no such command");
  expect_refusal(run_lantern({"run"}), 2, "MODEL");
  expect_refusal(run_lantern({"run", "m", "--threads", "0", "hi"}), 2, "--threads");
  expect_refusal(run_lantern({"run", "m", "--kv", "f8", "hi"}), 2, "--kv");
  expect_refusal(run_lantern({"run", "m", "--temperature", "-1", "hi"}), 2, "temperature");
  expect_refusal(run_lantern({"run", "m", "--max-tokens", "0", "hi"}), 2, "--max-tokens");
  expect_refusal(run_lantern({"run", "m"}), 2, "the prompt is empty");
  expect_refusal(run_lantern({"run", "m", "--seed", "-1", "hi"}), 2, "--seed");
  expect_refusal(run_lantern({"run", "m", "--seed", "18446744073709551616", "hi"}), 2, "--seed");
  expect_refusal(run_lantern({"run", "m", "--stop", "", "hi"}), 2, "--stop");
  expect_refusal(run_lantern({"logits", "m", "--tokens", "1,,2", "--out", "f.npy"}), 2, "a comma");
  expect_refusal(run_lantern({"logits", "m", "--tokens", ",1", "--out", "f.npy"}), 2, "a comma");
  expect_refusal(run_lantern({"logits", "m", "--tokens", "1", "--out", "-"}), 2, "--out");
  expect_refusal(run_lantern({"convert", "m", "--out", "-"}), 2, "--out");
}

TEST(Program, MissingAndBrokenModelsExitTwoAndNameTheFile) {
  const std::map<std::string, std::string> home = {
      {"LANTERN_HOME", (scratch_folder() / "home").string()}};
  expect_refusal(run_lantern({"run", "no-such-model", "hi"}, {.environment = home}), 2,
                 "no-such-model");
  const std::string absent = (scratch_folder() / "absent.gguf").string();
  expect_refusal(run_lantern({"run", absent, "hi"}, {.environment = home}), 2, absent);
  const std::string empty = write_scratch("empty.gguf", "");
  const std::string cut = write_scratch("cut.gguf", std::string("GGUF\3\0\0\0", 8));
  const std::string text = write_scratch("text.gguf", "this is no model");
  for (const std::string& file : {empty, cut, text})
    for (const char* command : {"run", "inspect", "fit", "tokenize"}) {
      std::vector<std::string> arguments = {command, file};
      if (std::string(command) == "run" || std::string(command) == "tokenize")
        arguments.push_back("hi");
      SCOPED_TRACE(command);
      expect_refusal(run_lantern(arguments, {.environment = home}), 2, file);
    }
}

TEST(Program, TemplateReadsAFile) {
  const std::string chat = write_scratch(
      "chat.jinja",
      "{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  const std::string messages = write_scratch("m.json", R"([{"role":"user","content":"a <b> é"}])");
  const Ran ran = run_lantern({"template", chat, "--messages", messages, "--bos", "<s>"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_EQ(ran.out, "<s><user>a <b> é\n<assistant>");
  EXPECT_EQ(run_lantern({"template", chat, "--messages", messages, "--no-generation-prompt"}).out,
            "<user>a <b> é\n");
  const std::string broken = write_scratch("broken.jinja", "{% if %}");
  expect_refusal(run_lantern({"template", broken, "--messages", messages}), 2, "");
  expect_refusal(run_lantern({"template", chat, "--messages", write_scratch("n.json", "{")}), 2,
                 "n.json");
}

TEST(Program, WhatIsPastALimitIsBadInputAndNamesTheFile) {
  const ScopedHome home("past-a-limit");
  const std::string messages = write_scratch("one.json", R"([{"role":"user","content":"a"}])");
  // 2^24 tensors, as the file says, and bytes enough for them (a hole).
  const std::string many = write_scratch(
      "many.gguf", std::string("GGUF\3\0\0\0\0\0\0\1\0\0\0\0", 16) + std::string(8, '\0'));
  std::filesystem::resize_file(many, 1u << 30);
  expect_refusal(run_lantern({"inspect", many}), 2, many + ": tensor count");
  const std::string deep = write_scratch("deep.json", std::string(1000, '['));
  const std::string plain = write_scratch("plain.jinja", "x");
  expect_refusal(run_lantern({"template", plain, "--messages", deep}), 2, deep);
  const std::string nested = write_scratch(
      "nested.jinja", "{{ " + std::string(1000, '(') + "1" + std::string(1000, ')') + " }}");
  expect_refusal(run_lantern({"template", nested, "--messages", messages}), 2, "nested deeper");
  const std::string endless =
      write_scratch("endless.jinja", "{% for i in range(10**9) %}x{% endfor %}");
  expect_refusal(run_lantern({"template", endless, "--messages", messages}), 2, "range()");
}

TEST(Program, AFaultOfAMessageNamesTheFileItIsFrom) {
  const std::string plain = write_scratch("plain.jinja", "{{ messages }}");
  const std::string wrong = write_scratch("wrong.json", "[1]");
  expect_refusal(run_lantern({"template", plain, "--messages", wrong}), 2, wrong + ": messages[0]");
}

/// How the program ends whose output nobody takes: a full disk.
struct Ended {
  int exit_code = -1;
  int64_t processor_seconds = 0;
};
Ended with_full_output(const std::vector<std::string>& arguments) {
  const pid_t child = ::fork();
  if (child == 0) {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0 || ::dup2(full, STDOUT_FILENO) < 0) ::_exit(99);
    become_lantern(arguments);
  }
  int status = 0;
  struct rusage used {};
  EXPECT_EQ(::wait4(child, &status, 0, &used), child);
  return {WEXITSTATUS(status), used.ru_utime.tv_sec};
}

TEST(Program, HelpThatCannotBeWrittenIsNoSuccess) {
  EXPECT_EQ(with_full_output({"--help"}).exit_code, 5);
}

TEST(Program, CompletionsAndManPageNameEveryCommand) {
  for (const char* what : {"bash", "zsh", "fish", "man"}) {
    const Ran ran = run_lantern({"completion", what});
    EXPECT_EQ(ran.exit_code, 0);
    for (const char* command : {"pull", "run", "convert", "template"})
      EXPECT_THAT(ran.out, HasSubstr(command)) << what;
  }
}

/// What bash would offer for the last of `words`.
std::string bash_offers(const std::string& words) {
  const std::string script =
      write_scratch("complete.bash", run_lantern({"completion", "bash"}).out);
  const std::string command = "bash -c 'source " + script + "; COMP_WORDS=(" + words +
                              " \"\"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _lantern; "
                              "echo ${COMPREPLY[*]}'";
  std::string out;
  FILE* pipe = popen(command.c_str(), "r");
  for (int c = fgetc(pipe); c != EOF; c = fgetc(pipe)) out += static_cast<char>(c);
  return pclose(pipe) == 0 ? out : "bash failed";
}

TEST(Program, BashOffersTheValuesOfAnOption) {
  EXPECT_EQ(bash_offers("lantern run m --kv"), "f32 f16 q8_0\n");
  EXPECT_EQ(bash_offers("lantern completion"), "bash zsh fish man markdown\n");
  EXPECT_EQ(bash_offers("lantern convert m --type"), "f32 f16 bf16 q8_0\n");
  EXPECT_THAT(bash_offers("lantern"), HasSubstr("tokenize"));
}

TEST(Program, TheCommandReferenceIsTheProgramsOwn) {
  std::ifstream file(std::string(LANTERN_SOURCE_DIR) + "/docs/commands.md");
  const std::string committed((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(run_lantern({"completion", "markdown"}).out, committed)
      << "run: lantern completion markdown > docs/commands.md";
}

// --- on the default model ---

class DefaultModel : public ::testing::Test {
 protected:
  void SetUp() override {
    model_ = default_model();
    if (model_.empty()) GTEST_SKIP() << "the default model is not here: lantern pull smollm2";
  }
  std::string model_;
};

TEST_F(DefaultModel, AnAnswerThatNobodyTakesEnds) {
  // It may not end by itself before 9,000 characters.
  const Ended ended = with_full_output({"run", model_, "--raw", "--seed", "1", "--max-tokens",
                                        "4000", "--regex", "[a-z ]{9000,}", "One two three"});
  EXPECT_EQ(ended.exit_code, 5);
  EXPECT_LT(ended.processor_seconds, 6) << "4,000 tokens take 20 s of processor time and more";
}

TEST_F(DefaultModel, KnowsTheCapitalOfFrance) {
  const Ran ran = run_lantern({"run", model_, "--temperature", "0", "--max-tokens", "32",
                               "What is the capital of France?"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("Paris"));
  const Ran piped = run_lantern({"run", model_, "--temperature", "0", "--max-tokens", "32"},
                                {.input = "What is the capital of France?\n"});
  EXPECT_EQ(piped.out, ran.out);
}

// Invariant 3, from outside: the same request and seed give the same text.
TEST_F(DefaultModel, AnswersTheSameHoweverTheWorkIsCut) {
  const std::vector<std::string> request = {
      "run", model_, "--seed", "7", "--max-tokens", "24", "Tell me a story about a lighthouse."};
  const Ran plain = run_lantern(request);
  ASSERT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_GT(plain.out.size(), 20u);
  const std::vector<std::vector<std::string>> ways = {
      {"--threads", "1"},        {"--threads", "3"},
      {"--chunk", "1"},          {"--chunk", "7"},
      {"--beside", "3"},         {"--speculate", "off"},
      {"--speculate", "always"}, {"--draft", model_.c_str(), "--speculate", "always"}};
  for (const auto& way : ways) {
    auto arguments = request;
    arguments.insert(arguments.end(), way.begin(), way.end());
    EXPECT_EQ(run_lantern(arguments).out, plain.out) << way[0] << " " << way[1];
  }
  for (const char* isa : {"ref", "avx2", "avxvnni", "avx512"}) {
    const Ran ran = run_lantern(request, {.environment = {{"LANTERN_ISA", isa}}});
    if (ran.exit_code == 2 && ran.err.find("LANTERN_ISA") != std::string::npos)
      continue;  // not on this processor
    EXPECT_EQ(ran.out, plain.out) << isa;
  }
  auto other = request;
  other[3] = "8";
  EXPECT_NE(run_lantern(other).out, plain.out);
}

TEST_F(DefaultModel, RefusesWhatDoesNotFitTheContext) {
  std::string prompt;
  for (int i = 0; i < 200; ++i) prompt += "word ";
  expect_refusal(run_lantern({"run", model_, "--context", "64", prompt}), 2, "64");
  expect_refusal(run_lantern({"logits", model_, "--tokens", "1,x", "--out",
                              (scratch_folder() / "l.npy").string()}),
                 2, "x");
  expect_refusal(run_lantern({"logits", model_, "--tokens", "99999999", "--out",
                              (scratch_folder() / "l.npy").string()}),
                 2, "99999999");
  EXPECT_FALSE(std::filesystem::exists(scratch_folder() / "l.npy"));
}

TEST_F(DefaultModel, AnOptionThatMayBeRepeatedTakesOneValue) {
  const std::vector<std::string> plain = {"run", model_, "--temperature", "0", "--max-tokens", "6"};
  auto with = [&](std::initializer_list<const char*> more) {
    std::vector<std::string> arguments = plain;
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_lantern(arguments);
  };
  const Ran expected = with({"Hi"});
  const Ran last = with({"--stop", "no such text", "Hi"});
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_EQ(last.out, expected.out);
  const Ran twice = with({"--stop", "no such text", "--stop", "nor such", "Hi"});
  EXPECT_EQ(twice.out, expected.out);
}

TEST_F(DefaultModel, TokenizeSaysWhichBytesItLeavesOut) {
  const Ran ran = run_lantern({"tokenize", model_, "a\xff\xff"});
  EXPECT_EQ(ran.exit_code, 0);
  EXPECT_EQ(ran.out, run_lantern({"tokenize", model_, "a"}).out);
  EXPECT_THAT(ran.err, HasSubstr("2 bytes of the text have no token"));
  EXPECT_EQ(run_lantern({"tokenize", model_, "é ☃"}).err, "");
}

TEST_F(DefaultModel, ChatsThroughAPipe) {
  const auto saved = scratch_folder() / "saved.json";
  const Ran ran = run_lantern(
      {"chat", model_, "--temperature", "0", "--max-tokens", "12"},
      {.input = "/system You are terse.\nHello\n\"\"\"two\nlines\"\"\"\n/nonsense\n/save " +
                saved.string() + "\n/bye\n"});
  EXPECT_EQ(ran.exit_code, 0) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("/nonsense"));
  std::ifstream file(saved);
  const std::string json((std::istreambuf_iterator<char>(file)), {});
  EXPECT_THAT(json, HasSubstr("You are terse."));
  EXPECT_THAT(json, HasSubstr("two\\nlines"));
  EXPECT_THAT(json, HasSubstr("\"assistant\""));
}

TEST_F(DefaultModel, SpecialTokensTypedByAUserStayText) {
  const Ran plain = run_lantern({"tokenize", model_, "<|im_start|>"});
  const Ran special = run_lantern({"tokenize", model_, "--special", "<|im_start|>"});
  EXPECT_EQ(special.out, "1\n");
  EXPECT_GT(std::count(plain.out.begin(), plain.out.end(), ','), 2);
}

}  // namespace
}  // namespace lantern::tests
