// lantern chat: a dialogue on the terminal.
#include <cstdio>
#include <functional>
#include <memory>
#include <stop_token>
#include <utility>

#include "base/file.h"
#include "base/paths.h"
#include "cli/answer_output.h"
#include "cli/command.h"
#include "cli/flags.h"
#include "cli/interrupt.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/remote_model.h"
#include "cli/service_client.h"
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
  LoraFlags lora;
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

/// The other side of the dialogue: the engine in this process, or the service.
class Dialogue {
 public:
  struct Said {
    bool cancelled = false, at_length = false;
  };
  using OnText = std::function<void(std::string_view)>;
  virtual ~Dialogue() = default;
  virtual Result<Said> say(const std::string& message, const OnText& on_text,
                           const std::stop_token& stop) = 0;
  virtual void set_system(const std::string& text) = 0;
  virtual void clear() = 0;
  [[nodiscard]] virtual const std::string& model() const = 0;
  [[nodiscard]] virtual base::OrderedJson messages() const = 0;
};

class LocalDialogue final : public Dialogue {
 public:
  LocalDialogue(const Flags& flags, engine::Engine& engine, engine::AdapterPtr adapter)
      : flags_(flags), engine_(engine), conversation_(engine, std::move(adapter)) {}
  Result<Said> say(const std::string& message, const OnText& on_text,
                   const std::stop_token& stop) override {
    engine::GenerateOptions options = flags_.sampling.options();
    options.speculation = flags_.speculation.speculation;
    options.cancel = stop;
    options.on_text = on_text;
    const Result<engine::GenerateResult> result = conversation_.say(message, options);
    for (const std::string& notice : conversation_.notices()) tell(notice);
    if (!result.ok()) return result.error();
    return Said{.cancelled = result->finish == engine::FinishReason::kCancelled,
                .at_length = result->finish == engine::FinishReason::kLength};
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
  void set_system(const std::string& text) override { conversation_.set_system(text); }
  void clear() override { conversation_.clear(); }
  [[nodiscard]] const std::string& model() const override { return engine_.info().name; }
  [[nodiscard]] base::OrderedJson messages() const override { return conversation_.messages(); }

 private:
  const Flags& flags_;
  engine::Engine& engine_;
  engine::Conversation conversation_;
};

class RemoteDialogue final : public Dialogue {
 public:
  RemoteDialogue(const Flags& flags, const RemoteModel& model) : flags_(flags), model_(model) {}
  Result<Said> say(const std::string& message, const OnText& on_text,
                   const std::stop_token& stop) override {
    base::OrderedJson turns = messages();
    turns.push_back({{"role", "user"}, {"content", message}});
    const auto take = [&](std::string_view piece) -> Status {
      on_text(piece);
      return {};
    };
    LANTERN_ASSIGN(const RemoteModel::Said said, model_.chat(turns, flags_.sampling, take, stop));
    turns_.push_back({{"role", "user"}, {"content", message}});
    turns_.push_back({{"role", "assistant"}, {"content", said.text}});
    return Said{.cancelled = said.finish == "cancelled", .at_length = said.finish == "length"};
  }
  void set_system(const std::string& text) override { system_ = text; }
  void clear() override { turns_ = base::OrderedJson::array(); }
  [[nodiscard]] const std::string& model() const override { return model_.name(); }
  [[nodiscard]] base::OrderedJson messages() const override {
    base::OrderedJson all = base::OrderedJson::array();
    if (!system_.empty()) all.push_back({{"role", "system"}, {"content", system_}});
    for (const base::OrderedJson& turn : turns_) all.push_back(turn);
    return all;
  }

 private:
  const Flags& flags_;
  const RemoteModel& model_;
  std::string system_;
  base::OrderedJson turns_ = base::OrderedJson::array();
};

class Chat {
 public:
  Chat(const Flags& flags, Dialogue& dialogue) : dialogue_(dialogue) {
    dialogue_.set_system(flags.system);
  }

