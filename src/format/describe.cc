#include "format/describe.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "base/file.h"
#include "format/gguf.h"
#include "format/hf_folder.h"
#include "format/peft_folder.h"
#include "format/safetensors.h"
#include "format/source.h"
#include "format/tensor_table.h"
#include "format/zip.h"

namespace lantern::format {
namespace {

namespace fs = std::filesystem;

bool is_pytorch(const ZipFile& zip) {
  return std::any_of(zip.entries().begin(), zip.entries().end(), [](const ZipEntry& entry) {
    return entry.name == "data.pkl" || entry.name.ends_with("/data.pkl");
  });
}

bool is_safetensors(std::string_view head) {
  if (head.size() < 9 || head[8] != '{') return false;
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, head.data(), 8);
  return header_bytes <= SafetensorsLimits().header_bytes;
}

/// What GGUF metadata say. A key of a wrong type is an error: a description must not hide it.
Status read_gguf_keys(const Metadata& metadata, Description& result) {
  LANTERN_ASSIGN(result.architecture, metadata.get_string_or("general.architecture", ""));
  LANTERN_ASSIGN(result.name, metadata.get_string_or("general.name", ""));
  for (const char* key : {"general.license", "general.license.name", "general.license.link"}) {
    LANTERN_ASSIGN(std::string value, metadata.get_string_or(key, ""));
    if (!value.empty()) result.licence.emplace_back(key, std::move(value));
  }
  constexpr std::string_view kTemplate = "tokenizer.chat_template";
  if (metadata.has(kTemplate)) result.chat_templates.emplace_back("default");
  for (auto at = metadata.all().upper_bound(kTemplate); at != metadata.all().end(); ++at) {
    std::string_view key = at->first;
    if (!key.starts_with(kTemplate)) break;
    if (key.size() > kTemplate.size() + 1 && key[kTemplate.size()] == '.')
      result.chat_templates.emplace_back(key.substr(kTemplate.size() + 1));
  }
  std::string context_key = result.architecture + ".context_length";
  if (metadata.has(context_key)) {
    LANTERN_ASSIGN(result.n_context, metadata.get_int(context_key, 0, INT64_MAX));
  }
  LANTERN_ASSIGN(result.tokenizer, metadata.get_string_or("tokenizer.ggml.model", ""));
  LANTERN_ASSIGN(std::string pre, metadata.get_string_or("tokenizer.ggml.pre", ""));
  if (!pre.empty()) result.tokenizer += ", pre-tokenizer " + pre;
  if (metadata.has("tokenizer.ggml.tokens")) {
    LANTERN_ASSIGN(const StringArray* tokens, metadata.get_strings("tokenizer.ggml.tokens"));
    result.n_vocab = static_cast<int64_t>(tokens->size());
  }
  return {};
}

std::optional<int64_t> config_int(const base::Json& config, const char* key) {
  auto at = config.find(key);
  if (at == config.end() || !at->is_number_integer()) return std::nullopt;
  return at->get<int64_t>();
}

std::string config_string(const base::Json& config, const char* key) {
  auto at = config.find(key);
  return at != config.end() && at->is_string() ? at->get<std::string>() : std::string();
}

Result<Description> describe_folder(const Folder& files) {
  LANTERN_ASSIGN(HfFolder folder, HfFolder::open(files));
  Description result;
  LANTERN_ASSIGN(result.architecture, folder.model_type());
  result.name = config_string(folder.config, "_name_or_path");
  if (folder.licence_id) result.licence.emplace_back("license", *folder.licence_id);
  if (folder.licence_file)
    result.licence.emplace_back("file", folder.licence_file->filename().string());
  for (const auto& [name, text] : folder.chat_templates) result.chat_templates.push_back(name);
  result.n_context = config_int(folder.text_config(), "max_position_embeddings");
  result.n_vocab = config_int(folder.text_config(), "vocab_size");
  result.tokenizer = config_string(folder.tokenizer_config, "tokenizer_class");
  result.checkpoint = folder.weights;
  result.folder = std::move(folder);
  return result;
}

Result<Description> describe_adapter(const Folder& files) {
  LANTERN_ASSIGN(std::unique_ptr<Checkpoint> checkpoint, open_peft(files));
  Description result;
  result.name = config_string(checkpoint->folder()->config, "base_model_name_or_path");
  result.folder = *checkpoint->folder();
  result.checkpoint = std::move(checkpoint);
  return result;
}

Error not_a_model(const fs::path& path, FileKind kind) {
  std::string_view advice = "get the model as GGUF or safetensors";
  if (kind == FileKind::kPickle || kind == FileKind::kPyTorchZip)
    advice = "loading one can run code, so Lantern does not; get the model as GGUF or safetensors";
  return make_error(ErrorCode::kUnsupported, "{}: is {}; {}", path.string(), file_kind_name(kind),
                    advice);
}

}  // namespace

