// One look over a machine: every process, then the places where models lie. What is looked at how
// closely follows from what it costs:
//
//   all processes             names, command lines, ports
//   those that may be seen    mapped and open files, of 8 MB and more by their first bytes
//   those that stand out      their code, each file once: weights, a known name or port, an
//                             accelerator, or memory filled by reading
//   model stores, --disk      files of 8 MB and more by their first bytes
//   where things are installed  names of packages, extensions and folders, records of images
//
// Files are read once (look_cache.h); processes are looked at some at a time, so that what all of
// them have mapped is never in memory at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "sensor/assess.h"
#include "sensor/host.h"
#include "sensor/installed.h"
#include "sensor/parser.h"

namespace lantern::sensor {

struct SweepOptions {
  bool fast = false;  // neither what is at rest or installed nor code that only may be an engine
  std::vector<std::string> disk = {};         // folders and files to walk besides the stores
  bool digest = false;                        // hash files of weights as a whole
  bool probe = false;                         // ask suspects that listen which models they have
  std::optional<std::vector<int>> pids = {};  // these processes alone
  /// What lies in stores and `disk`, where it was looked for before; null: it is looked for now.
  const std::vector<FoundWeights>* at_rest = nullptr;
  /// Who listens, where that was asked before; null: it is asked now, which walks all connections.
  const std::vector<Listener>* listeners = nullptr;
  ParserOptions parser = {};
};

struct SweepReport {
  std::vector<Finding> findings = {};         // strongest first
  std::vector<FoundWeights> at_rest = {};     // of no process seen, by path
  std::vector<Installed> installed = {};      // by kind and place
  std::vector<std::string> blind_spots = {};  // a line each for a person
  size_t n_processes = 0;
  std::vector<int> hidden = {};  // of them, those whose files could not be looked at
  int64_t at_s = 0;              // since 1970
  std::string boot_id = {};
};

/// Errors: kIo where processes cannot be listed or no child be started; kNotFound and kIo for a
/// path of `disk`. What vanishes or may not be seen is no error.
Result<SweepReport> sweep(Host& host, const SweepOptions& options);
/// The same by rules that were read before.
Result<SweepReport> sweep(Host& host, const SweepOptions& options,
                          std::span<const RuntimeRule> rules);

}  // namespace lantern::sensor
