// lantern embed: texts as vectors.
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;
  std::vector<std::string> texts;
  int64_t dimensions = 0;
  int64_t chunk = 0;
  bool json = false;
};

std::string_view pooling_name(arch::Pooling pooling) {
  switch (pooling) {
    case arch::Pooling::kCls:
      return "cls";
    case arch::Pooling::kLast:
      return "last";
    case arch::Pooling::kNone:
    case arch::Pooling::kMean:
      break;
  }
  return "mean";
}

std::string numbers(const std::vector<float>& vector) {
  return fmt::format("[{}]", fmt::join(vector, ", "));
}

Result<Exit> embed(const Flags& flags) {
  std::vector<std::string> texts = flags.texts;
  if (texts.empty()) {
    LANTERN_ASSIGN(std::string text, read_stdin());
    texts.push_back(std::move(text));
  }
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load());
  const engine::EngineInfo& info = engine.info();
  if (info.model.pooling == arch::Pooling::kNone && !info.model.is_encoder)
    tell(
        fmt::format("{} was not made for embeddings: these are the mean of its last layer's states",
                    info.name));
  std::vector<std::vector<int32_t>> inputs;
  for (const std::string& text : texts) inputs.push_back(engine.text().encode_to_embed(text));
  LANTERN_ASSIGN(
      engine::EmbedResult result,
      engine.embed(std::move(inputs), {.chunk = flags.chunk, .cancel = new_interruptible_scope()}));
  if (flags.dimensions > 0) LANTERN_TRY(engine::shorten(result.vectors, flags.dimensions));
  std::string out;
  for (const std::vector<float>& vector : result.vectors) {
    if (flags.json && !out.empty()) out += ", ";
    out += numbers(vector);
    if (!flags.json) out += "\n";
  }
  if (!flags.json) {
    LANTERN_TRY(print(out));
    return Exit::kDone;
  }
  const base::OrderedJson name = info.name;
  LANTERN_TRY(print(fmt::format(
      R"({{"model": {}, "pooling": "{}", "dimensions": {}, "tokens": {}, "embeddings": [{}]}})"
      "\n",
      name.dump(-1, ' ', false, base::OrderedJson::error_handler_t::replace),
      pooling_name(engine::Embedder::pooling(info)), result.vectors.front().size(), result.n_tokens,
      out)));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("TEXT", flags->texts, "texts, a vector each; standard input where there is none");
  app.add_option("--dimensions", flags->dimensions, "the first so many numbers, of length 1 again")
      ->check(at_least(1));
  app.add_option("--chunk", flags->chunk,
                 "tokens of a step (default: the engine's choice); the vectors are the same")
      ->check(at_least(1));
  app.add_flag("--json", flags->json, "as a JSON document (docs/schemas/embed.json)");
  return [flags] { return embed(*flags); };
}

}  // namespace

extern const Command k_embed;
const Command k_embed = {
    .name = "embed",
    .access = ModelAccess::kUses,
    .summary = "write the vectors that a model makes of texts",
    .examples =
        "  lantern embed ./bge-small.gguf \"a first text\" \"a second\"\n"
        "  lantern embed ./bge-small.gguf --json < letter.txt",
    .define = define,
};

}  // namespace lantern::cli
