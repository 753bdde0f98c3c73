// lantern tokenize: the ids that a text becomes.
#include <algorithm>
#include <memory>

#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "text/tokenizer.h"

namespace lantern::cli {
namespace {

struct Flags {
  std::string model;
  std::string text;
  CLI::Option* text_option = nullptr;
  bool special = false;
  bool bos = false;
  ConsentFlags consent;
  bool json = false;
};

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(
      const engine::TextIo io,
      gate::load_text(flags.model, {.consent = flags.consent.consent(),
                                    .stop = new_interruptible_scope(),
                                    .progress = base::ProgressOutput::standard_error()}));
  std::string text = flags.text;
  if (flags.text_option->count() == 0) {
    LANTERN_ASSIGN(text, read_stdin());
  }
  const text::Tokenizer& tokenizer = io.tokenizer();
  const auto ids = tokenizer.encode(text, {.special = flags.special, .add_bos = flags.bos});
  const auto lost = std::count_if(
      text.begin(), text.end(), [&](char c) { return !tokenizer.keeps(static_cast<uint8_t>(c)); });
  if (lost > 0)
    tell(fmt::format("{} bytes of the text have no token in this vocabulary and are left out",
                     lost));
  if (flags.json) {
    base::OrderedJson tokens = base::OrderedJson::array();
    for (text::TokenId id : ids)
      tokens.push_back({{"id", id}, {"text", std::string(tokenizer.piece(id))}});
    LANTERN_TRY(print_json({{"model", flags.model}, {"count", ids.size()}, {"tokens", tokens}}));
    return Exit::kDone;
  }
  std::string line;
  for (text::TokenId id : ids) line += (line.empty() ? "" : ",") + std::to_string(id);
  LANTERN_TRY(print(line + "\n"));
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, kModelHelp)->required();
  flags->text_option =
      app.add_option("TEXT", flags->text, "what to tokenize (default: standard input)");
  app.add_flag("--special", flags->special, "let special tokens in the text count as such");
  app.add_flag("--bos", flags->bos, "begin with the model's begin-of-sequence token");
  flags->consent.define(app);
  app.add_flag("--json", flags->json, "ids with their texts (docs/schemas/tokenize.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_tokenize;
const Command k_tokenize = {
    .name = "tokenize",
    .access = ModelAccess::kUses,
    .summary = "show the token ids of a text",
    .examples =
        "  lantern tokenize smollm2 \"Hello, world\"\n"
        "  lantern tokenize smollm2 --special --json \"<|im_start|>user\"",
    .define = define,
};

}  // namespace lantern::cli
