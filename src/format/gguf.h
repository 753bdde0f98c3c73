// GGUF version 2 and 3, as the GGUF specification in the ggml repository lays it out
// (docs/formats/model-files.md has the bytes and every check).
//
// A header is read once, into private memory, within GgufLimits; nothing of it is trusted
// before it is checked. All sizes go through base::CheckedSize.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"
#include "format/folder.h"
#include "format/metadata.h"
#include "format/source.h"

namespace lantern::format {

inline constexpr uint32_t kGgufArrayType = 9;      // of a metadata value
inline constexpr uint64_t kGgufAlignment = 32;     // of tensors, where general.alignment is missing
inline constexpr uint32_t kGgufDimensionsMax = 4;  // of a tensor

struct GgufLimits {
  uint64_t header_bytes = 256u << 20;  // magic to the end of the tensor table
  uint64_t keys = 1u << 16;
  uint64_t key_bytes = 65535;  // the specification's own
  uint64_t string_bytes = 64u << 20;
  uint64_t elements = 1u << 24;  // of all arrays together; 32 times the largest known
  uint64_t tensors = 1u << 18;
  uint64_t tensor_name_bytes = 256;  // the specification says 64
  uint64_t alignment = 1u << 20;
  uint64_t parts = 512;  // of a split file, each a descriptor
};

/// What one file's header says.
struct GgufHeader {
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_offset = 0;  // of the tensors' data, in the file
  Metadata metadata;
  std::vector<Tensor>
      tensors;  // in the file's order; offsets absolute, data inside the file, disjoint
};

/// The header of one file. Errors name the file, the field and the fault:
///   kCorrupt      anything that contradicts the format or itself
///   kUnsupported  version 1, big-endian files, arrays of arrays, tensor types that are none of
///                 quant/'s (with the tensor's name and the type)
///   kTooLarge    past a limit
Result<GgufHeader> parse_gguf(const Source& source, const GgufLimits& limits = {});

/// What GGUF calls a tensor type ("Q4_K"), those among them that quant/ does not compute;
/// "unknown".
std::string_view gguf_type_name(uint32_t type);

/// A model in one file or in several (split.count; any of them may be given, the others are found
/// beside it by their names, NAME-00001-of-00003.gguf). Errors as above, and kNotFound where a part
/// is missing.
Result<std::unique_ptr<Checkpoint>> open_gguf(const std::filesystem::path& path,
                                              const GgufLimits& limits = {});
Result<std::unique_ptr<Checkpoint>> open_gguf(const Folder& folder, const std::string& name,
                                              const GgufLimits& limits = {});
/// The names of all parts where `name` is that of one (NAME-00002-of-00003.gguf), at most
/// GgufLimits::parts; none where it is not.
std::vector<std::string> gguf_part_names(std::string_view name);

}  // namespace lantern::format
