// lantern template: the text that the model will really see.
#include <memory>

#include "base/file.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "text/chat_template.h"

namespace lantern::cli {
namespace {

constexpr uint64_t kFileBytesMax = 64u << 20;

struct Flags {
  std::string source;
  std::string messages;
  std::string tools;
  std::string bos, eos;
  CLI::Option* bos_option = nullptr;
  CLI::Option* eos_option = nullptr;
  std::string name;
  ConsentFlags consent;
  bool no_generation_prompt = false;
  bool json = false;
};

std::string name_of(const std::string& path) { return path == "-" ? "standard input" : path; }

Result<base::OrderedJson> read_json(const std::string& path) {
  LANTERN_ASSIGN(const std::string text,
                 path == "-" ? read_stdin() : base::read_text_file(path, kFileBytesMax));
  return base::parse_ordered_json(text, name_of(path));
}

Result<text::RenderInput> render_input(const Flags& flags) {
  text::RenderInput input;
  LANTERN_ASSIGN(base::OrderedJson messages, read_json(flags.messages));
  // Also a whole request, as APIs take it: {"messages": [...], "tools": [...]}.
  if (messages.is_object() && messages.contains("messages")) {
    if (messages.contains("tools")) input.tools = messages["tools"];
    messages = messages["messages"];
  }
  if (!messages.is_array())
    return make_error(ErrorCode::kInvalidArgument, "{}: messages must be a JSON array",
                      name_of(flags.messages));
  input.messages = std::move(messages);
  if (!flags.tools.empty()) {
    LANTERN_ASSIGN(base::OrderedJson tools, read_json(flags.tools));
    input.tools = std::move(tools);
  }
  input.add_generation_prompt = !flags.no_generation_prompt;
  if (flags.bos_option->count() > 0) input.bos_token = flags.bos;
  if (flags.eos_option->count() > 0) input.eos_token = flags.eos;
  return input;
}

/// What is wrong with a message is told with the file that it is from.
Result<std::vector<text::Span>> with_file(Result<std::vector<text::Span>> spans,
                                          const Flags& flags) {
  if (spans.ok() || !spans.error().message.starts_with("messages[")) return spans;
  return std::move(spans).error().within(name_of(flags.messages));
}

Result<std::vector<text::Span>> render(const Flags& flags) {
  LANTERN_ASSIGN(text::RenderInput input, render_input(flags));
  if (flags.source.ends_with(".jinja") || flags.source.ends_with(".j2")) {
    LANTERN_ASSIGN(std::string source, base::read_text_file(flags.source, kFileBytesMax));
    LANTERN_ASSIGN(const text::ChatTemplate chat_template,
                   text::ChatTemplate::parse(std::move(source)));
    input.date = engine::local_time_now();
    return with_file(chat_template.render(input), flags);
  }
  LANTERN_ASSIGN(
      const engine::TextIo io,
      gate::load_text(flags.source, {.consent = flags.consent.consent(),
                                     .stop = new_interruptible_scope(),
                                     .progress = base::ProgressOutput::standard_error()}));
  return with_file(io.render(std::move(input), flags.name), flags);
}

Result<Exit> run(const Flags& flags) {
  LANTERN_ASSIGN(const std::vector<text::Span> spans, render(flags));
  if (flags.json) {
    base::OrderedJson list = base::OrderedJson::array();
    for (const text::Span& span : spans)
      list.push_back({{"text", span.text},
                      {"kind", span.kind == text::SpanKind::kLiteral ? "literal" : "content"}});
    LANTERN_TRY(print_json({{"text", text::to_text(spans)}, {"spans", list}}));
  } else {
    LANTERN_TRY(print(SafeText()(text::to_text(spans))));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("SOURCE", flags->source, "a model, or a .jinja file")->required();
  app.add_option("--messages", flags->messages, "JSON array of messages, - for standard input")
      ->required();
  app.add_option("--tools", flags->tools, "JSON array of tools");
  app.add_option("--name", flags->name, "a named template of the model, such as tool_use");
  flags->bos_option =
      app.add_option("--bos", flags->bos, "begin-of-sequence text (default: the model's)");
  flags->eos_option =
      app.add_option("--eos", flags->eos, "end-of-sequence text (default: the model's)");
  app.add_flag("--no-generation-prompt", flags->no_generation_prompt,
               "do not open the assistant's turn");
  flags->consent.define(app);
  app.add_flag("--json", flags->json,
               "pieces, and which of them are the template's own (docs/schemas/template.json)");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_template;
const Command k_template = {
    .name = "template",
    .access = ModelAccess::kUses,
    .summary = "show the text that a chat template makes of messages",
    .examples =
        "  lantern template smollm2 --messages messages.json\n"
        "  echo '[{\"role\":\"user\",\"content\":\"Hi\"}]' | lantern template smollm2 --messages "
        "-\n"
        "  lantern template chat.jinja --messages m.json --tools t.json --bos '<s>' --eos '</s>'",
    .define = define,
};

}  // namespace lantern::cli
