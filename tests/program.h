// Runs the built program as a person would, and holds what it printed.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lantern::tests {

struct Ran {
  int exit_code = -1;  // 128 + n for signal n
  std::string out, err;
};

struct RunOptions {
  std::map<std::string, std::string> environment = {};  // added to this process's
  std::string input = {};                               // standard input
  int timeout_s = 120;                                  // then it is killed
  bool as_nobody = false;                               // without root's rights
};

/// lantern with these arguments.
Ran run_lantern(const std::vector<std::string>& arguments, const RunOptions& options = {});

/// This process becomes lantern with these arguments: for a child that was forked.
[[noreturn]] void become_lantern(const std::vector<std::string>& arguments);

/// What is typed once a prompt has appeared.
struct Answer {
  std::string prompt, typed;
};
/// lantern at a terminal of its own. `out` is all that it showed.
Ran run_at_terminal(const std::vector<std::string>& arguments, const std::vector<Answer>& answers);

/// The default model, where `lantern pull smollm2` has put it (LANTERN_HOME or XDG); empty if it
/// is not there.
std::string default_model();

/// A state folder of its own (LANTERN_HOME) for as long as it lives; what was there before comes
/// back.
class ScopedHome {
 public:
  explicit ScopedHome(const std::string& name);
  ~ScopedHome();
  ScopedHome(const ScopedHome&) = delete;
  ScopedHome& operator=(const ScopedHome&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<std::string> before_;
};

/// An empty folder of this process's own, removed at its end.
std::filesystem::path scratch_folder();

}  // namespace lantern::tests
