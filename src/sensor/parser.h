// Headers and code of foreign files, read by a confined child (base/confined_child.h): executed
// anew, without capabilities, with the descriptors of its files and nothing else. What it answers
// is hostile: bounded, printable, and of these jobs alone.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sensor/host.h"
#include "sensor/model_store.h"
#include "sensor/runtime_rules.h"
#include "sensor/weights.h"

namespace lantern::sensor {

/// main()'s first act. Where this process was started as such a child, serves and gives the exit
/// status. Else nothing, and from then on this process may start such children of its own program.
std::optional<int> serve_parser_child(int argc, const char* const* argv);

enum class ParseTask {
  kWeights,      // what a file of weights says of itself
  kCode,         // which rules' strings are in a program or a library
  kManifest,     // what a model store's own record says
  kModelList,    // the names of models in what a runtime answered
  kModelFolder,  // what config.json or an index of shards says (model_parts.h), by `path`
  kInstalled,    // what a record of installed things says (installed.h), by `store` and `path`
};

struct ParseJob {
  ParseTask task = ParseTask::kWeights;
  const OpenedFile* file = nullptr;
  // Of a manifest: its store, by its place in model_stores(), and its path in there. Of installed
  // things: their kind, by its place in installed_kinds(), and the path.
  size_t store = 0;
  std::string path = {};
};

struct CodeMatch {
  std::string rule = {};  // its id
  uint32_t n_found = 0;   // of its strings
};

/// A thing that a rule knows, in a record of installed ones.
struct InstalledEntry {
  std::string rule = {};  // its id
  std::string name = {}, version = {};
  bool operator==(const InstalledEntry&) const = default;
};

struct ParseAnswer {
  std::optional<WeightFacts> weights = {};
  std::vector<CodeMatch> code = {};
  std::vector<ManifestEntry> manifest = {};  // of a list: labels alone
  std::vector<InstalledEntry> installed = {};
  std::string fault = {};  // why there is no answer; empty: there is one
};

class LookCache;

struct ParserOptions {
  std::chrono::milliseconds time_max{60'000};  // of one child
  std::string program = "/proc/self/exe";
  LookCache* cache = nullptr;  // what is known there is not read again
};

/// The answers, in order. A child that dies loses no other job's answer: each is asked again alone.
/// Where all answers are known, no child is started.
/// In this process where the program cannot start children (a test's). Errors: kIo where no child
/// could be started, kCorrupt for rules that are broken.
Result<std::vector<ParseAnswer>> parse_files(std::span<const ParseJob> jobs,
                                             const ParserOptions& options = {});

/// For the child and for fuzzing: what it answers, as its parent reads it.
Result<std::vector<ParseAnswer>> answers_from_json(std::string_view text, size_t n_jobs);

}  // namespace lantern::sensor
