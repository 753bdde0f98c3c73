// PyTorch's zip archives: a pickle (data.pkl) beside one entry for each storage (data/0, ...). The
// pickle is searched for the names of its storages' types, never run.
#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "format/window_source.h"
#include "format/zip.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

struct StorageType {
  std::string_view pickled;
  std::string_view name;
  uint64_t bytes;
};
constexpr auto kTypes = std::to_array<StorageType>({{"FloatStorage", "F32", 4},
                                                    {"HalfStorage", "F16", 2},
                                                    {"BFloat16Storage", "BF16", 2},
                                                    {"DoubleStorage", "F64", 8},
                                                    {"CharStorage", "I8", 1},
                                                    {"ByteStorage", "U8", 1}});

bool matches(const FileEnds& ends) { return ends.head.starts_with("PK\x03\x04"); }

Status read(const WeightInput& input, WeightFacts& facts) {
  if (input.have < input.source.size())
    return make_error(ErrorCode::kNotFound, "its directory, at its end, cannot be read");
  // A broken archive may be anything's.
  const auto opened = format::ZipFile::open(std::make_unique<format::WindowSource>(input.source));
  if (!opened.ok()) return make_error(ErrorCode::kNotFound, "no archive that can be read");
  const format::ZipFile& zip = *opened;
  const format::ZipEntry* pickle = nullptr;
  uint64_t bytes = 0, n_storages = 0;
  for (const format::ZipEntry& entry : zip.entries()) {
    if (entry.name == "data.pkl" || entry.name.ends_with("/data.pkl")) pickle = &entry;
    if (entry.name.find("/data/") == std::string::npos) continue;
    bytes += std::min(entry.size, input.source.size());
    ++n_storages;
  }
  if (pickle == nullptr) return make_error(ErrorCode::kNotFound, "no PyTorch archive");
  facts.tensors = n_storages;
  constexpr uint64_t kPickleBytesMax = 64u << 20;
  const auto text = zip.extract_text(*pickle, kPickleBytesMax);
  if (!text.ok()) return text.error();
  // Parameters follow from bytes only where all storages are of one type.
  const StorageType* only = nullptr;
  for (const StorageType& type : kTypes) {
    // "FloatStorage" must not be found in "ComplexFloatStorage": its name begins after a line break
    // or a length, never after a letter or digit.
    bool found = false;
    for (size_t at = text->find(type.pickled); at != std::string::npos && !found;
         at = text->find(type.pickled, at + 1))
      found = at == 0 || !std::isalnum(static_cast<unsigned char>((*text)[at - 1]));
    if (!found) continue;
    if (only != nullptr) return {};
    only = &type;
  }
  if (only == nullptr) return {};
  count_tensor(facts, only->name, bytes / only->bytes);
  facts.tensors = n_storages;
  return {};
}

}  // namespace

extern const WeightFormat k_pytorch;
const WeightFormat k_pytorch = {.name = "PyTorch", .matches = matches, .read = read};

}  // namespace lantern::sensor
