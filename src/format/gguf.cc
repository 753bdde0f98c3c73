#include "format/gguf.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <optional>

#include "base/checked.h"
#include "base/printable.h"
#include "format/tensor_table.h"

namespace lantern::format {
namespace {

using base::CheckedSize;
using base::printable;

class Parser {
 public:
  Parser(const Source& source, const GgufLimits& limits)
      : source_(source), limits_(limits), reader_(source, limits.header_bytes) {}

  Result<GgufHeader> parse();

 private:
  template <typename... Args>
  Error fault(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) const {
    return Error{code, source_.name() + ": " + fmt::format(format, std::forward<Args>(args)...)};
  }
  template <typename... Args>
  Error corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    return fault(ErrorCode::kCorrupt, format, std::forward<Args>(args)...);
  }

  Status read_preamble();
  Status read_entry(uint64_t index);
  Result<std::string_view> read_string(uint64_t max_bytes, ErrorCode past_max,
                                       std::string_view field);
  Result<MetadataValue> read_scalar(MetadataType type, std::string_view field);
  Result<MetadataValue> read_array(MetadataType type, uint64_t n, std::string_view field);
  template <typename T, typename Wide>
  Result<MetadataValue> read_numbers(uint64_t n, std::string_view field);
  Result<MetadataType> read_type(uint32_t id, std::string_view field) const;
  Status take_alignment();
  Result<Tensor> read_tensor_entry(uint64_t index);
  Result<uint64_t> tensor_bytes(const Tensor& tensor, uint32_t type) const;
  Status place_tensors();