std::string_view file_kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::kGguf:
      return "a GGUF file";
    case FileKind::kGgml:
      return "a GGML file from before GGUF";
    case FileKind::kSafetensors:
      return "a safetensors file";
    case FileKind::kHfFolder:
      return "a Hugging Face folder";
    case FileKind::kPyTorchZip:
      return "a PyTorch file, a Python pickle in a zip archive";
    case FileKind::kPickle:
      return "a Python pickle";
    case FileKind::kZip:
      return "a zip archive";
    case FileKind::kPeftFolder:
      return "a PEFT adapter's folder";
    case FileKind::kUnknown:
      break;
  }
  return "no kind of model file that Lantern knows";
}

Result<FileKind> detect_file_kind(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return detect_file_kind(DiskFolder(path), "");
  return detect_file_kind(DiskFolder(path.parent_path()), path.filename().string());
}

Result<FileKind> detect_file_kind(const Folder& folder, const std::string& name) {
  if (name.empty()) {
    if (is_peft_folder(folder)) return FileKind::kPeftFolder;
    return folder.has("config.json") ? FileKind::kHfFolder : FileKind::kUnknown;
  }
  LANTERN_ASSIGN(std::unique_ptr<Source> source, folder.open(name));
  std::string head(std::min<uint64_t>(64, source->size()), '\0');
  LANTERN_TRY(source->read_at(0, std::as_writable_bytes(std::span(head))));
  std::string_view magic = std::string_view(head).substr(0, 4);
  if (magic == "GGUF" || magic == "FUGG") return FileKind::kGguf;
  for (std::string_view old : {"lmgg", "tjgg", "fmgg", "algg"})
    if (magic == old) return FileKind::kGgml;
  if (magic == "PK\x03\x04" || magic == "PK\x05\x06") {
    auto zip = ZipFile::open(std::move(source));
    return zip.ok() && is_pytorch(*zip) ? FileKind::kPyTorchZip : FileKind::kZip;
  }
  if (is_safetensors(head)) return FileKind::kSafetensors;
  // PROTO of protocols 2 to 5; what PyTorch wrote before its zip files begins so, too.
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5)
    return FileKind::kPickle;
  return FileKind::kUnknown;
}

std::string Description::mix_text() const {
  std::string text;
  for (const TypeShare& share : mix) {
    double percent = 100.0 * static_cast<double>(share.bytes) /
                     static_cast<double>(std::max<uint64_t>(tensor_bytes, 1));
    if (percent < 0.5) continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {:.0f} %", share.name, percent);
  }
  return text;
}

void count_tensors(const Checkpoint& checkpoint, Description& result) {
  std::map<quant::DType, TypeShare> shares;
  for (const Tensor& tensor : checkpoint.tensors()) {
    TypeShare& share = shares[tensor.type];
    auto elements = static_cast<uint64_t>(element_count(tensor));
    share.tensors += 1;
    share.elements += elements;
    share.bytes += tensor.bytes;
    result.n_parameters += elements;
    result.tensor_bytes += tensor.bytes;
  }
  for (auto& [type, share] : shares) {
    share.type = type;
    share.name = quant::find_format(type)->name;
    result.mix.push_back(share);
  }
  std::stable_sort(result.mix.begin(), result.mix.end(),
                   [](const TypeShare& a, const TypeShare& b) { return a.bytes > b.bytes; });
}

Result<Description> describe(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return describe(DiskFolder(path), "");
  return describe(DiskFolder(path.parent_path()), path.filename().string());
}

Result<Description> describe(const Folder& folder, const std::string& name) {
  LANTERN_ASSIGN(FileKind kind, detect_file_kind(folder, name));
  Description result;
  if (kind == FileKind::kGguf) {
    LANTERN_ASSIGN(std::unique_ptr<Checkpoint> checkpoint, open_gguf(folder, name));
    LANTERN_TRY(read_gguf_keys(checkpoint->metadata(), result));
    result.checkpoint = std::move(checkpoint);
  } else if (kind == FileKind::kSafetensors) {
    LANTERN_ASSIGN(std::unique_ptr<Checkpoint> checkpoint, open_safetensors(folder, name));
    result.checkpoint = std::move(checkpoint);
  } else if (kind == FileKind::kHfFolder) {
    LANTERN_ASSIGN(result, describe_folder(folder));
  } else if (kind == FileKind::kPeftFolder) {
    LANTERN_ASSIGN(result, describe_adapter(folder));
  } else {
    return not_a_model(name.empty() ? folder.path() : folder.path() / name, kind);
  }
  result.kind = kind;
  count_tensors(*result.checkpoint, result);
  for (const fs::path& file : result.checkpoint->files()) {
    LANTERN_ASSIGN(const std::unique_ptr<Source> source, folder.open(file.filename().string()));
    result.file_bytes += source->size();
  }
  return result;
}

}  // namespace lantern::format
