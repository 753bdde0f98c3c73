// ONNX: a protocol buffer without a magic. The model's first fields are its version and its
// producer; field 7 is the graph, whose initializers (field 5) are the weights.
#include <algorithm>
#include <cctype>
#include <optional>

#include "base/checked.h"
#include "sensor/weights.h"

namespace lantern::sensor {
namespace {

constexpr int kFieldsMax = 1 << 20;  // looked at, in all; a model has some thousands

bool matches(const FileEnds& ends) {
  const std::string_view head = ends.head;
  if (head.size() < 16 || head[0] != 0x08 || head[1] < 1 || head[1] > 31 || head[2] != 0x12)
    return false;
  const auto length = static_cast<size_t>(static_cast<unsigned char>(head[3]));
  if (length < 2 || length + 4 > head.size()) return false;
  const std::string_view producer = head.substr(4, length);
  return std::all_of(producer.begin(), producer.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-' || c == ' ';
  });
}

struct Field {
  uint32_t number = 0, wire_type = 0;
  uint64_t value = 0;           // a varint's, or the length
  uint64_t begin = 0, end = 0;  // of a length-delimited one's content
};

/// Fields of a message that lies in [at, end) of the source, read where they are.
class Fields {
 public:
  Fields(const WeightInput& input, uint64_t begin, uint64_t end, int& left)
      : input_(input), at_(begin), end_(end), left_(left) {}

  std::optional<Field> next() {
    if (at_ >= end_ || --left_ < 0) return std::nullopt;
    const auto key = varint();
    if (!key) return std::nullopt;
    Field field{.number = static_cast<uint32_t>(*key >> 3),
                .wire_type = static_cast<uint32_t>(*key & 7)};
    if (field.wire_type == 1 || field.wire_type == 5) {
      at_ += field.wire_type == 1 ? 8 : 4;
      return at_ <= end_ ? std::optional(field) : std::nullopt;
    }
    const auto value = varint();
    if (!value) return std::nullopt;
    field.value = *value;
    if (field.wire_type == 0) return field;
    if (field.wire_type != 2 || *value > end_ - at_) return std::nullopt;
    field.begin = at_;
    field.end = at_ += *value;
    return field;
  }

 private:
  std::optional<uint64_t> varint() {
    std::byte buffer[10];
    const uint64_t n = std::min<uint64_t>(sizeof buffer, end_ - at_);
    if (at_ + n > input_.have || !input_.source.read_at(at_, std::span(buffer).first(n)).ok())
      return std::nullopt;
    uint64_t value = 0;
    for (uint64_t i = 0; i < n; ++i) {
      const auto byte = std::to_integer<uint64_t>(buffer[i]);
      if (i == 9 && byte > 1) return std::nullopt;
      value |= (byte & 0x7f) << (7 * i);
      if ((byte & 0x80) != 0) continue;
      at_ += i + 1;
      return value;
    }
    return std::nullopt;
  }

  const WeightInput& input_;
  uint64_t at_, end_;
  int& left_;
};

std::string text_at(const WeightInput& input, const Field& field) {
  std::string text(std::min<uint64_t>(field.end - field.begin, kClaimBytesMax), '\0');
  if (!input.source.read_at(field.begin, std::as_writable_bytes(std::span(text))).ok()) return "";
  return text;
}

/// TensorProto.DataType.
std::string_view type_name(uint64_t type) {
  constexpr std::string_view kNames[] = {"undefined", "F32", "U8",   "I8",   "U16", "I16",
                                         "I32",       "I64", "text", "BOOL", "F16", "F64"};
  if (type < std::size(kNames)) return kNames[type];
  if (type == 16) return "BF16";
  return type == 21 || type == 22 ? "I4" : "other";
}

void read_initializer(const WeightInput& input, const Field& tensor, int& left,
                      WeightFacts& facts) {
  Fields fields(input, tensor.begin, tensor.end, left);
  base::CheckedSize elements(1);
  uint64_t type = 0;
  while (const auto field = fields.next()) {
    if (field->number == 1 && field->wire_type == 0) elements = elements * field->value;
    if (field->number == 1 && field->wire_type == 2) {  // packed dimensions
      uint64_t at = field->begin;
      while (at < field->end) {
        std::byte byte{};
        uint64_t value = 0;
        for (int shift = 0; shift < 63 && at < field->end; shift += 7) {
          if (!input.source.read_at(at++, std::span(&byte, 1)).ok()) return;
          value |= (std::to_integer<uint64_t>(byte) & 0x7f) << shift;
          if ((byte & std::byte{0x80}) == std::byte{}) break;
        }
        elements = elements * value;
        if (--left < 0) return;
      }
    }
    if (field->number == 2 && field->wire_type == 0) type = field->value;
  }
  // A value takes half a byte at least, here or in a file beside (external data).
  if (const auto n = elements.value(); n && *n < uint64_t{1} << 50)
    count_tensor(facts, type_name(type), *n);
}

Status read(const WeightInput& input, WeightFacts& facts) {
  int left = kFieldsMax;
  Fields model(input, 0, input.source.size(), left);
  bool has_graph = false;
  while (const auto field = model.next()) {
    if (field->number == 2 && field->wire_type == 2)
      facts.publisher = claim(text_at(input, *field));
    if (field->number != 7 || field->wire_type != 2) continue;
    has_graph = true;
    Fields graph(input, field->begin, field->end, left);
    while (const auto part = graph.next()) {
      if (part->number == 2 && part->wire_type == 2) facts.name = claim(text_at(input, *part));
      if (part->number == 5 && part->wire_type == 2) read_initializer(input, *part, left, facts);
    }
  }
  if (!has_graph) return make_error(ErrorCode::kNotFound, "no ONNX graph");
  if (left < 0) return make_error(ErrorCode::kTooLarge, "more fields than a model has");
  return {};
}

}  // namespace

extern const WeightFormat k_onnx;
const WeightFormat k_onnx = {.name = "ONNX", .matches = matches, .read = read};

}  // namespace lantern::sensor