  const Source& source_;
  const GgufLimits& limits_;
  SourceReader reader_;
  GgufHeader header_;
  uint64_t n_tensors_ = 0, n_keys_ = 0;
  uint64_t n_elements_ = 0;
};

Result<GgufHeader> Parser::parse() {
  header_.metadata = Metadata(source_.name());
  LANTERN_TRY(read_preamble());
  for (uint64_t i = 0; i < n_keys_; ++i) LANTERN_TRY(read_entry(i));
  LANTERN_TRY(take_alignment());
  header_.tensors.reserve(n_tensors_);
  for (uint64_t i = 0; i < n_tensors_; ++i) {
    LANTERN_ASSIGN(Tensor tensor, read_tensor_entry(i));
    header_.tensors.push_back(std::move(tensor));
  }
  LANTERN_TRY(check_names(header_.tensors, source_.name()));
  LANTERN_TRY(place_tensors());
  return std::move(header_);
}

Status Parser::read_preamble() {
  LANTERN_ASSIGN(std::string_view magic, reader_.read_bytes(4, "magic"));
  if (magic != "GGUF") {
    if (magic == "FUGG") return fault(ErrorCode::kUnsupported, "a big-endian GGUF file");
    for (std::string_view old : {"lmgg", "tjgg", "fmgg", "algg"})
      if (magic == old)
        return fault(ErrorCode::kUnsupported,
                     "a GGML file from before GGUF; get the model as GGUF version 3");
    return corrupt("magic: \"{}\", \"GGUF\" is needed: not a GGUF file", printable(magic));
  }
  LANTERN_ASSIGN(header_.version, reader_.read<uint32_t>("version"));
  if (header_.version == 1)
    return fault(ErrorCode::kUnsupported,
                 "GGUF version 1, versions 2 and 3 are read; get the model as version 3");
  // A big-endian file has the magic in the same order and every number swapped.
  uint32_t swapped = __builtin_bswap32(header_.version);
  if (swapped >= 1 && swapped <= 0xffff && header_.version > 0xffff)
    return fault(ErrorCode::kUnsupported, "a big-endian GGUF file (version {} when swapped)",
                 swapped);
  if (header_.version != 2 && header_.version != 3)
    return fault(ErrorCode::kUnsupported, "GGUF version {}, versions 2 and 3 are read",
                 header_.version);
  LANTERN_ASSIGN(n_tensors_, reader_.read<uint64_t>("tensor count"));
  LANTERN_ASSIGN(n_keys_, reader_.read<uint64_t>("metadata key count"));
  // The smallest entries there are: a key of one letter with a u8, a tensor of one letter
  // with one dimension. So a count beyond the file is found before memory is taken for it.
  constexpr uint64_t kKeyBytesMin = 8 + 1 + 4 + 1, kTensorBytesMin = 8 + 1 + 4 + 4 + 8;
  if (n_keys_ > reader_.remaining() / kKeyBytesMin)
    return corrupt("metadata key count: {} keys do not fit into {} bytes", n_keys_,
                   reader_.remaining());
  if (n_tensors_ > reader_.remaining() / kTensorBytesMin)
    return corrupt("tensor count: {} tensors do not fit into {} bytes", n_tensors_,
                   reader_.remaining());
  if (n_keys_ > limits_.keys)
    return fault(ErrorCode::kTooLarge, "metadata key count: {}, at most {} are read", n_keys_,
                 limits_.keys);
  if (n_tensors_ > limits_.tensors)
    return fault(ErrorCode::kTooLarge, "tensor count: {}, at most {} are read", n_tensors_,
                 limits_.tensors);
  return {};
}

Result<std::string_view> Parser::read_string(uint64_t max_bytes, ErrorCode past_max,
                                             std::string_view field) {
  LANTERN_ASSIGN(uint64_t n, reader_.read<uint64_t>(field));
  LANTERN_TRY(reader_.require(n, field));
  if (n > max_bytes)
    return fault(past_max, "{}: a string of {} bytes, at most {} are read", field, n, max_bytes);
  return reader_.read_bytes(n, field);
}

Result<MetadataType> Parser::read_type(uint32_t id, std::string_view field) const {
  if (id <= static_cast<uint32_t>(MetadataType::kFloat64) && id != kGgufArrayType)
    return static_cast<MetadataType>(id);
  return corrupt("{}: value type {} is none of GGUF's", field, id);
}

Status Parser::read_entry(uint64_t index) {
  std::string entry = fmt::format("metadata entry {}", index);
  LANTERN_ASSIGN(std::string_view key_view,
                 read_string(limits_.key_bytes, ErrorCode::kCorrupt, entry + ": key"));
  if (key_view.empty()) return corrupt("{}: key: is empty", entry);
  if (key_view.find('\0') != std::string_view::npos || !base::is_utf8(key_view))
    return corrupt("{}: key: \"{}\" is no text", entry, printable(key_view));
  std::string key(key_view);
  // Before the value: a duplicate's value is not worth reading.
  if (header_.metadata.has(key))
    return corrupt("key {} stands twice in the metadata", printable(key));
  std::string field = fmt::format("key {}", printable(key));
  LANTERN_ASSIGN(uint32_t type_id, reader_.read<uint32_t>(field));
  if (type_id != kGgufArrayType) {
    LANTERN_ASSIGN(MetadataType type, read_type(type_id, field));
    LANTERN_ASSIGN(MetadataValue value, read_scalar(type, field));
    return header_.metadata.add(std::move(key), std::move(value), type);
  }
  LANTERN_ASSIGN(uint32_t element_id, reader_.read<uint32_t>(field));
  if (element_id == kGgufArrayType)
    return fault(ErrorCode::kUnsupported, "{}: an array of arrays", field);
  LANTERN_ASSIGN(MetadataType type, read_type(element_id, field));
  LANTERN_ASSIGN(uint64_t n, reader_.read<uint64_t>(field));
  LANTERN_ASSIGN(MetadataValue value, read_array(type, n, field));
  return header_.metadata.add(std::move(key), std::move(value), type);
}

/// One boolean as GGUF stores it; nothing but 0 and 1 is one.
std::optional<bool> to_bool(uint8_t byte) {
  if (byte > 1) return std::nullopt;
  return byte == 1;
}

Result<MetadataValue> Parser::read_scalar(MetadataType type, std::string_view field) {
  auto number = [&]<typename T, typename Wide>(T, Wide) -> Result<MetadataValue> {
    LANTERN_ASSIGN(T value, reader_.read<T>(field));
    return MetadataValue(static_cast<Wide>(value));
  };
  switch (type) {
    case MetadataType::kUint8:
      return number(uint8_t{}, uint64_t{});
    case MetadataType::kInt8:
      return number(int8_t{}, int64_t{});
    case MetadataType::kUint16:
      return number(uint16_t{}, uint64_t{});
    case MetadataType::kInt16:
      return number(int16_t{}, int64_t{});
    case MetadataType::kUint32:
      return number(uint32_t{}, uint64_t{});
    case MetadataType::kInt32:
      return number(int32_t{}, int64_t{});
    case MetadataType::kUint64:
      return number(uint64_t{}, uint64_t{});
    case MetadataType::kInt64:
      return number(int64_t{}, int64_t{});
    case MetadataType::kFloat32:
      return number(float{}, double{});
    case MetadataType::kFloat64:
      return number(double{}, double{});
    case MetadataType::kBool: {
      LANTERN_ASSIGN(uint8_t byte, reader_.read<uint8_t>(field));
      auto value = to_bool(byte);
      if (!value) return corrupt("{}: boolean of value {}", field, byte);
      return MetadataValue(*value);
    }
    case MetadataType::kString:
      break;
  }
  LANTERN_ASSIGN(std::string_view text,
                 read_string(limits_.string_bytes, ErrorCode::kTooLarge, field));
  return MetadataValue(std::string(text));
}

template <typename T, typename Wide>
Result<MetadataValue> Parser::read_numbers(uint64_t n, std::string_view field) {
  // In pieces, so that the window stays small.
  constexpr uint64_t kPiece = 16384;
  std::vector<Wide> values;
  values.reserve(n);
  while (values.size() < n) {
    uint64_t count = std::min<uint64_t>(kPiece, n - values.size());
    LANTERN_ASSIGN(std::string_view bytes, reader_.read_bytes(count * sizeof(T), field));
    for (uint64_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      values.push_back(static_cast<Wide>(value));
    }
  }
  return MetadataValue(std::move(values));
}

Result<MetadataValue> Parser::read_array(MetadataType type, uint64_t n, std::string_view field) {
  uint64_t element_bytes = 8;  // a string's length, at least
  switch (type) {
    case MetadataType::kUint8:
    case MetadataType::kInt8:
    case MetadataType::kBool:
      element_bytes = 1;
      break;
    case MetadataType::kUint16:
    case MetadataType::kInt16:
      element_bytes = 2;
      break;
    case MetadataType::kUint32:
    case MetadataType::kInt32:
    case MetadataType::kFloat32:
      element_bytes = 4;
      break;
    default:
      break;
  }
  if (n > reader_.remaining() / element_bytes)
    return corrupt("{}: an array of {} elements does not fit into the {} bytes left", field, n,
                   reader_.remaining());
  n_elements_ += n;  // no overflow: n is bounded by the file
  if (n_elements_ > limits_.elements)
    return fault(ErrorCode::kTooLarge, "{}: {} array elements so far, at most {} are read", field,
                 n_elements_, limits_.elements);
  switch (type) {
    case MetadataType::kUint8:
      return read_numbers<uint8_t, uint64_t>(n, field);
    case MetadataType::kInt8:
      return read_numbers<int8_t, int64_t>(n, field);
    case MetadataType::kUint16:
      return read_numbers<uint16_t, uint64_t>(n, field);
    case MetadataType::kInt16:
      return read_numbers<int16_t, int64_t>(n, field);
    case MetadataType::kUint32:
      return read_numbers<uint32_t, uint64_t>(n, field);
    case MetadataType::kInt32:
      return read_numbers<int32_t, int64_t>(n, field);
    case MetadataType::kUint64:
      return read_numbers<uint64_t, uint64_t>(n, field);
    case MetadataType::kInt64:
      return read_numbers<int64_t, int64_t>(n, field);
    case MetadataType::kFloat32:
      return read_numbers<float, float>(n, field);
    case MetadataType::kFloat64:
      return read_numbers<double, double>(n, field);
    case MetadataType::kBool: {
      std::vector<bool> values;
      values.reserve(n);
      for (uint64_t i = 0; i < n; ++i) {
        LANTERN_ASSIGN(uint8_t byte, reader_.read<uint8_t>(field));
        auto value = to_bool(byte);
        if (!value) return corrupt("{}: element {} is a boolean of value {}", field, i, byte);
        values.push_back(*value);
      }
      return MetadataValue(std::move(values));
    }
    case MetadataType::kString:
      break;
  }
  StringArray strings;
  strings.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    LANTERN_ASSIGN(std::string_view text,
                   read_string(limits_.string_bytes, ErrorCode::kTooLarge, field));
    strings.push_back(text);
  }
  return MetadataValue(std::move(strings));
}

