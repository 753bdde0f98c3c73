// The command line described by itself: shell completions and the man page are made from the
// same definitions that parse the arguments.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace lantern::cli {

std::string bash_completion(const CLI::App& app);
std::string zsh_completion(const CLI::App& app);
std::string fish_completion(const CLI::App& app);
/// lantern(1), in roff's man macros.
std::string man_page(const CLI::App& app);
/// docs/commands.md.
std::string markdown(const CLI::App& app);

}  // namespace lantern::cli
