#include <algorithm>
#include <cstdio>
#include <exception>
#include <sstream>
#include <vector>

#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"

namespace lantern::cli {

Exit exit_of(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kCorrupt:
    case ErrorCode::kUnsupported:
    case ErrorCode::kTooLarge:
      return Exit::kBadInput;
    case ErrorCode::kDenied:
      return Exit::kRefused;
    case ErrorCode::kExhausted:
      return Exit::kExhausted;
    case ErrorCode::kIo:
      return Exit::kIo;
    case ErrorCode::kCancelled:
      return Exit::kInterrupted;
    case ErrorCode::kInternal:
      return Exit::kInconclusive;
  }
  return Exit::kInconclusive;
}

namespace {

/// An option that may be given several times takes one value each time; CLI11 would have it take
/// all words that follow, a prompt among them.
void take_one_value_each(CLI::App& app) {
  for (CLI::Option* option : app.get_options())
    if (!option->get_lnames().empty() && option->get_items_expected_max() > 1)
      option->expected(1)->take_all()->allow_extra_args(false);
  for (CLI::App* sub : app.get_subcommands({})) take_one_value_each(*sub);
}

}  // namespace

void define_program(CLI::App& app, std::vector<Action>& actions) {
  app.name("lantern");
  app.description(
      "Runs open language models on this machine: known models, answers that can be repeated.");
  app.set_version_flag("--version", std::string("lantern " LANTERN_VERSION));
  app.require_subcommand(1);
  app.footer(
      "Examples:\n"
      "  lantern pull smollm2\n"
      "  lantern run smollm2 \"What is the capital of France?\"\n"
      "  lantern serve smollm2\n\n"
      "lantern COMMAND --help shows a command's options and examples.");
  for (const Command* command : all_commands()) {
    CLI::App* sub = app.add_subcommand(std::string(command->name), std::string(command->summary));
    if (!command->examples.empty()) sub->footer(fmt::format("Examples:\n{}", command->examples));
    actions.push_back(command->define(*sub));
    take_one_value_each(*sub);
  }
}

namespace {

bool is_command(std::string_view name) {
  const auto commands = all_commands();
  return std::any_of(commands.begin(), commands.end(),
                     [&](const Command* command) { return command->name == name; });
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  CLI::App app;
  std::vector<Action> actions;
  define_program(app, actions);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    std::ostringstream text;
    app.exit(success, text, text);
    const Status printed = print(text.str());
    if (printed.ok()) return static_cast<int>(Exit::kDone);
    tell(printed.error().message);
    return static_cast<int>(exit_of(printed.error()));
  } catch (const CLI::ParseError& error) {
    if (argc > 1 && argv[1][0] != '-' && !is_command(argv[1])) {
      std::fprintf(stderr, "lantern: %s: no such command\nTry: lantern --help\n",
                   visible(argv[1]).c_str());
      return static_cast<int>(Exit::kBadInput);
    }
    const std::string command = argc > 1 && is_command(argv[1]) ? std::string(argv[1]) + " " : "";
    std::fprintf(stderr, "lantern: %s\nTry: lantern %s--help\n", error.what(), command.c_str());
    return static_cast<int>(Exit::kBadInput);
  }
  install_interrupt_handler();
  const auto commands = all_commands();
  for (size_t i = 0; i < commands.size(); ++i) {
    if (!app.got_subcommand(std::string(commands[i]->name))) continue;
    Result<Exit> result = actions[i]();
    if (result.ok()) return static_cast<int>(*result);
    const bool was_cancelled = result.error().code == ErrorCode::kCancelled;
    tell(was_cancelled ? "interrupted" : result.error().message);
    return static_cast<int>(exit_of(result.error()));
  }
  return static_cast<int>(Exit::kBadInput);
}

}  // namespace lantern::cli
