#include "cli/introspection.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

#include "cli/command.h"

namespace lantern::cli {
namespace {

std::vector<const CLI::App*> commands(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// Options with a name of two dashes, --help among them.
std::vector<const CLI::Option*> long_options(const CLI::App& app) {
  std::vector<const CLI::Option*> options;
  for (const CLI::Option* option : app.get_options())
    if (!option->get_lnames().empty()) options.push_back(option);
  return options;
}

/// The values that an option takes, where they are a fixed set: CLI11 describes such a check as
/// "{a,b,c}".
std::vector<std::string> choices(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{'), end = type.find('}');
  std::vector<std::string> values;
  if (begin == std::string::npos || end == std::string::npos || end < begin) return values;
  for (size_t at = begin + 1; at < end;) {
    const size_t comma = std::min(type.find(',', at), end);
    values.push_back(type.substr(at, comma - at));
    at = comma + 1;
  }
  return values;
}

bool takes_a_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

/// What each shell's completion does after an option: its choices, files where it takes anything.
enum class After { kNothing, kChoices, kFiles };
After after(const CLI::Option& option) {
  if (!takes_a_value(option)) return After::kNothing;
  return choices(option).empty() ? After::kFiles : After::kChoices;
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
  return text;
}

/// For single quotes in a shell.
std::string quoted(const std::string& text) { return "'" + replaced(text, "'", "'\\''") + "'"; }

std::string roff(const std::string& text) {
  std::string out = replaced(replaced(text, "\\", "\\e"), "-", "\\-");
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return replaced(out, "\n.", "\n\\&.");
}

/// " MODEL [PROMPT]"
std::string positionals(const CLI::App& command) {
  std::string text;
  for (const CLI::Option* option : command.get_options())
    if (option->get_lnames().empty() && option->get_snames().empty())
      text += option->get_required() ? " " + option->get_name() : " [" + option->get_name() + "]";
  return text;
}

/// "| option | meaning |" and a row each; nothing for a command that only has subcommands.
std::string option_rows(const CLI::App& command) {
  std::string rows;
  for (const CLI::Option* option : command.get_options()) {
    if (option->check_lname("help")) continue;
    rows += fmt::format("| `{}` | {} |\n", option->get_name(),
                        replaced(option->get_description(), "|", "\\|"));
  }
  return rows.empty() ? "" : "\n| option | meaning |\n|---|---|\n" + rows;
}

std::string man_options(const CLI::App& command) {
  std::string rows;
  for (const CLI::Option* option : command.get_options()) {
    if (option->check_lname("help")) continue;
    rows +=
        fmt::format(".TP\n.B {}\n{}\n", roff(option->get_name()), roff(option->get_description()));
  }
  return rows;
}

constexpr std::string_view kExits =
    "0 done; 1 the answer is no; 2 bad input or usage; 3 inconclusive; 4 refused by policy; "
    "5 too little memory or disk; 6 network or I/O; 130 interrupted.";

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases, values;
  for (const CLI::App* command : commands(app)) {
    names.push_back(command->get_name());
    for (const CLI::Option* option : command->get_options())
      if (option->get_positional() && !choices(*option).empty())
        values += fmt::format("    {}:{}) words='{}' ;;\n", command->get_name(),
                              command->get_name(), fmt::join(choices(*option), " "));
    std::vector<std::string> options;
    std::vector<std::string> inner_names;
    for (const CLI::App* inner : commands(*command)) inner_names.push_back(inner->get_name());
    if (!inner_names.empty())
      values += fmt::format("    {0}:{0}) words='{1}' ;;\n", command->get_name(),
                            fmt::join(inner_names, " "));
    for (const CLI::Option* option : long_options(*command)) {
      const std::string name = "--" + option->get_lnames().front();
      options.push_back(name);
      if (after(*option) == After::kChoices)
        values += fmt::format("    {}:{}) words='{}' ;;\n", command->get_name(), name,
                              fmt::join(choices(*option), " "));
      else if (after(*option) == After::kFiles)
        values += fmt::format("    {}:{}) files=1 ;;\n", command->get_name(), name);
    }
    cases += fmt::format("    {}) words='{}' ;;\n", command->get_name(), fmt::join(options, " "));
  }
  return fmt::format(
      "# bash completion for lantern\n"
      "_lantern() {{\n"
      "  local current=${{COMP_WORDS[COMP_CWORD]}} words= files=\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}}:${{COMP_WORDS[COMP_CWORD-1]}} in\n{}  esac\n"
      "  if [ -n \"$words$files\" ]; then\n"
      "    COMPREPLY=($(compgen ${{files:+-f}} -W \"$words\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  case ${{COMP_WORDS[1]}} in\n{}    *) return ;;\n  esac\n"
      "  if [[ $current == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  else\n"
      "    [ \"$COMP_CWORD\" -eq 2 ] && words=$(lantern list --names 2>/dev/null) || words=\n"
      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\") $(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}}\n"
      "complete -o filenames -F _lantern lantern\n",
      fmt::join(names, " "), values, cases);
}

std::string zsh_completion(const CLI::App& app) {
  auto value = [](const CLI::Option& option) -> std::string {
    switch (after(option)) {
      case After::kNothing:
        return "";
      case After::kFiles:
        return ":value:_files";
      case After::kChoices:
        return fmt::format(":value:({})", fmt::join(choices(option), " "));
    }
    return "";
  };
  std::string list, cases;
  for (const CLI::App* command : commands(app)) {
    list += fmt::format("    {}\n", quoted(command->get_name() + ":" + command->get_description()));
    cases += fmt::format("    {}) _arguments \\\n", command->get_name());
    for (const CLI::Option* option : long_options(*command)) {
      const std::string description =
          replaced(replaced(replaced(option->get_description(), "[", "("), "]", ")"), ":", "\\:");
      cases += fmt::format("      {} \\\n",
                           quoted(fmt::format("--{}[{}]{}", option->get_lnames().front(),
                                              description, value(*option))));
    }
    cases += "      '*:file:_files' ;;\n";
  }
  return fmt::format(
      "#compdef lantern\n_lantern() {{\n  local -a commands=(\n{}  )\n"
      "  if (( CURRENT == 2 )); then\n    _describe command commands\n    return\n  fi\n"
      "  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n  case $command in\n{}  "
      "esac\n}}\n"
      "_lantern \"$@\"\n",
      list, cases);
}

std::string fish_completion(const CLI::App& app) {
  auto value = [](const CLI::Option& option) -> std::string {
    if (after(option) == After::kChoices)
      return " -x -a " + quoted(fmt::format("{}", fmt::join(choices(option), " ")));
    return after(option) == After::kFiles ? " -r" : "";
  };
  std::string out = "# fish completion for lantern\n";
  for (const CLI::App* command : commands(app)) {
    out += fmt::format("complete -c lantern -n __fish_use_subcommand -a {} -d {}\n",
                       command->get_name(), quoted(command->get_description()));
    for (const CLI::App* inner : commands(*command))
      out += fmt::format("complete -c lantern -n '__fish_seen_subcommand_from {}' -a {} -d {}\n",
                         command->get_name(), inner->get_name(), quoted(inner->get_description()));
    for (const CLI::Option* option : long_options(*command))
      out += fmt::format("complete -c lantern -n '__fish_seen_subcommand_from {}' -l {}{} -d {}\n",
                         command->get_name(), option->get_lnames().front(), value(*option),
                         quoted(option->get_description()));
  }
  return out;
}

std::string markdown(const CLI::App& app) {
  std::string out =
      "# Commands\n\nMade by `lantern completion markdown` from the definitions that parse the "
      "arguments; a test holds the two together.\n\nExit codes: " +
      std::string(kExits) + "\n";
  for (const Command* command : all_commands()) {
    const CLI::App* sub = app.get_subcommand(std::string(command->name));
    out += fmt::format("\n## lantern {}{}\n{}.\n{}", command->name, positionals(*sub),
                       command->summary, option_rows(*sub));
    for (const CLI::App* inner : commands(*sub))
      out += fmt::format("\n### lantern {} {}{}\n{}.\n{}", command->name, inner->get_name(),
                         positionals(*inner), inner->get_description(), option_rows(*inner));
    if (!command->examples.empty()) out += fmt::format("\n```\n{}\n```\n", command->examples);
  }
  return out;
}

std::string man_page(const CLI::App& app) {
  std::string out = fmt::format(
      ".TH LANTERN 1 \"\" \"lantern {}\" \"User Commands\"\n.SH NAME\nlantern \\- run open "
      "language "
      "models on this machine\n.SH SYNOPSIS\n.B lantern\n.I COMMAND\n[\\fIOPTIONS\\fR]\n.SH "
      "DESCRIPTION\n{}\nThe same model, request and seed give the same answer on every machine.\n"
      ".SH COMMANDS\n",
      LANTERN_VERSION, roff(app.get_description()));
  for (const Command* command : all_commands()) {
    const CLI::App* sub = app.get_subcommand(std::string(command->name));
    out += fmt::format(".SS lantern {}{}\n{}.\n{}", roff(std::string(command->name)),
                       roff(positionals(*sub)), roff(std::string(command->summary)),
                       man_options(*sub));
    for (const CLI::App* inner : commands(*sub))
      out += fmt::format(".SS lantern {} {}{}\n{}.\n{}", roff(std::string(command->name)),
                         roff(inner->get_name()), roff(positionals(*inner)),
                         roff(inner->get_description()), man_options(*inner));
    if (!command->examples.empty())
      out += fmt::format(".PP\n.nf\n{}\n.fi\n", roff(std::string(command->examples)));
  }
  out += fmt::format(
      ".SH ENVIRONMENT\n.TP\n.B LANTERN_HOME\nwhere all state lives, instead of the XDG folders\n"
      ".TP\n.B LANTERN_ISA\nforces an instruction set: ref, avx2, avxvnni or avx512; the answer is "
      "the same\n"
      ".TP\n.B HF_ENDPOINT, HF_TOKEN\nthe Hub that hf: speaks to, and the token it is shown\n"
      ".SH EXIT STATUS\n{}\n",
      roff(std::string(kExits)));
  return out;
}

}  // namespace lantern::cli