Status Parser::take_alignment() {
  header_.alignment = kGgufAlignment;
  const MetadataValue* value = header_.metadata.find("general.alignment");
  if (value == nullptr) return {};
  const auto* alignment = std::get_if<uint64_t>(value);
  if (alignment == nullptr) return corrupt("key general.alignment: is no unsigned integer");
  if (!std::has_single_bit(*alignment))
    return corrupt("key general.alignment: {} is no power of two", *alignment);
  if (*alignment > limits_.alignment)
    return corrupt("key general.alignment: {}, at most {} makes sense", *alignment,
                   limits_.alignment);
  header_.alignment = *alignment;
  return {};
}

Result<Tensor> Parser::read_tensor_entry(uint64_t index) {
  std::string entry = fmt::format("tensor entry {}", index);
  Tensor tensor;
  LANTERN_ASSIGN(std::string_view name,
                 read_string(limits_.tensor_name_bytes, ErrorCode::kCorrupt, entry + ": name"));
  if (name.empty()) return corrupt("{}: name: is empty", entry);
  if (name.find('\0') != std::string_view::npos || !base::is_utf8(name))
    return corrupt("{}: name: \"{}\" is no text", entry, printable(name));
  tensor.name = std::string(name);
  std::string field = fmt::format("tensor {}", printable(tensor.name));

  LANTERN_ASSIGN(uint32_t n_dimensions, reader_.read<uint32_t>(field + ": dimension count"));
  if (n_dimensions > kGgufDimensionsMax)
    return corrupt("{}: {} dimensions, at most {} are valid", field, n_dimensions,
                   kGgufDimensionsMax);
  tensor.shape.assign(std::max(n_dimensions, 1u), 1);  // none: a scalar, one value
  CheckedSize n_elements(1);
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    LANTERN_ASSIGN(uint64_t n, reader_.read<uint64_t>(field + ": dimension"));
    if (n == 0) return corrupt("{}: dimension {} is 0", field, i);
    n_elements = n_elements * n;
    if (!n_elements.value_as<int64_t>())
      return corrupt("{}: the product of its dimensions overflows at dimension {}, {}", field, i,
                     n);
    tensor.shape[n_dimensions - 1 - i] = static_cast<int64_t>(n);  // the file has columns first
  }
  LANTERN_ASSIGN(uint32_t type, reader_.read<uint32_t>(field + ": type"));
  LANTERN_ASSIGN(tensor.offset, reader_.read<uint64_t>(field + ": offset"));
  LANTERN_ASSIGN(tensor.bytes, tensor_bytes(tensor, type));
  tensor.type = static_cast<quant::DType>(type);
  if (tensor.offset % header_.alignment != 0)
    return corrupt("{}: offset {} is no multiple of the alignment, {}", field, tensor.offset,
                   header_.alignment);
  return tensor;
}

