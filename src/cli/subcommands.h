// A command that has subcommands with options of their own: `lantern audit show`, ...
#pragma once

#include <memory>

#include "cli/command.h"

namespace lantern::cli {

class Subcommands {
 public:
  /// One of them must be named.
  explicit Subcommands(CLI::App& app) : app_(app), chosen_(std::make_shared<Action>()) {
    app.require_subcommand(1);
  }
  /// `run` is what the command does where this one was named.
  CLI::App& add(const char* name, const char* summary, Action run) {
    CLI::App* sub = app_.add_subcommand(name, summary);
    sub->callback([chosen = chosen_, run = std::move(run)] { *chosen = run; });
    return *sub;
  }
  /// Of the whole command.
  [[nodiscard]] Action action() const {
    return [chosen = chosen_] { return (*chosen)(); };
  }

 private:
  CLI::App& app_;
  std::shared_ptr<Action> chosen_;
};

}  // namespace lantern::cli
