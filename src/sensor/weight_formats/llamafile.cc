// A program with a zip archive behind it that holds a GGUF file, stored: a llamafile.
#include "format/window_source.h"
#include "format/zip_directory.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

/// An ELF, PE or "actually portable" program that ends in a zip's end record without a comment.
bool matches(const FileEnds& ends) {
  return (ends.head.starts_with("\x7f"
                                "ELF") ||
          ends.head.starts_with("MZ")) &&
         ends.tail.starts_with("PK\x05\x06");
}

Status read(const WeightInput& input, WeightFacts& facts) {
  const auto entries = format::read_zip_directory(input.source, {});
  if (!entries.ok()) return make_error(ErrorCode::kNotFound, "no archive that can be read");
  const format::ZipEntry* largest = nullptr;
  for (const format::ZipEntry& entry : *entries)
    if (entry.method == 0 && entry.name.ends_with(".gguf") &&
        (largest == nullptr || entry.size > largest->size))
      largest = &entry;
  if (largest == nullptr)
    return make_error(ErrorCode::kNotFound, "a program with an archive that holds no model");
  const format::WindowSource part(input.source, largest->data_offset, largest->size);
  return read_gguf({.source = part, .have = largest->size}, facts);
}

}  // namespace

extern const WeightFormat k_llamafile;
const WeightFormat k_llamafile = {.name = "llamafile", .matches = matches, .read = read};

}  // namespace lantern::sensor