Result<uint64_t> Parser::tensor_bytes(const Tensor& tensor, uint32_t type) const {
  const quant::Format* format = quant::find_format(static_cast<quant::DType>(type));
  if (format == nullptr)
    return fault(ErrorCode::kUnsupported,
                 "tensor {}: type {} ({}) is not one that Lantern computes", printable(tensor.name),
                 type, gguf_type_name(type));
  auto columns = static_cast<uint64_t>(tensor.shape.back());
  auto block_size = static_cast<uint64_t>(format->block_size);
  if (columns % block_size != 0)
    return corrupt("tensor {}: rows of {} values are no multiple of {}'s block, {}",
                   printable(tensor.name), columns, format->name, block_size);
  CheckedSize bytes(columns / block_size);
  bytes = bytes * static_cast<uint64_t>(format->block_bytes);
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i)
    bytes = bytes * static_cast<uint64_t>(tensor.shape[i]);
  if (!bytes.value())
    return corrupt("tensor {}: the size of {} in {} overflows", printable(tensor.name),
                   describe_shape(tensor.shape), format->name);
  return *bytes.value();
}

Status Parser::place_tensors() {
  // Both terms are far from overflowing: the position is within header_bytes.
  header_.data_offset = *CheckedSize(reader_.position()).align_up(header_.alignment).value();
  for (Tensor& tensor : header_.tensors) {
    auto offset = (CheckedSize(header_.data_offset) + tensor.offset).value();
    if (!offset)
      return corrupt("tensor {}: offset {} overflows", printable(tensor.name), tensor.offset);
    tensor.offset = *offset;
  }
  return check_extents(header_.tensors, source_.size(), source_.name());
}

}  // namespace

std::string_view gguf_type_name(uint32_t type) {
  if (const quant::Format* format = quant::find_format(static_cast<quant::DType>(type)))
    return format->name;
  switch (type) {
    case 9:
      return "Q8_1";
    case 15:
      return "Q8_K";
    case 16:
      return "IQ2_XXS";
    case 17:
      return "IQ2_XS";
    case 18:
      return "IQ3_XXS";
    case 19:
      return "IQ1_S";
    case 21:
      return "IQ3_S";
    case 22:
      return "IQ2_S";
    case 24:
      return "I8";
    case 25:
      return "I16";
    case 26:
      return "I32";
    case 27:
      return "I64";
    case 28:
      return "F64";
    case 29:
      return "IQ1_M";
    case 34:
      return "TQ1_0";
    case 35:
      return "TQ2_0";
    case 40:
      return "NVFP4";
    default:
      return "unknown";
  }
}

Result<GgufHeader> parse_gguf(const Source& source, const GgufLimits& limits) {
  return Parser(source, limits).parse();
}

}  // namespace lantern::format
