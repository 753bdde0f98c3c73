#include "supply/sandbox/inspection.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "base/byte_reader.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/printable.h"
#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/tensor_table.h"

namespace lantern::supply::sandbox {
namespace {

using base::ByteReader;
using format::MetadataValue;

constexpr std::string_view kMagic = "LTNINS01";
constexpr size_t kMessageBytesMax = 2000, kLicencesMax = 16, kDimensionsMax = 16;
constexpr size_t kConfigBytesMax = 16u << 20, kLicenceTextBytesMax = 1u << 20;
constexpr size_t kSmallTextBytesMax = 64u << 20;  // as GgufLimits::string_bytes

/// A Checkpoint of names and shapes.
class HeaderCheckpoint final : public format::Checkpoint {
 public:
  HeaderCheckpoint(format::Metadata metadata, format::TensorTable table,
                   std::vector<std::filesystem::path> files)
      : metadata_(std::move(metadata)), table_(std::move(table)), files_(std::move(files)) {}

  [[nodiscard]] const format::Metadata& metadata() const override { return metadata_; }
  [[nodiscard]] std::span<const format::Tensor> tensors() const override {
    return table_.tensors();
  }
  [[nodiscard]] std::span<const std::filesystem::path> files() const override { return files_; }
  [[nodiscard]] const format::Tensor* find(std::string_view name) const override {
    return table_.find(name);
  }

 protected:
  Status read(const format::Tensor& tensor, uint64_t, std::span<std::byte>) const override {
    return make_error(ErrorCode::kDenied, "tensor {}: the model was inspected, not admitted",
                      tensor.name);
  }

 private:
  format::Metadata metadata_;
  format::TensorTable table_;
  std::vector<std::filesystem::path> files_;
};

class Writer {
 public:
  explicit Writer(uint8_t outcome) : bytes_(kMagic) { number(outcome); }

  template <typename T>
  requires(std::is_arithmetic_v<T>) void number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void count(size_t n) { number(static_cast<uint32_t>(n)); }
  void text(std::string_view text) {
    count(text.size());
    bytes_.append(text);
  }
  void optional(const std::optional<int64_t>& value) {
    number(static_cast<uint8_t>(value.has_value()));
    number(value.value_or(0));
  }
  void optional(const std::optional<std::string>& value) {
    number(static_cast<uint8_t>(value.has_value()));
    text(value.value_or(""));
  }
  void value(const MetadataValue& value) {
    number(static_cast<uint8_t>(value.index()));
    std::visit(
        [&](const auto& v) {
          using T = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<T, bool>) {
            number(static_cast<uint8_t>(v));
          } else if constexpr (std::is_same_v<T, std::string>) {
            text(v);
          } else if constexpr (std::is_arithmetic_v<T>) {
            number(v);
          } else {
            count(v.size());
            for (const auto& element : v) each(element);
          }
        },
        value);
  }
  std::string take() { return std::move(bytes_); }

 private:
  template <typename T>
  void each(const T& element) {
    if constexpr (std::is_same_v<T, std::string_view>)
      text(element);
    else if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>)
      number(element);
    else
      number(static_cast<uint8_t>(static_cast<bool>(element)));
  }

  std::string bytes_;
};

class Reader {
 public:
  Reader(std::string_view bytes, const InspectedFiles& files)
      : in_(std::as_bytes(std::span(bytes))), files_(files) {}

  Result<InspectedModel> read();

 private:
  static Error fault(std::string_view field) {
    return make_error(ErrorCode::kInternal,
                      "the confined reader's answer: {}: makes no sense; nothing is known of the "
                      "file",
                      field);
  }
  /// As ByteReader's, with the fault of an answer rather than of a file.
  template <typename T>
  Result<T> number(std::string_view field) {
    auto value = in_.read<T>(field);
    if (!value.ok()) return fault(field);
    return value;
  }
  Result<std::string_view> view(size_t bytes_max, std::string_view field);
  Result<std::string> text(size_t bytes_max, std::string_view field) {
    LANTERN_ASSIGN(const std::string_view bytes, view(bytes_max, field));
    return std::string(bytes);
  }
  Result<bool> flag(std::string_view field);
  /// A count of things that take at least `bytes_min` each.
  Result<size_t> count(size_t max, size_t bytes_min, std::string_view field);
  Result<std::optional<int64_t>> optional_number(std::string_view field);
  Result<std::optional<std::string>> optional_text(size_t bytes_max, std::string_view field);

