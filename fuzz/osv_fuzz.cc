// An OSV record. What is checked besides memory: what reads also matches, errors are one line that
// names the file, and a record is affected only by what it names.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supply/advisories/advisory_file.h"
#include "supply/advisories/match.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern::supply;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto advisory = parse_osv(text, "a.json");
  if (!advisory.ok()) {
    require(advisory.error().message.starts_with("a.json: "));
    require(advisory.error().message.find('\n') == std::string::npos);
    return 0;
  }
  require(!advisory->id.empty());
  // A model that no record of the corpus names.
  lantern::base::Digest id{};
  id[0] = std::byte{1};
  const AdvisorySubject nobody{.id = id};
  const auto none = match_advisory(*advisory, nobody);
  require(!none || keys_of(*advisory).find("d01000000") != std::string::npos);
  const AdvisorySubject subject = advisory_subject(id, {}, "hf:org/repo:m.gguf@main",
                                                   "1111111111111111111111111111111111111111");
  if (const auto match = match_advisory(*advisory, subject)) {
    require(!match->because.empty());
    // It would have been found by its keys, too.
    bool found = false;
    for (const std::string& key : keys_of(subject))
      found |= keys_of(*advisory).find("\t" + key) != std::string::npos;
    require(found);
  }
  return 0;
}
