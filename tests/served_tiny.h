// `lantern serve` with tiny models, for tests.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/json.h"
#include "engine/tiny_model.h"
#include "format/temporary_folder.h"
#include "program.h"
#include "served_program.h"

namespace lantern::tests {

/// `lantern serve` with a tiny model that knows 264 tokens.
class Served : public ServedProgram {
 public:
  enum class Named { kTinyModel, kNone };

  explicit Served(const std::vector<std::string>& more = {}, const engine::TinyModel& tiny = {},
                  Named named = Named::kTinyModel)
      : ServedProgram(arguments(more, tiny, named)) {
    const base::OrderedJson models = get_json("/v1/models");
    if (!models["data"].empty()) name_ = models["data"][0]["id"];
  }

  [[nodiscard]] std::string chat(const std::string& text, const std::string& more = {}) const {
    return chat_with(name_, text, more);
  }
  [[nodiscard]] std::string chat_with(const std::string& model, const std::string& text,
                                      const std::string& more = {}) const {
    return post("/v1/chat/completions",
                fmt::format(R"({{"model":"{}","messages":[{{"role":"user","content":"{}"}}],)"
                            R"("max_tokens":24,"seed":7{}}})",
                            model, text, more));
  }
  /// Those of /api/ps or /api/tags.
  [[nodiscard]] std::vector<std::string> models(const std::string& path) const {
    std::vector<std::string> names;
    const base::OrderedJson all = get_json(path);
    for (const auto& model : all["models"]) names.push_back(model["name"]);
    return names;
  }
  static std::string text_of(const std::string& answer) {
    const base::OrderedJson body = body_of(answer);
    EXPECT_TRUE(body.contains("choices")) << answer;
    return body.contains("choices") ? body["choices"][0]["message"]["content"].get<std::string>()
                                    : answer;
  }
  /// A number of /metrics by the beginning of its line.
  [[nodiscard]] double metric(const std::string& name) const {
    const std::string all = "\n" + get("/metrics");
    const size_t line = all.find("\n" + name);
    if (line == std::string::npos) return -1;
    return std::stod(all.substr(all.find("} ", line) + 2));
  }

  std::string name_;

 private:
  static std::vector<std::string> arguments(const std::vector<std::string>& more,
                                            const engine::TinyModel& tiny, Named named) {
    static const format::TemporaryFolder folder;
    static int n = 0;
    std::vector<std::string> words = more;
    if (named == Named::kTinyModel)
      words.insert(words.end(), {tiny.write(folder, fmt::format("tiny-{}.gguf", ++n)).string(),
                                 "--approve", "made by this test"});
    return words;
  }
};

/// A store with the approved models "one", "two" and "three", and "four", which nobody approved.
inline void pull_models(const format::TemporaryFolder& folder) {
  int64_t context = 512;
  for (const std::string name : {"one", "two", "three", "four"}) {
    engine::TinyModel model;
    model.context = context += 128;
    const std::string file = model.write(folder, name + ".gguf").string();
    std::vector<std::string> words = {"pull", file, "--name", name};
    if (name != "four") words.insert(words.end(), {"--approve", "made by this test"});
    const Ran ran = run_lantern(words);
    EXPECT_EQ(ran.exit_code, name == "four" ? 4 : 0) << ran.err;
  }
}

}  // namespace lantern::tests
