// What the sensor reads of a foreign machine: headers of weights, stores' manifests, records of
// what is installed, what lies beside shards, the kernel's texts with names in them that processes
// chose, command lines, and what the confined child says. Besides memory: whatever is kept is
// bounded and printable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/printable.h"
#include "format/source.h"
#include "sensor/command_line.h"
#include "sensor/container.h"
#include "sensor/installed.h"
#include "sensor/model_parts.h"
#include "sensor/model_store.h"
#include "sensor/parser.h"
#include "sensor/process_events.h"
#include "sensor/procfs_text.h"
#include "sensor/recording.h"
#include "sensor/weights.h"

namespace {

using namespace lantern;

void expect_shown(const std::string& text) {
  if (text.size() > 4 * sensor::kClaimBytesMax || text.find_first_of("\n\x1b") != std::string::npos)
    std::abort();
}

void weights(std::string_view bytes) {
  const format::MemorySource source("fuzz", std::as_bytes(std::span(bytes)));
  const auto facts = sensor::read_weights({.source = source, .have = bytes.size()});
  if (!facts) return;
  for (const std::string* text : {&facts->architecture, &facts->name, &facts->licence,
                                  &facts->publisher, &facts->source, &facts->fault})
    expect_shown(*text);
  // What the child would say of it, the parent takes.
  if (!sensor::weights_from_json(sensor::weights_to_json(*facts)).ok()) std::abort();
}

void manifests(std::string_view text) {
  for (const sensor::ModelStore* store : sensor::model_stores()) {
    if (store->read_manifest == nullptr) continue;
    (void)store->read_manifest("manifests/registry/library/model/tag", text);
  }
}

/// The rules are the same for every input.
const std::vector<sensor::RuntimeRule>& rules() {
  static const auto all = sensor::read_runtime_rules();
  if (!all.ok()) std::abort();
  return *all;
}

void installed(std::string_view text) {
  for (const sensor::InstalledKind* kind : sensor::installed_kinds()) {
    if (kind->read == nullptr) continue;
    for (const char* path : {"/etc/systemd/system/x.service", "/x/y.container"})
      for (const sensor::InstalledEntry& entry : kind->read(path, text, rules()))
        if (entry.rule.empty()) std::abort();
  }
}

void model_folders(std::string_view text) {
  (void)sensor::part_name(text);
  if (const auto facts = sensor::read_model_config(text); facts.ok())
    for (const std::string* claim : {&facts->architecture, &facts->quantization})
      expect_shown(*claim);
  if (const auto shards = sensor::read_shard_index(text); shards.ok())
    for (const std::string& shard : *shards)
      if (shard.find('/') != std::string::npos) std::abort();
}

void command_lines(std::string_view text) {
  const sensor::CommandLine line = sensor::cut_command_line(text);
  if (line.program.find_first_of(" \n") != std::string::npos) std::abort();
  for (const auto& [name, value] : line.flags)
    if (value.find(' ') != std::string::npos) std::abort();
  (void)sensor::cut_environment(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 8) {
    case 0:
      weights(rest);
      break;
    case 1:
      manifests(rest);
      break;
    case 2:
      command_lines(rest);
      break;
    case 3:
      (void)sensor::parse_stat(rest);
      (void)sensor::parse_maps(rest);
      (void)sensor::parse_tcp(rest);
      (void)sensor::parse_cgroup(rest);
      (void)sensor::status_number(rest, "VmRSS");
      (void)sensor::parse_drm_fdinfo(rest);
      if (const auto container = sensor::container_of(rest); container) expect_shown(container->id);
      for (const int pid : sensor::parse_proc_events(std::as_bytes(std::span(rest))))
        if (pid <= 0) std::abort();
      break;
    case 4:
      (void)sensor::answers_from_json(rest, 1);
      break;
    case 6:
      installed(rest);
      break;
    case 7:
      model_folders(rest);
      break;
    default:
      (void)sensor::parse_recording(rest, "fuzz");
      break;
  }
  return 0;
}