  Result<InspectedModel> read_error();
  Status read_words(format::Description& description);
  Result<format::Metadata> read_metadata();
  Result<MetadataValue> read_value();
  template <typename T>
  Result<MetadataValue> read_numbers();
  Result<std::vector<std::filesystem::path>> read_files();
  Result<format::TensorTable> read_tensors(size_t n_files);
  Result<format::Tensor> read_tensor(size_t n_files);
  Status read_folder(InspectedModel& model);

  ByteReader in_;
  const InspectedFiles& files_;
  uint64_t n_elements_ = 0;  // of all arrays
  uint64_t file_bytes_ = 0;  // of the files that hold tensors
};

Result<std::string_view> Reader::view(size_t bytes_max, std::string_view field) {
  LANTERN_ASSIGN(const uint32_t n, number<uint32_t>(field));
  if (n > bytes_max) return fault(field);
  auto bytes = in_.read_bytes(n, field);
  if (!bytes.ok()) return fault(field);
  return std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

Result<bool> Reader::flag(std::string_view field) {
  LANTERN_ASSIGN(const uint8_t byte, number<uint8_t>(field));
  if (byte > 1) return fault(field);
  return byte == 1;
}

Result<size_t> Reader::count(size_t max, size_t bytes_min, std::string_view field) {
  LANTERN_ASSIGN(const uint32_t n, number<uint32_t>(field));
  if (n > max || n > in_.remaining() / bytes_min) return fault(field);
  return size_t{n};
}

Result<std::optional<int64_t>> Reader::optional_number(std::string_view field) {
  LANTERN_ASSIGN(const bool there, flag(field));
  LANTERN_ASSIGN(const int64_t value, number<int64_t>(field));
  return there ? std::optional(value) : std::nullopt;
}

Result<std::optional<std::string>> Reader::optional_text(size_t bytes_max, std::string_view field) {
  LANTERN_ASSIGN(const bool there, flag(field));
  LANTERN_ASSIGN(std::string value, text(bytes_max, field));
  return there ? std::optional(std::move(value)) : std::nullopt;
}

Result<InspectedModel> Reader::read_error() {
  constexpr std::array kPossible = {ErrorCode::kInvalidArgument,
                                    ErrorCode::kNotFound,
                                    ErrorCode::kCorrupt,
                                    ErrorCode::kUnsupported,
                                    ErrorCode::kTooLarge,
                                    ErrorCode::kExhausted,
                                    ErrorCode::kIo};
  LANTERN_ASSIGN(const uint8_t code, number<uint8_t>("error code"));
  LANTERN_ASSIGN(const std::string_view message, view(kMessageBytesMax, "error message"));
  for (const ErrorCode possible : kPossible)
    if (code == static_cast<uint8_t>(possible) && in_.remaining() == 0)
      return Error{possible, base::printable(message, kMessageBytesMax)};
  return fault("error code");
}

Status Reader::read_words(format::Description& description) {
  LANTERN_ASSIGN(const uint8_t kind, number<uint8_t>("kind"));
  description.kind = static_cast<format::FileKind>(kind);
  if (description.kind != format::FileKind::kGguf &&
      description.kind != format::FileKind::kSafetensors &&
      description.kind != format::FileKind::kHfFolder &&
      description.kind != format::FileKind::kPeftFolder)
    return fault("kind");
  LANTERN_ASSIGN(description.architecture, text(kSmallTextBytesMax, "architecture"));
  LANTERN_ASSIGN(description.name, text(kSmallTextBytesMax, "name"));
  LANTERN_ASSIGN(description.tokenizer, text(kSmallTextBytesMax, "tokenizer"));
  LANTERN_ASSIGN(description.n_context, optional_number("context"));
  LANTERN_ASSIGN(description.n_vocab, optional_number("vocabulary"));
  LANTERN_ASSIGN(const size_t n_licences, count(kLicencesMax, 8, "licence"));
  for (size_t i = 0; i < n_licences; ++i) {
    LANTERN_ASSIGN(std::string key, text(kSmallTextBytesMax, "licence"));
    LANTERN_ASSIGN(std::string value, text(kSmallTextBytesMax, "licence"));
    description.licence.emplace_back(std::move(key), std::move(value));
  }
  LANTERN_ASSIGN(const size_t n_templates, count(format::GgufLimits().keys, 4, "chat templates"));
  for (size_t i = 0; i < n_templates; ++i) {
    LANTERN_ASSIGN(std::string name, text(format::GgufLimits().key_bytes, "chat templates"));
    description.chat_templates.push_back(std::move(name));
  }
  return {};
}

template <typename T>
Result<MetadataValue> Reader::read_numbers() {
  constexpr bool kIsBool = std::is_same_v<T, bool>;
  constexpr size_t kBytes = kIsBool ? 1 : sizeof(T);
  LANTERN_ASSIGN(const size_t n, count(format::GgufLimits().elements, kBytes, "array"));
  n_elements_ += n;
  if (n_elements_ > format::GgufLimits().elements) return fault("array");
  std::vector<T> values;
  values.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    if constexpr (kIsBool) {
      LANTERN_ASSIGN(const bool value, flag("array"));
      values.push_back(value);
    } else {
      LANTERN_ASSIGN(const T value, number<T>("array"));
      values.push_back(value);
    }
  }
  return MetadataValue(std::move(values));
}

