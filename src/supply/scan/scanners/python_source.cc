// Python source: modules that a configuration asks for (auto_map), and TorchScript's code, which
// PyTorch runs by itself and which can reach files.
#include <array>
#include <string>

#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

constexpr uint64_t kTextBytesMax = 4u << 20;

/// The text with a line break before it, so that "\nimport " finds the first line too.
std::string text_of(const Input& input) { return "\n" + input.read(0, kTextBytesMax); }

bool matches(const Input& input) {
  if (!input.looks_like_text() || input.name().ends_with(".md")) return false;
  const std::string text = text_of(input);
  const bool imports = text.find("\nimport ") != text.npos ||
                       (text.find("\nfrom ") != text.npos && text.find(" import ") != text.npos);
  const bool defines = text.find("\ndef ") != text.npos || text.find("\nclass ") != text.npos ||
                       text.find("  def ") != text.npos;
  return (imports || defines) && (text.find("(") != text.npos);
}

void run(const Input& input, Scan& scan) {
  const std::string text = text_of(input);
  const bool is_torchscript = text.find("__torch__") != text.npos ||
                              text.find("  __parameters__ = [") != text.npos ||
                              text.find("torch.") != text.npos;
  constexpr auto kTorchScriptFiles =
      std::to_array<std::string_view>({"ops.aten.from_file", "torch.from_file(", "ops.aten.save",
                                       "torch.save(", "ops.inductor.", "ops.profiler._"});
  if (is_torchscript && text.find("\nimport ") == text.npos)
    for (const std::string_view op : kTorchScriptFiles)
      if (text.find(op) != text.npos)
        scan.add("python", "torchscript-files", Verdict::kMalicious,
                 fmt::format("TorchScript that uses {}: running the model opens files", op));
  if (text.find("\nimport ") != text.npos || text.find("\nfrom ") != text.npos)
    scan.add("python", "python-in-model", Verdict::kWarn,
             "Python source: runs where a loader is told to trust the model's code");
}

}  // namespace

extern const Scanner k_python_source;
const Scanner k_python_source = {.name = "python", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
