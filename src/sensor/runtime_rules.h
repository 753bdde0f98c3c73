// What Lantern knows of programs that run AI, and of those that only talk to it:
// rules/runtimes/*.toml, one file each, compiled in. docs/sensor.md says how to write one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace lantern::sensor {

struct RuleText {
  std::string_view name;  // the file's
  std::string_view toml;
};
/// What the build compiled in.
std::span<const RuleText> runtime_rule_texts();

enum class RuntimeClass {
  kRuntime,   // runs models itself
  kLibrary,   // runs models inside other programs: found in many that are no AI
  kFrontEnd,  // shows or routes what another runtime answers
  kAgent,     // acts by itself, mostly with models elsewhere
  kOwn,       // Lantern
};
std::string_view runtime_class_name(RuntimeClass value);

/// What one sample holds of a process; a rule's own tests.
struct RuleSample {
  bool match = true;
  std::string process = {}, script = {}, library = {}, text = {};
  std::string package = {}, image = {}, extension = {}, cache = {}, profile_folder = {};
  uint16_t port = 0;
};

struct RuntimeRule {
  std::string id = {};  // the file's name without its ending
  std::string name = {};
  RuntimeClass kind = RuntimeClass::kRuntime;
  std::string homepage = {};
  std::vector<uint16_t> ports = {};
  std::vector<std::string> folders = {};    // of models, "~/" for a home
  std::vector<std::string> processes = {};  // names of the process or of its program
  std::vector<std::string> scripts = {};    // of an interpreter: a file's or a module's beginning
  std::vector<std::string> libraries = {};  // beginnings of mapped files' names; with '/', a part
                                            // of their path
  std::vector<std::string> strings = {};    // in code; `strings_min` of them
  uint32_t strings_min = 0;
  // What is installed of it (installed.h).
  std::vector<std::string> packages = {};         // of Python, as PEP 503 or its author writes them
  std::vector<std::string> images = {};           // of containers, without registry and tag; with
                                                  // '/' at the end all that are below
  std::vector<std::string> extensions = {};       // of editors: "publisher.name"
  std::vector<std::string> caches = {};           // of pages in a browser, at least 6 bytes each
  std::vector<std::string> profile_folders = {};  // beside a browser's profiles
  /// Which rule names a process that several match: an engine is inside many products.
  int64_t rank = 2;
  std::vector<RuleSample> samples = {};
};

/// kCorrupt with file, line and what is wrong; unknown keys are wrong too.
Result<RuntimeRule> parse_runtime_rule(const RuleText& text);
/// All that are compiled in, sorted by id; read once. A broken one is an error.
Result<std::vector<RuntimeRule>> read_runtime_rules();

bool matches_process(const RuntimeRule& rule, std::string_view name);
bool matches_script(const RuntimeRule& rule, std::string_view script);
bool matches_library(const RuntimeRule& rule, std::string_view path);
/// Names that PEP 503 holds for the same are: "llama-cpp-python" and "Llama_CPP.python".
bool matches_package(const RuntimeRule& rule, std::string_view name);
/// `name`: of an image, with its registry or without, no tag: "docker.io/ollama/ollama".
bool matches_image(const RuntimeRule& rule, std::string_view name);
/// Whatever the case of letters.
bool matches_extension(const RuntimeRule& rule, std::string_view name);

/// Finds the strings of all rules in code, in any pieces: about a byte a nanosecond.
class CodeSearch {
 public:
  /// `rules` outlive it.
  explicit CodeSearch(std::span<const RuntimeRule> rules);

  /// The next piece of a file. Strings across two pieces are found, too.
  void feed(std::string_view bytes);

  struct Match {
    size_t rule = 0;  // index into `rules`
    uint32_t n_found = 0;
  };
  /// Rules of which enough was found in what was fed since the last call.
  std::vector<Match> finish();
  /// The strings that were found in it; finish() comes after.
  [[nodiscard]] std::vector<std::string_view> strings_found() const;

 private:
  struct Pattern {
    std::string_view text;
    size_t rule = 0;
  };
  void search(std::string_view bytes);
  static size_t slot(const char* at);

  std::span<const RuntimeRule> rules_;
  std::vector<Pattern> patterns_;
  std::vector<bool> found_;                     // of each pattern
  std::vector<std::vector<uint32_t>> by_slot_;  // patterns by their first four bytes
  std::vector<uint8_t> filled_;                 // whether a slot has any
  std::string carry_;                           // the end of the last piece
  size_t longest_ = 0;
};

}  // namespace lantern::sensor
