// What tests of the sensor share: programs that use a model, or none, and what `lantern scan` says
// of them.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace lantern::tests {

/// A program of tests/evasion, by its name.
std::string evasion(const std::string& name);
/// A copy of one, that nobody else runs.
std::filesystem::path copy_as(const std::string& program, const std::filesystem::path& to);

/// A GGUF file of two matrices of 16-bit numbers, 16 MiB of them: larger than any file that the
/// sensor skips.
std::filesystem::path write_model(const std::filesystem::path& path);

/// A program that runs until it goes out of scope. Ready when the constructor returns: it has
/// written "ready" to its standard output.
class Running {
 public:
  explicit Running(const std::vector<std::string>& arguments, bool as_nobody = false);
  ~Running();
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  [[nodiscard]] int pid() const { return pid_; }
  /// Its only child's only child and so on: who runs behind a wrapper.
  [[nodiscard]] int innermost() const;

 private:
  int pid_ = -1, input_ = -1;
};

/// `lantern scan --json` with these arguments.
nlohmann::json scan_json(const std::vector<std::string>& more = {});
/// The finding on a process; null where there is none.
nlohmann::json finding_of(const nlohmann::json& report, int pid);
/// An attribute of a file of weights; empty where it has none of that name.
std::string attribute(const nlohmann::json& weights, const std::string& name);

}  // namespace lantern::tests
