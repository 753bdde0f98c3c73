// Programs and scripts beside or inside a model: nothing that a model needs.
#include <array>
#include <string>

#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

/// What a file that begins so is; empty if no program.
std::string_view kind_of(const Input& input) {
  const std::string_view head = input.head();
  if (head.starts_with("\x7f"
                       "ELF"))
    return "an ELF program or library";
  if (head.starts_with("MZ") && head.size() > 64 && head.find("PE\0\0") != head.npos)
    return "a Windows program or library";
  if (head.starts_with("MZ") && head.find("This program") != head.npos)
    return "a Windows program or library";
  if (head.starts_with("\xcf\xfa\xed\xfe") || head.starts_with("\xce\xfa\xed\xfe"))
    return "a macOS program or library";
  if (head.starts_with(std::string_view("\0asm", 4))) return "a WebAssembly module";
  if (head.starts_with("#!") && input.looks_like_text()) return "a script";
  return {};
}

bool matches(const Input& input) { return !kind_of(input).empty(); }

void run(const Input& input, Scan& scan) {
  scan.add("program", "program-in-model", Verdict::kWarn,
           fmt::format("{}: no part of a model needs one", kind_of(input)));
}

}  // namespace

extern const Scanner k_program;
const Scanner k_program = {.name = "program", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
