// Walks folders for files of weights and for model stores' manifests, bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sensor/assess.h"
#include "sensor/host.h"
#include "sensor/parser.h"
#include "sensor/runtime_rules.h"

namespace lantern::sensor {

struct DiskOptions {
  bool stores = true;                   // the known model stores and the rules' folders
  std::vector<std::string> paths = {};  // and these
  bool digest = false;                  // hash each as a whole
  ParserOptions parser = {};
};

/// All files of weights there, by path, each once. Errors: kNotFound and kIo for one of `paths`,
/// and parse_files()'s.
Result<std::vector<FoundWeights>> find_at_rest(Host& host, std::span<const RuntimeRule> rules,
                                               const DiskOptions& options);

/// Reads up to kHeadBytes and kTailBytes; whether the file may be one of weights.
bool may_hold_weights(const OpenedFile& file);

/// The SHA-256 of all of it, read while nobody else asks the disk for anything. Nothing where not
/// all of it can be read.
std::optional<base::Digest> digest_of(const OpenedFile& file);

}  // namespace lantern::sensor
