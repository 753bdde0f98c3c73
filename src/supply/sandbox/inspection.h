// What a confined child says of a model that it read, and how its parent reads that: as hostile
// bytes. A child that was taken over can lie about a model, no more: every length is bounded, sizes
// follow from shapes here, and no tensor data comes along.
//
//   "LTNINS01"  outcome u8: 0 an error (code u8, message), 1 a model
//   kind u8 | architecture, name, tokenizer | context, vocabulary: u8 and i64
//   licence: n, then key and value each | chat templates: n, then a name each
//   metadata: n, then key, type u8 (MetadataValue's index) and value each
//   files: n, then a name each | tensors: n, then name, type u32, file u32, dimensions u8 and u64
//   folder u8: config.json, licence id (u8 and text) | licence file and its text
//
// Numbers are little-endian, counts u32, a text is its length (u32) and its bytes.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "format/describe.h"

namespace lantern::supply {

/// A model that may be looked at and not run: `inspect`, `fit`, `licence`, `bom`. There is no way
/// from it to tensor data, nor to an AdmittedModel.
struct InspectedModel {
  /// `checkpoint` holds metadata, tensors' names and shapes. Of `folder` there are path, config,
  /// licence_id and weights.
  format::Description description;
  std::string licence_file;  // LICENSE or alike, in the folder or beside the file; or empty
  std::string licence_text;  // its content, empty past 1 MiB
};

namespace sandbox {

std::string inspection_to_bytes(const InspectedModel& model);
std::string inspection_to_bytes(const Error& error);

/// What the parent knows by itself.
struct InspectedFiles {
  std::filesystem::path folder;             // for messages and Checkpoint::files()
  std::map<std::string, uint64_t> size_of;  // of each file that the child was given, by name
};
/// The child's error as it gave it, made one printable line: kInvalidArgument, kNotFound, kCorrupt,
/// kUnsupported, kTooLarge, kExhausted or kIo. kInternal where the bytes are no such answer.
Result<InspectedModel> inspection_from_bytes(std::string_view bytes, const InspectedFiles& files);

}  // namespace sandbox
}  // namespace lantern::supply
