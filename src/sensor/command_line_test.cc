#include "sensor/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lantern::sensor {
namespace {

using ::testing::ElementsAre;
using ::testing::Pair;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + '\0';
  return text;
}

TEST(CommandLine, KeepsTheProgramAndWhatSaysWhichModelRunsWhere) {
  const CommandLine line =
      cut_command_line(joined({"/opt/llama-server", "-m", "/models/a.gguf", "--port=8081",
                               "--no-mmap", "-c", "4096", "--alias", "acme/secret-project"}));
  EXPECT_EQ(line.program, "/opt/llama-server");
  EXPECT_THAT(line.flags, ElementsAre(Pair("-m", "/models/a.gguf"), Pair("--port", "8081"),
                                      Pair("--no-mmap", ""), Pair("-c", "4096"),
                                      Pair("--alias", "acme/secret-project")));
  EXPECT_EQ(line.flag("--port"), "8081");
  EXPECT_EQ(line.flag("--host"), "");
}

TEST(CommandLine, DropsPromptsKeysAndTitles) {
  const std::string secret = "sk-0123456789abcdef";
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"ollama", "run", "llama3", "tell me about " + secret},
           {"llama-cli", "-p", secret, "--prompt", secret, "--api-key=" + secret},
           {"git", "commit", "-m", secret},
           {"git", "commit", "-m", "a message " + secret},
           {"llama-cli", "-m", "https://user:" + secret + "@host/model"},
           {"curl", "-H", "Authorization: Bearer " + secret, "--port", secret},
           {"python3", "-c", "print('" + secret + "')"},
           {"python3", "say " + secret + ".py"},
           {"postgres: user db " + secret}}) {
    const CommandLine line = cut_command_line(joined(words));
    std::string kept = line.program + line.script;
    for (const auto& [name, value] : line.flags) kept += name + value;
    EXPECT_EQ(kept.find(secret), std::string::npos) << kept;
  }
}

TEST(CommandLine, TakesTheScriptOrModuleOfAnInterpreter) {
  EXPECT_EQ(
      cut_command_line(joined({"/usr/bin/python3.11", "-m", "vllm.entrypoints.openai"})).script,
      "vllm.entrypoints.openai");
  EXPECT_EQ(cut_command_line(joined({"python3", "koboldcpp.py", "--model", "a.gguf"})).script,
            "koboldcpp.py");
  EXPECT_EQ(cut_command_line(joined({"node", "/x/@google/gemini-cli/dist/index.js"})).script,
            "/x/@google/gemini-cli/dist/index.js");
  EXPECT_EQ(cut_command_line(joined({"cat", "/etc/passwd"})).script, "") << "no interpreter";
}

TEST(CommandLine, BearsAnything) {
  EXPECT_EQ(cut_command_line(""), CommandLine());
  EXPECT_EQ(cut_command_line(std::string(3, '\0')), CommandLine());
  EXPECT_EQ(cut_command_line("a").program, "a");
  EXPECT_LE(cut_command_line(std::string(1 << 20, 'x')).program.size(), 512u);
  EXPECT_LE(cut_command_line(joined({"x", "-m", "/" + std::string(1 << 20, 'x')})).flags.size(),
            0u);
}

TEST(CommandLine, OfTheEnvironmentOnlyKnownNames) {
  EXPECT_THAT(cut_environment(joined({"OLLAMA_HOST=0.0.0.0", "HF_TOKEN=hf_secret", "PATH=/bin",
                                      "CUDA_VISIBLE_DEVICES=0", "OPENAI_API_KEY=sk-1", "junk"})),
              ElementsAre("CUDA_VISIBLE_DEVICES", "OLLAMA_HOST", "OPENAI_API_KEY"));
}

}  // namespace
}  // namespace lantern::sensor