Result<MetadataValue> Reader::read_value() {
  LANTERN_ASSIGN(const uint8_t index, number<uint8_t>("metadata type"));
  switch (index) {  // MetadataValue's order
    case 0: {
      LANTERN_ASSIGN(const bool value, flag("metadata"));
      return MetadataValue(value);
    }
    case 1: {
      LANTERN_ASSIGN(const int64_t value, number<int64_t>("metadata"));
      return MetadataValue(value);
    }
    case 2: {
      LANTERN_ASSIGN(const uint64_t value, number<uint64_t>("metadata"));
      return MetadataValue(value);
    }
    case 3: {
      LANTERN_ASSIGN(const double value, number<double>("metadata"));
      return MetadataValue(value);
    }
    case 4: {
      LANTERN_ASSIGN(std::string value, text(kSmallTextBytesMax, "metadata"));
      return MetadataValue(std::move(value));
    }
    case 5:
      return read_numbers<bool>();
    case 6:
      return read_numbers<int64_t>();
    case 7:
      return read_numbers<uint64_t>();
    case 8:
      return read_numbers<float>();
    case 9:
      return read_numbers<double>();
    case 10:
      break;
    default:
      return fault("metadata type");
  }
  LANTERN_ASSIGN(const size_t n, count(format::GgufLimits().elements, 4, "array"));
  n_elements_ += n;
  if (n_elements_ > format::GgufLimits().elements) return fault("array");
  format::StringArray strings;
  strings.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(const std::string_view element, view(kSmallTextBytesMax, "array"));
    strings.push_back(element);
  }
  return MetadataValue(std::move(strings));
}

Result<format::Metadata> Reader::read_metadata() {
  LANTERN_ASSIGN(const size_t n, count(format::GgufLimits().keys, 6, "metadata"));
  format::Metadata metadata(files_.folder.string());
  for (size_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(std::string key, text(format::GgufLimits().key_bytes, "metadata key"));
    if (key.find('\0') != std::string::npos || !base::is_utf8(key)) return fault("metadata key");
    LANTERN_ASSIGN(MetadataValue value, read_value());
    if (!metadata.add(std::move(key), std::move(value)).ok()) return fault("metadata key");
  }
  return metadata;
}

