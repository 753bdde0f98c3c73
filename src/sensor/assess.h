// From evidence to findings: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "sensor/container.h"
#include "sensor/evidence.h"
#include "sensor/host.h"
#include "sensor/runtime_rules.h"
#include "sensor/weights.h"

namespace lantern::sensor {

/// A file of weights, in use or at rest.
struct FoundWeights {
  std::string path = {};
  bool deleted = false;
  Basis use = Basis::kVerified;  // that the process uses it; kInferred where its memory only fits
  uint64_t size = 0;
  base::FileStamp stamp = {};  // all 0: it was not opened itself
  WeightFacts facts = {};
  std::string store = {};                   // whose store it lies in: "Ollama"; empty: none
  std::string label = {};                   // what that store calls it: "llama3.2:3b"
  std::string where = {};                   // where the header was read
  std::optional<base::Digest> digest = {};  // of the whole file, where it was hashed
  uint32_t uid = 0;                         // at rest: of the home it lies in
  /// What the folder's config.json says; `facts` has it where the header says nothing.
  std::optional<WeightFacts> config = {};
  std::string config_path = {};
  /// Of a model in several files: each of them, in order. Then sizes and counts above are sums,
  /// `path` is the first one's, and digests and stamps are the parts' alone.
  std::vector<FoundWeights> parts = {};

  /// The files themselves: the parts, or this one.
  [[nodiscard]] std::span<const FoundWeights> files() const {
    return parts.empty() ? std::span(this, 1) : std::span(parts);
  }
};

enum class Level {
  kLabel,      // it is called like one, no more
  kSuspected,  // one strong class
  kAlert,      // two independent classes
};
std::string_view level_name(Level value);

struct Finding {
  Process process = {};
  std::string program = {};  // the path of its executable, where it can be seen
  std::string runtime = {};  // the rule's id; empty: an unknown one
  std::string runtime_name = {};
  RuntimeClass kind = RuntimeClass::kRuntime;
  std::optional<Container> container = {};
  Surroundings surroundings = {};
  std::vector<uint16_t> ports = {};  // it listens there
  std::vector<FoundWeights> weights = {};
  std::vector<Evidence> evidence = {};  // strongest first
  int score = 0;
  Level level = Level::kLabel;
};

/// "in docker 0123456789ab", "in other namespaces (mnt, pid)"; empty: it lives where we do.
std::string whereabouts(const Finding& finding);

/// The sum over classes of each one's strongest piece, at most 100.
int score_of(std::span<const Evidence> evidence);
/// Which level that is; nothing where it is not worth showing (a port alone, a GPU alone).
std::optional<Level> level_of(std::span<const Evidence> evidence);

}  // namespace lantern::sensor
