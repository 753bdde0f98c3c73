// HDF5, as Keras writes models (.h5): the configuration is JSON in an attribute. Attributes are
// stored plain, so the JSON is found by searching for it; the groups around it need not be read.
#include <algorithm>
#include <string>

#include "base/json.h"
#include "supply/scan/keras.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

constexpr std::string_view kMagic = "\x89HDF\r\n\x1a\n";
constexpr uint64_t kBlockBytes = 4u << 20;
constexpr uint64_t kConfigBytesMax = 32u << 20;
constexpr int kConfigsMax = 64;

bool matches(const Input& input) {
  if (input.head().starts_with(kMagic)) return true;
  // A user block of 512 bytes or a power of two more may stand before it.
  for (uint64_t at = 512; at + kMagic.size() <= std::min<uint64_t>(input.size(), 1u << 20); at *= 2)
    if (input.read(at, kMagic.size()) == kMagic) return true;
  return false;
}

/// The JSON object that begins at text[0], or nothing where it does not end.
std::string_view balanced(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{') {
      ++depth;
    } else if (c == '}' && --depth == 0) {
      return text.substr(0, i + 1);
    } else if (c == '\0') {
      return {};
    }
  }
  return {};
}

/// Where an object that names a class begins in `text`, from `from` on.
size_t find_config(std::string_view text, size_t from) {
  constexpr size_t kBeforeMax = 4096;  // of an object, before its class's name
  for (size_t at = text.find("\"class_name\"", from); at != text.npos;
       at = text.find("\"class_name\"", at + 1)) {
    const size_t begin = std::max(from, at - std::min(at, kBeforeMax));
    const size_t open = text.substr(begin, at - begin).rfind('{');
    if (open != text.npos) return begin + open;
  }
  return text.npos;
}

void judge_block(const Input& input, uint64_t block_at, std::string_view block, Scan& scan,
                 uint64_t& done_to, int& n_configs, bool& lambda_outside) {
  size_t from = done_to > block_at ? std::min<uint64_t>(done_to - block_at, block.size()) : 0;
  for (; n_configs < kConfigsMax;) {
    const size_t open = find_config(block, from);
    if (open == block.npos) break;
    ++n_configs;
    const std::string text = input.read(block_at + open, kConfigBytesMax);
    const std::string_view object = balanced(text);
    auto json = base::parse_json(object, "model configuration",
                                 {.bytes_max = kConfigBytesMax, .depth_max = 200});
    if (object.empty() || !json.ok()) {
      lambda_outside = lambda_outside || text.find("Lambda") < 64;
      scan.add("hdf5", "hdf5-unreadable", Verdict::kInconclusive,
               "a model configuration that is not whole JSON", block_at + open);
      from = open + 1;
      continue;
    }
    judge_keras_config(*json, scan);
    from = open + object.size();
    done_to = block_at + from;
    if (from >= block.size()) break;
  }
}

void run(const Input& input, Scan& scan) {
  constexpr uint64_t kOverlap = 8192;
  uint64_t done_to = 0;
  int n_configs = 0;
  bool lambda_outside = false;
  for (uint64_t at = 0; at < input.size();) {
    const std::string block = input.read(at, kBlockBytes);
    if (auto status = scan.spend_read(block.size()); !status.ok() || block.empty()) {
      scan.unreadable(
          "hdf5", block.empty() ? make_error(ErrorCode::kIo, "cannot be read") : status.error());
      return;
    }
    judge_block(input, at, block, scan, done_to, n_configs, lambda_outside);
    if (at + block.size() >= input.size()) break;
    at += block.size() - kOverlap;
  }
  if (lambda_outside)
    scan.add("hdf5", "keras-lambda", Verdict::kMalicious,
             "a Lambda layer: loading the model runs the Python code stored in it");
  if (n_configs >= kConfigsMax)
    scan.add("hdf5", "hdf5-many", Verdict::kInconclusive, "too many model configurations");
  scan.add("hdf5", "hdf5-format", Verdict::kUnsupported, "an HDF5 file: Lantern reads none");
}

}  // namespace

extern const Scanner k_hdf5;
const Scanner k_hdf5 = {.name = "hdf5", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
