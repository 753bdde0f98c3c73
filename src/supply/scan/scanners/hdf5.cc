// HDF5, as Keras writes models (.h5): the configuration is JSON in an attribute of the root group.
//
// The JSON is searched for in the whole file; groups and messages are not followed. HDF5 has two
// object headers, compact and dense attributes, shared messages, and strings in three places: a
// reader that misses one of the ways is blind, while a search sees every byte that is stored plain,
// wherever the format's own library finds it. What a search cannot see is a filtered (compressed)
// fractal heap, the one place where an attribute may not be plain; such a heap is inconclusive.
// Datasets may be compressed as they like: no loader takes its configuration from one.
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

constexpr size_t kOverlap = 8192;    // of two blocks
constexpr size_t kBlanksMax = 4096;  // between a brace and the first key, and after it
constexpr size_t kKeyBytesMax = 256;

size_t skip_blanks(std::string_view text, size_t at) {
  const size_t end = std::min(text.size(), at + kBlanksMax);
  while (at < end && std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos) ++at;
  return at;
}

/// Whether a JSON object with a first key begins at text[at]: a brace, a string, a colon. The key
/// may be written in any way that JSON has ("class\u005fname"), so it is not compared here.
bool begins_object(std::string_view text, size_t at) {
  const size_t key = skip_blanks(text, at + 1);
  if (key - at > kBlanksMax) return true;  // so many blanks hide something
  if (key >= text.size() || text[key] != '"') return false;
  size_t end = key + 1;
  for (; end < text.size() && end - key <= kKeyBytesMax && text[end] != '"'; ++end) {
    if (static_cast<unsigned char>(text[end]) < 0x20) return false;
    if (text[end] == '\\') ++end;
  }
  if (end >= text.size() || text[end] != '"') return false;
  const size_t colon = skip_blanks(text, end + 1);
  return colon < text.size() && text[colon] == ':';
}

/// Where a JSON object begins in `text`, from `from` on.
size_t find_object(std::string_view text, size_t from) {
  for (size_t at = text.find('{', from); at != text.npos; at = text.find('{', at + 1))
    if (begins_object(text, at)) return at;
  return text.npos;
}

/// Judges all objects in `block` that were not judged with the one before.
class ConfigSearch {
 public:
  ConfigSearch(const Input& input, Scan& scan) : input_(input), scan_(scan) {}

  void judge_block(uint64_t block_at, std::string_view block) {
    size_t from = done_to_ > block_at ? std::min<uint64_t>(done_to_ - block_at, block.size()) : 0;
    while (n_objects_ < kConfigsMax && from < block.size()) {
      const size_t open = find_object(block, from);
      if (open == block.npos) break;
      ++n_objects_;
      from = open + judge_object(block_at + open);
      done_to_ = block_at + from;
    }
  }
  void finish() {
    if (lambda_outside_)
      scan_.add("hdf5", "keras-lambda", Verdict::kMalicious,
                "a Lambda layer: loading the model runs the Python code stored in it");
    if (n_objects_ >= kConfigsMax)
      scan_.add("hdf5", "hdf5-many", Verdict::kInconclusive, "too many model configurations");
  }

 private:
  /// Bytes to go on after.
  size_t judge_object(uint64_t at) {
    const std::string text = input_.read(at, kConfigBytesMax);
    const std::string_view object = balanced(text);
    auto json = base::parse_json(object, "model configuration",
                                 {.bytes_max = kConfigBytesMax, .depth_max = 200});
    if (object.empty() || !json.ok()) {
      lambda_outside_ = lambda_outside_ || text.substr(0, 256).find("Lambda") != text.npos;
      scan_.add("hdf5", "hdf5-unreadable", Verdict::kInconclusive,
                "a model configuration that is not whole JSON", at);
      return 1;
    }
    // Wherever in the object a layer stands.
    base::Json layers = base::Json::object();
    layers["layers"] = std::move(*json);
    judge_keras_config(layers, scan_);
    return object.size();
  }

  const Input& input_;
  Scan& scan_;
  uint64_t done_to_ = 0;
  int n_objects_ = 0;
  bool lambda_outside_ = false;
};

/// A fractal heap whose blocks go through filters: "FRHP", version 0, length of ids (2 bytes),
/// length of the filters' description (2 bytes), where more than 0 means that there are some.
bool has_filtered_heap(std::string_view block) {
  constexpr std::string_view kHeap("FRHP\0", 5);
  for (size_t at = block.find(kHeap); at != block.npos; at = block.find(kHeap, at + 1))
    if (at + 9 <= block.size() && (block[at + 7] != 0 || block[at + 8] != 0)) return true;
  return false;
}

void run(const Input& input, Scan& scan) {
  ConfigSearch search(input, scan);
  bool filtered = false;
  for (uint64_t at = 0; at < input.size();) {
    const std::string block = input.read(at, kBlockBytes);
    if (auto status = scan.spend_read(block.size()); !status.ok() || block.empty()) {
      scan.unreadable(
          "hdf5", block.empty() ? make_error(ErrorCode::kIo, "cannot be read") : status.error());
      return;
    }
    search.judge_block(at, block);
    filtered = filtered || has_filtered_heap(block);
    if (at + block.size() >= input.size()) break;
    at += block.size() - kOverlap;
  }
  search.finish();
  if (filtered)
    scan.add("hdf5", "hdf5-filtered", Verdict::kInconclusive,
             "a compressed heap, in which a model configuration may hide");
  scan.add("hdf5", "hdf5-format", Verdict::kUnsupported, "an HDF5 file: Lantern reads none");
}

}  // namespace

extern const Scanner k_hdf5;
const Scanner k_hdf5 = {.name = "hdf5", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
