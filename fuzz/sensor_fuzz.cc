// What the sensor reads of a foreign machine: headers of weights, stores' manifests, the kernel's
// texts with names in them that processes chose, command lines, and what the confined child says.
// Besides memory: whatever is kept is bounded and printable.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/printable.h"
#include "format/source.h"
#include "sensor/command_line.h"
#include "sensor/model_store.h"
#include "sensor/parser.h"
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
  switch (data[0] % 6) {
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
      break;
    case 4:
      (void)sensor::answers_from_json(rest, 1);
      break;
    default:
      (void)sensor::parse_recording(rest, "fuzz");
      break;
  }
  return 0;
}
