// An OpenVEX document. What is checked besides memory: errors are one line that names the file,
// nobody is cleared without a justification, and a document about others changes nothing.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <vector>

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
  const auto document = parse_openvex(text, "v.json");
  if (!document.ok()) {
    require(document.error().message.starts_with("v.json: "));
    require(document.error().message.find('\n') == std::string::npos);
    return 0;
  }
  for (const VexStatement& statement : document->statements)
    require(statement.status != VexStatus::kNotAffected || !statement.justification.empty());
  const std::vector<VexDocument> documents = {*document};
  lantern::base::Digest id{};
  id[0] = std::byte{1};
  const AdvisoryMatch known{.id = "x_1", .standing = Standing::kAffected};
  std::vector<AdvisoryMatch> matches = {known};
  apply_vex(documents, {.id = id}, matches);
  if (keys_of(*document).find("d01000000") == std::string::npos) {
    require(matches.size() == 1 && matches[0].standing == Standing::kAffected);
  }
  matches = {known};
  apply_vex(documents,
            advisory_subject(id, {}, "hf:org/repo:m.gguf@main",
                             "1111111111111111111111111111111111111111"),
            matches);
  require(!matches.empty() && matches[0].id == "x_1");
  return 0;
}
