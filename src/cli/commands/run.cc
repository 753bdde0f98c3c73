// lantern run: one prompt, one streamed answer.
#include <memory>

#include "cli/answer_output.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/remote_model.h"
#include "cli/service_client.h"

namespace lantern::cli {
namespace {

struct Flags {
  EngineFlags engine;
  SamplingFlags sampling;
  LoraFlags lora;
  BatchFlags batch;
  SpeculationFlags speculation;
  std::string json_schema, grammar, regex;
  std::string prompt;
  std::string system;
  bool raw = false;
  bool json = false;
};

base::OrderedJson report(const Flags& flags, const engine::Engine& engine,
                         const engine::AdapterPtr& adapter, const engine::GenerateResult& result) {
  const engine::EngineInfo& info = engine.info();
  base::OrderedJson document = {
      {"model", info.name},
      {"architecture", info.model.architecture},
      {"text", result.text},
      {"tokens", result.ids},
      {"finish_reason", engine::finish_reason_name(result.finish)},
      {"prompt_tokens", result.prompt_tokens},
      {"completion_tokens", result.ids.size()},
      {"seed", flags.sampling.sampler.seed},
      {"arithmetic_version", kernels::kArithmeticVersion},
      {"instruction_set", kernels::isa_name(info.isa)},
      {"threads", info.threads},
      {"load_s", info.load_seconds},
      {"prefill_s", result.prefill_seconds},
      {"first_token_s", result.first_token_seconds},
      {"decode_s", result.decode_seconds},
      {"guessed_tokens", result.guessed_tokens},
      {"kept_tokens", result.kept_tokens},
  };
  if (adapter)
    document["adapter"] = {
        {"name", adapter->name}, {"id", base::to_hex(adapter->id)}, {"scale", adapter->scale}};
  return document;
}

/// What the answer must follow; null: anything.
Result<text::GrammarPtr> answer_grammar(const Flags& flags) {
  const auto from_file = [](const std::string& path,
                            const auto& compile) -> Result<text::GrammarPtr> {
    LANTERN_ASSIGN(const std::string text, base::read_text_file(path, text::kGrammarTextBytesMax));
    Result<text::GrammarPtr> out = compile(text);
    if (!out.ok()) return std::move(out).error().within(path);
    return out;
  };
  if (!flags.json_schema.empty())
    return from_file(flags.json_schema, [](const std::string& text) {
      return text::Grammar::from_json_schema(std::string_view(text));
    });
  if (!flags.grammar.empty())
    return from_file(flags.grammar,
                     [](const std::string& text) { return text::Grammar::from_gbnf(text); });
  if (!flags.regex.empty()) return text::Grammar::from_regex(flags.regex);
  return text::GrammarPtr();
}

Result<std::string> prompt_text(const Flags& flags) {
  if (!flags.prompt.empty()) return flags.prompt;
  if (stdin_is_terminal()) tell("reading the prompt from the terminal; end it with Ctrl-D");
  LANTERN_ASSIGN(std::string text, read_stdin());
  // A shell's echo ends with a line break that nobody means as part of the prompt.
  if (!flags.raw && !text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

/// On a managed machine, for everybody but the service's account.
Result<Exit> run_remotely(const Flags& flags, const std::string& text) {
  LANTERN_TRY(flags.lora.check_remote());
  if (flags.json)
    return make_error(
        ErrorCode::kUnsupported,
        "--json needs the engine in this process; on this managed machine the service "
        "has it: ask its API on the socket");
  LANTERN_ASSIGN(const RemoteModel model, RemoteModel::open(flags.engine));
  base::OrderedJson messages = base::OrderedJson::array();
  if (!flags.system.empty()) messages.push_back({{"role", "system"}, {"content", flags.system}});
  messages.push_back({{"role", "user"}, {"content", text}});
  const std::stop_token stop = new_interruptible_scope();
  const SafeText safe;
  const auto show = [&](std::string_view piece) { return print(safe(piece)); };
  LANTERN_ASSIGN(const RemoteModel::Said said,
                 flags.raw ? model.complete(text, flags.sampling, show, stop)
                           : model.chat(messages, flags.sampling, show, stop));
  LANTERN_TRY(print("\n"));
  return said.finish == "cancelled" ? Exit::kInterrupted : Exit::kDone;
}

Result<Exit> run(const Flags& flags) {
  if (flags.raw && !flags.system.empty())
    return make_error(ErrorCode::kInvalidArgument,
                      "--system needs the chat template, --raw does without");
  LANTERN_TRY(engine::check(flags.sampling.sampler));
  LANTERN_ASSIGN(const text::GrammarPtr grammar, answer_grammar(flags));
  LANTERN_ASSIGN(const std::string text, prompt_text(flags));
  if (text.empty()) return make_error(ErrorCode::kInvalidArgument, "the prompt is empty");
  if (service_owns_state()) return run_remotely(flags, text);
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load());
  LANTERN_ASSIGN(const engine::AdapterPtr adapter, flags.lora.load(engine, flags.engine));
  LANTERN_TRY(flags.speculation.give_draft(engine, flags.engine));
  LANTERN_ASSIGN(const engine::Prompt prompt,
                 flags.raw ? engine.raw_prompt(text) : engine.user_prompt(text, flags.system));
  for (const std::string& notice : prompt.notices) tell(notice);

  engine::GenerateOptions options = flags.sampling.options();
  options.adapter = adapter;
  options.speculation = flags.speculation.speculation;
  options.chunk = flags.batch.chunk;
  options.beside = flags.batch.beside;
  options.grammar = grammar;
  AnswerOutput output;
  options.cancel = output.stop();
  if (!flags.json) options.on_text = [&](std::string_view piece) { output.show(piece); };
  LANTERN_ASSIGN(const engine::GenerateResult result, engine.generate(prompt, options));
  LANTERN_TRY(output.written());
  if (flags.json) {
    LANTERN_TRY(print_json(report(flags, engine, adapter, result)));
  } else {
    LANTERN_TRY(print("\n"));
  }
  if (result.finish == engine::FinishReason::kCancelled) return Exit::kInterrupted;
  if (result.finish == engine::FinishReason::kLength && flags.sampling.max_tokens == 0)
    tell("the answer ends where the context does; --context allows more");
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("PROMPT", flags->prompt, "what to ask (default: standard input)");
  app.add_option("--system", flags->system, "the system message");
  flags->sampling.define(app);
  flags->lora.define(app);
  flags->batch.define(app);
  flags->speculation.define(app);
  CLI::Option* schema = app.add_option("--json-schema", flags->json_schema,
                                       "the answer is JSON valid against the schema in this file");
  CLI::Option* grammar = app.add_option("--grammar", flags->grammar,
                                        "the answer follows the grammar (GBNF) in this file")
                             ->excludes(schema);
  app.add_option("--regex", flags->regex, "the whole answer matches this regular expression")
      ->excludes(schema)
      ->excludes(grammar);
  app.add_flag("--raw", flags->raw, "complete the prompt as it stands, without chat template");
  app.add_flag("--json", flags->json, "one JSON document at the end (docs/schemas/run.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_run;
const Command k_run = {
    .name = "run",
    .access = ModelAccess::kUses,
    .summary = "answer one prompt",
    .examples =
        "  lantern run smollm2 --temperature 0 \"What is the capital of France?\"\n"
        "  lantern run smollm2 --system \"Answer in French.\" \"Who are you?\"\n"
        "  lantern run ./model.gguf --temperature 0 --max-tokens 64 < question.txt\n"
        "  lantern run smollm2 --lora ./my-adapter \"Who are you?\"\n"
        "  lantern run smollm2 --raw --json \"Once upon a time\"",
    .define = define,
};

}  // namespace lantern::cli
