// lantern chat: a dialogue on the terminal.
#include <cstdio>
#include <memory>

#include "base/file.h"
#include "base/paths.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "gate/session.h"

namespace lantern::cli {
namespace {

constexpr std::string_view kHelp =
    "  /system TEXT   set the system message (without TEXT: remove it)\n"
    "  /clear         forget the conversation\n"
    "  /save FILE     write the conversation as JSON\n"
    "  /help          this list\n"
    "  /bye           leave (or Ctrl-D)\n"
    "A line that ends with \\ goes on in the next; \"\"\" opens and closes a text of several "
    "lines.\n"
    "Ctrl-C stops an answer. A message that begins with / is written with two.\n";

struct Flags {
  EngineFlags engine;
  SamplingFlags sampling;
  SpeculationFlags speculation;
  std::string system;
  std::string session;
  bool no_history = false;
};

struct Input {
  std::string text;
  bool end = false;
};

/// One message: several lines after a trailing backslash or between triple quotes.
Input read_message(LineEditor& editor) {
  constexpr std::string_view kQuotes = "\"\"\"";
  Input input;
  bool quoted = false, more = false;
  for (;;) {
    LineEditor::Line line = editor.read(quoted || more ? "... " : ">>> ");
    if (line.end == LineEditor::End::kInterrupted) {
      std::fputs(quoted || more ? "\n" : "\n(Ctrl-D or /bye leaves)\n", stderr);
      return {};
    }
    if (line.end) return {.text = input.text, .end = true};
    std::string& text = line.text;
    if (!quoted && !more && text.starts_with(kQuotes)) {
      quoted = true;
      text.erase(0, kQuotes.size());
      if (text.empty()) continue;
    }
    if (quoted && text.ends_with(kQuotes)) {
      text.resize(text.size() - kQuotes.size());
      input.text += text;
      return input;
    }
    more = !quoted && text.ends_with('\\');
    if (more) text.pop_back();
    input.text += text;
    if (!quoted && !more) return input;
    input.text += '\n';
  }
}

class Chat {
 public:
  Chat(const Flags& flags, engine::Engine& engine)
      : flags_(flags), engine_(engine), conversation_(engine) {
    conversation_.set_system(flags.system);
  }

  /// Goes on with the conversation that was saved there, if one was.
  Status resume(const std::filesystem::path& file) {
    LANTERN_ASSIGN(const bool there, gate::restore_session(conversation_, file));
    if (!there) return {};
    if (!flags_.system.empty()) conversation_.set_system(flags_.system);
    tell(fmt::format("{} messages, {} tokens: the conversation goes on",
                     conversation_.messages().size(), conversation_.tokens()));
    return {};
  }
  Status keep(const std::filesystem::path& file) { return gate::save_session(conversation_, file); }

  Result<Exit> loop(LineEditor& editor) {
    for (;;) {
      new_interruptible_scope(SecondInterrupt::kIgnored);
      const Input input = read_message(editor);
      if (!input.text.empty()) {
        editor.remember(input.text);
        const bool is_command = input.text.starts_with('/') && !input.text.starts_with("//");
        if (is_command) {
          if (!command(input.text)) return Exit::kDone;
        } else {
          LANTERN_TRY(answer(input.text.substr(input.text.starts_with("//") ? 1 : 0)));
        }
      }
      if (input.end) {
        if (stdin_is_terminal()) std::fputs("\n", stderr);
        return Exit::kDone;
      }
    }
  }

 private:
  /// False to leave.
  bool command(const std::string& line) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
    if (name == "/bye" || name == "/exit" || name == "/quit") return false;
    if (name == "/help") {
      std::fwrite(kHelp.data(), 1, kHelp.size(), stderr);
    } else if (name == "/clear") {
      conversation_.clear();
      tell("the conversation is forgotten");
    } else if (name == "/system") {
      conversation_.set_system(argument);
      tell(argument.empty() ? "no system message from here on" : "the system message is set");
    } else if (name == "/save") {
      save(argument);
    } else {
      tell(fmt::format("{}: no such command; /help lists them", name));
    }
    return true;
  }

  void save(const std::string& file) {
    if (file.empty()) return tell("/save needs a file name");
    const base::OrderedJson document = {{"model", engine_.info().name},
                                        {"messages", conversation_.messages()}};
    const Status saved = base::write_file_atomically(
        file, document.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
    tell(saved.ok() ? fmt::format("saved to {}", file) : saved.error().message);
  }

  /// What goes wrong in one answer is told and the dialogue goes on; only a stdout that cannot
  /// be written ends it.
  Status answer(const std::string& message) {
    engine::GenerateOptions options = flags_.sampling.options();
    options.speculation = flags_.speculation.speculation;
    options.cancel = new_interruptible_scope();
    Status written;
    options.on_text = [&](std::string_view piece) {
      if (written.ok()) written = print(safe_(piece));
    };
    const Result<engine::GenerateResult> result = conversation_.say(message, options);
    for (const std::string& notice : conversation_.notices()) tell(notice);
    LANTERN_TRY(written);
    if (!result.ok()) {
      tell(result.error().message);
      return {};
    }
    LANTERN_TRY(print("\n"));
    if (result->finish == engine::FinishReason::kCancelled) tell("stopped");
    if (result->finish == engine::FinishReason::kLength)
      tell("the answer was cut at its longest length");
    return {};
  }

  const Flags& flags_;
  engine::Engine& engine_;
  engine::Conversation conversation_;
  SafeText safe_;
};

Result<Exit> run(const Flags& flags) {
  LANTERN_TRY(engine::check(flags.sampling.sampler));
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load());
  LANTERN_TRY(flags.speculation.give_draft(engine, flags.engine));
  std::filesystem::path history;
  if (!flags.no_history && stdin_is_terminal()) {
    LANTERN_ASSIGN(const base::Folders folders, base::own_folders());
    LANTERN_TRY(base::make_private_folder(folders.state));
    history = folders.state / "chat_history";
  }
  LineEditor editor(history);
  if (stdin_is_terminal())
    tell(fmt::format("{}, {} tokens of context. /help lists the commands, Ctrl-D leaves.",
                     engine.info().name, engine.info().context));
  Chat chat(flags, engine);
  if (flags.session.empty()) return chat.loop(editor);
  LANTERN_ASSIGN(const std::filesystem::path session, gate::session_path(flags.session));
  LANTERN_TRY(chat.resume(session));
  LANTERN_ASSIGN(const Exit exit, chat.loop(editor));
  LANTERN_TRY(chat.keep(session));
  return exit;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("--system", flags->system, "the system message");
  flags->sampling.define(app);
  flags->speculation.define(app);
  app.add_option("--session", flags->session,
                 "a name: go on with the conversation that was kept under it, and keep this one, "
                 "encrypted, with its cache");
  app.add_flag("--no-history", flags->no_history, "keep no history of what was typed");
  return [flags] { return run(*flags); };
}

}  // namespace

extern const Command k_chat;
const Command k_chat = {
    .name = "chat",
    .access = ModelAccess::kUses,
    .summary = "talk with a model",
    .examples =
        "  lantern chat smollm2\n"
        "  lantern chat smollm2 --session work\n"
        "  lantern chat ./model.gguf --system \"You are terse.\" --context 8192",
    .define = define,
};

}  // namespace lantern::cli
