// Pictures and the like, as model cards bring them: known, and of no interest.
#include <array>

#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) {
  const std::string_view head = input.head();
  return head.starts_with("\x89PNG\r\n\x1a\n") || head.starts_with("\xff\xd8\xff") ||
         head.starts_with("GIF8") || head.starts_with("%PDF-") ||
         (head.starts_with("RIFF") && head.size() > 12) || head.starts_with("OggS") ||
         (head.size() > 12 && head.substr(4).starts_with("ftyp"));
}

void run(const Input&, Scan&) {}

}  // namespace

extern const Scanner k_media;
const Scanner k_media = {.name = "media", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
