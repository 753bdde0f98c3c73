// What a file is and what a model in it looks like, from headers alone: `lantern inspect`.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"
#include "format/folder.h"
#include "format/hf_folder.h"

namespace lantern::format {

enum class FileKind {
  kGguf,
  kGgml,  // the formats before GGUF
  kSafetensors,
  kHfFolder,
  kPyTorchZip,  // a zip archive around a pickle
  kPickle,
  kZip,
  kUnknown,
  kPeftFolder,
};

/// "a GGUF file", "a Python pickle".
std::string_view file_kind_name(FileKind kind);

/// By content, never by name; reads the first bytes, and a zip's directory. Errors: kNotFound,
/// kIo; kInvalidArgument for what is neither a file nor a folder.
Result<FileKind> detect_file_kind(const std::filesystem::path& path);
Result<FileKind> detect_file_kind(const Folder& folder, const std::string& name);

struct TypeShare {
  quant::DType type = quant::DType::kF32;
  std::string_view name;  // "Q4_K"
  uint64_t tensors = 0;
  uint64_t elements = 0;
  uint64_t bytes = 0;
};

struct Description {
  FileKind kind = FileKind::kUnknown;
  std::string architecture;  // empty where the file does not say
  std::string name;
  uint64_t n_parameters = 0;
  uint64_t tensor_bytes = 0;
  uint64_t file_bytes = 0;                                   // of all files together
  std::vector<TypeShare> mix;                                // by bytes, largest first
  std::vector<std::pair<std::string, std::string>> licence;  // keys and what they say
  std::vector<std::string> chat_templates;  // names; "default" is the one used when none is asked
  std::optional<int64_t> n_context;
  std::string tokenizer;  // "gpt2, pre-tokenizer smollm"; a folder's tokenizer class
  std::optional<int64_t> n_vocab;
  /// All metadata and tensors: GGUF's own names, or a folder's.
  std::shared_ptr<const Checkpoint> checkpoint;
  std::optional<HfFolder> folder;  // of a Hugging Face folder, or a PEFT adapter's

  /// "Q4_1 69 %, Q8_0 31 %": shares of the bytes, those under half a percent left out.
  [[nodiscard]] std::string mix_text() const;
};

/// Errors: the readers' own; kUnsupported, saying what it is, for a file that is no model that
/// Lantern reads (pickles are named, never loaded).
Result<Description> describe(const std::filesystem::path& path);
/// `name`: of a file in the folder, empty for the folder itself. Nothing else is opened.
Result<Description> describe(const Folder& folder, const std::string& name);

/// What follows from `checkpoint` alone: parameters, bytes of tensors, mix.
void count_tensors(const Checkpoint& checkpoint, Description& description);

}  // namespace lantern::format
