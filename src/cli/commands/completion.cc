// lantern completion: what a shell needs to complete this program's commands; and its man page.
#include <memory>

#include "cli/command.h"
#include "cli/introspection.h"
#include "cli/output.h"

namespace lantern::cli {
namespace {

Result<Exit> run(const std::string& what) {
  CLI::App app;
  std::vector<Action> actions;
  define_program(app, actions);
  if (what == "bash") {
    LANTERN_TRY(print(bash_completion(app)));
  } else if (what == "zsh") {
    LANTERN_TRY(print(zsh_completion(app)));
  } else if (what == "fish") {
    LANTERN_TRY(print(fish_completion(app)));
  } else if (what == "markdown") {
    LANTERN_TRY(print(markdown(app)));
  } else {
    LANTERN_TRY(print(man_page(app)));
  }
  return Exit::kDone;
}

Action define(CLI::App& app) {
  auto what = std::make_shared<std::string>();
  app.add_option("WHAT", *what,
                 "bash, zsh or fish; man for the man page, markdown for docs/commands.md")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish", "man", "markdown"}));
  return [what] { return run(*what); };
}

}  // namespace

extern const Command k_completion;
const Command k_completion = {
    .name = "completion",
    .access = ModelAccess::kNone,
    .summary = "print shell completions or the man page",
    .examples =
        "  source <(lantern completion bash)\n"
        "  lantern completion man | man -l -",
    .define = define,
};

}  // namespace lantern::cli