  Result<Exit> loop(LineEditor& editor) {
    for (;;) {
      new_interruptible_scope(SecondInterrupt::kIgnored);
      const Input input = read_message(editor);
      if (!input.text.empty()) {
        editor.remember(input.text);
        const bool is_command = input.text.starts_with('/') && !input.text.starts_with("//");
        if (is_command) {
          if (!command(input.text)) return end();
        } else {
          LANTERN_TRY(answer(input.text.substr(input.text.starts_with("//") ? 1 : 0)));
        }
      }
      if (input.end) {
        if (stdin_is_terminal()) std::fputs("\n", stderr);
        return end();
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
      dialogue_.clear();
      tell("the conversation is forgotten");
    } else if (name == "/system") {
      dialogue_.set_system(argument);
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
    const base::OrderedJson document = {{"model", dialogue_.model()},
                                        {"messages", dialogue_.messages()}};
    const Status saved = base::write_file_atomically(
        file, document.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
    tell(saved.ok() ? fmt::format("saved to {}", file) : saved.error().message);
  }

  /// What goes wrong in one answer is told to whoever sits there, and the dialogue goes on; where
  /// nobody does it ends, as it does where stdout cannot be written.
  Status answer(const std::string& message) {
    AnswerOutput output;
    const Result<Dialogue::Said> said = dialogue_.say(
        message, [&](std::string_view piece) { output.show(piece); }, output.stop());
    LANTERN_TRY(output.written());
    if (!said.ok()) {
      if (!stdin_is_terminal()) return said.error();
      refused_ = said.error().code == ErrorCode::kDenied;
      tell(said.error().message);
      return {};
    }
    refused_ = false;
    LANTERN_TRY(print("\n"));
    if (said->cancelled) tell("stopped");
    if (said->at_length) tell("the answer was cut at its longest length");
    return {};
  }

  [[nodiscard]] Exit end() const { return refused_ ? Exit::kRefused : Exit::kDone; }

  Dialogue& dialogue_;
  bool refused_ = false;  // the last answer that was asked for
};

/// On a managed machine, for everybody but the service's account. No history: that folder is the
/// service's.
Result<Exit> run_remotely(const Flags& flags) {
  if (!flags.session.empty())
    return make_error(ErrorCode::kUnsupported,
                      "--session keeps the cache of the engine in this process; on this managed "
                      "machine the service has it");
  LANTERN_TRY(flags.lora.check_remote());
  LANTERN_ASSIGN(const RemoteModel model, RemoteModel::open(flags.engine));
  if (stdin_is_terminal())
    tell(fmt::format("{}, by the service. /help lists the commands, Ctrl-D leaves.", model.name()));
  LineEditor editor({});
  RemoteDialogue dialogue(flags, model);
  return Chat(flags, dialogue).loop(editor);
}

Result<Exit> run(const Flags& flags) {
  LANTERN_TRY(engine::check(flags.sampling.sampler));
  if (service_owns_state()) return run_remotely(flags);
  LANTERN_ASSIGN(engine::Engine engine, flags.engine.load());
  LANTERN_ASSIGN(const engine::AdapterPtr adapter, flags.lora.load(engine, flags.engine));
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
  LocalDialogue dialogue(flags, engine, adapter);
  Chat chat(flags, dialogue);
  if (flags.session.empty()) return chat.loop(editor);
  LANTERN_ASSIGN(const std::filesystem::path session, gate::session_path(flags.session));
  LANTERN_TRY(dialogue.resume(session));
  Result<Exit> exit = chat.loop(editor);
  const Status kept = dialogue.keep(session);
  if (exit.ok()) LANTERN_TRY(kept);
  return exit;
}

Action define(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  flags->engine.define(app);
  app.add_option("--system", flags->system, "the system message");
  flags->lora.define(app);
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