/// Only files that the child was given, each once.
Result<std::vector<std::filesystem::path>> Reader::read_files() {
  LANTERN_ASSIGN(const size_t n, count(files_.size_of.size(), 4, "files"));
  std::vector<std::filesystem::path> paths;
  for (size_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(const std::string name, text(format::GgufLimits().key_bytes, "files"));
    const auto found = files_.size_of.find(name);
    const std::filesystem::path path = files_.folder / name;
    if (found == files_.size_of.end() || std::find(paths.begin(), paths.end(), path) != paths.end())
      return fault("files");
    file_bytes_ += found->second;
    paths.push_back(path);
  }
  return paths;
}

Result<format::Tensor> Reader::read_tensor(size_t n_files) {
  format::Tensor tensor;
  LANTERN_ASSIGN(tensor.name, text(format::GgufLimits().key_bytes, "tensor's name"));
  LANTERN_ASSIGN(const uint32_t type, number<uint32_t>("tensor's type"));
  LANTERN_ASSIGN(tensor.file, number<uint32_t>("tensor's file"));
  LANTERN_ASSIGN(const uint8_t n_dimensions, number<uint8_t>("tensor's shape"));
  tensor.type = static_cast<quant::DType>(type);
  if (tensor.name.empty() || !base::is_utf8(tensor.name)) return fault("tensor's name");
  if (quant::find_format(tensor.type) == nullptr) return fault("tensor's type");
  if (tensor.file >= n_files) return fault("tensor's file");
  if (n_dimensions == 0 || n_dimensions > kDimensionsMax) return fault("tensor's shape");
  base::CheckedSize n_rows(1);
  for (uint8_t i = 0; i < n_dimensions; ++i) {
    LANTERN_ASSIGN(const uint64_t n, number<uint64_t>("tensor's shape"));
    if (n > static_cast<uint64_t>(INT64_MAX)) return fault("tensor's shape");
    tensor.shape.push_back(static_cast<int64_t>(n));
    if (i + 1 < n_dimensions) n_rows = n_rows * n;
  }
  auto row = quant::row_bytes(tensor.type, static_cast<uint64_t>(tensor.shape.back()));
  if (!row.ok()) return fault("tensor's shape");
  const auto n_elements = (n_rows * static_cast<uint64_t>(tensor.shape.back())).value_as<int64_t>();
  const auto bytes = (n_rows * *row).value();
  if (!n_elements || !bytes) return fault("tensor's shape");
  tensor.bytes = *bytes;
  return tensor;
}

Result<format::TensorTable> Reader::read_tensors(size_t n_files) {
  LANTERN_ASSIGN(const size_t n, count(format::GgufLimits().tensors, 22, "tensors"));
  std::vector<format::Tensor> tensors;
  tensors.reserve(n);
  base::CheckedSize bytes(0);
  for (size_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(format::Tensor tensor, read_tensor(n_files));
    bytes = bytes + tensor.bytes;
    tensors.push_back(std::move(tensor));
  }
  if (!bytes.value() || *bytes.value() > file_bytes_) return fault("tensors");
  auto table = format::TensorTable::create(std::move(tensors), files_.folder.string());
  if (!table.ok()) return fault("tensors");
  return table;
}

Status Reader::read_folder(InspectedModel& model) {
  LANTERN_ASSIGN(const bool is_folder, flag("folder"));
  const bool is_adapter = model.description.kind == format::FileKind::kPeftFolder;
  if (is_folder != (is_adapter || model.description.kind == format::FileKind::kHfFolder))
    return fault("folder");
  if (is_folder) {
    format::HfFolder folder;
    folder.path = files_.folder;
    folder.is_adapter = is_adapter;
    LANTERN_ASSIGN(const std::string_view config, view(kConfigBytesMax, "config.json"));
    auto json = base::parse_json(config, "config.json");
    if (!json.ok() || !json->is_object()) return fault("config.json");
    folder.config = std::move(*json);
    LANTERN_ASSIGN(folder.licence_id, optional_text(kMessageBytesMax, "licence"));
    folder.weights = model.description.checkpoint;
    model.description.folder = std::move(folder);
  }
  LANTERN_ASSIGN(model.licence_file, text(kMessageBytesMax, "licence file"));
  LANTERN_ASSIGN(model.licence_text, text(kLicenceTextBytesMax, "licence text"));
  if (model.licence_file.empty() ? !model.licence_text.empty()
                                 : !files_.size_of.contains(model.licence_file))
    return fault("licence file");
  return {};
}

Result<InspectedModel> Reader::read() {
  auto magic = in_.read_bytes(kMagic.size(), "magic");
  if (!magic.ok() ||
      std::string_view(reinterpret_cast<const char*>(magic->data()), magic->size()) != kMagic)
    return fault("magic");
  LANTERN_ASSIGN(const bool is_model, flag("outcome"));
  if (!is_model) return read_error();
  InspectedModel model;
  LANTERN_TRY(read_words(model.description));
  LANTERN_ASSIGN(format::Metadata metadata, read_metadata());
  LANTERN_ASSIGN(std::vector<std::filesystem::path> files, read_files());
  LANTERN_ASSIGN(format::TensorTable table, read_tensors(files.size()));
  model.description.checkpoint =
      std::make_shared<HeaderCheckpoint>(std::move(metadata), std::move(table), std::move(files));
  LANTERN_TRY(read_folder(model));
  if (in_.remaining() != 0) return fault("end");
  format::count_tensors(*model.description.checkpoint, model.description);
  model.description.file_bytes = file_bytes_;
  return model;
}

}  // namespace

std::string inspection_to_bytes(const Error& error) {
  Writer out(0);
  out.number(static_cast<uint8_t>(error.code));
  out.text(std::string_view(error.message).substr(0, kMessageBytesMax));
  return out.take();
}

std::string inspection_to_bytes(const InspectedModel& model) {
  const format::Description& description = model.description;
  const format::Checkpoint& checkpoint = *description.checkpoint;
  Writer out(1);
  out.number(static_cast<uint8_t>(description.kind));
  out.text(description.architecture);
  out.text(description.name);
  out.text(description.tokenizer);
  out.optional(description.n_context);
  out.optional(description.n_vocab);
  out.count(description.licence.size());
  for (const auto& [key, value] : description.licence) {
    out.text(key);
    out.text(value);
  }
  out.count(description.chat_templates.size());
  for (const std::string& name : description.chat_templates) out.text(name);
  out.count(checkpoint.metadata().all().size());
  for (const auto& [key, entry] : checkpoint.metadata().all()) {
    out.text(key);
    out.value(entry.value);
  }
  out.count(checkpoint.files().size());
  for (const auto& file : checkpoint.files()) out.text(file.filename().string());
  out.count(checkpoint.tensors().size());
  for (const format::Tensor& tensor : checkpoint.tensors()) {
    out.text(tensor.name);
    out.number(static_cast<uint32_t>(tensor.type));
    out.number(tensor.file);
    out.number(static_cast<uint8_t>(tensor.shape.size()));
    for (const int64_t n : tensor.shape) out.number(static_cast<uint64_t>(n));
  }
  out.number(static_cast<uint8_t>(description.folder.has_value()));
  if (description.folder) {
    const format::HfFolder& folder = *description.folder;
    out.text(folder.config.dump());
    out.optional(folder.licence_id);
  }
  out.text(model.licence_file);
  out.text(std::string_view(model.licence_text).substr(0, kLicenceTextBytesMax));
  return out.take();
}

Result<InspectedModel> inspection_from_bytes(std::string_view bytes, const InspectedFiles& files) {
  return Reader(bytes, files).read();
}

}  // namespace lantern::supply::sandbox
