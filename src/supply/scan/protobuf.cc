#include "supply/scan/protobuf.h"

#include <cstring>

namespace lantern::supply::scan {

std::optional<uint64_t> ProtoReader::varint() {
  uint64_t value = 0;
  for (unsigned shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    const auto byte = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if ((byte & 0x80) == 0) return value;
  }
  failed_ = true;
  return std::nullopt;
}

std::optional<ProtoField> ProtoReader::next() {
  if (failed_ || rest_.empty()) return std::nullopt;
  const auto tag = varint();
  if (!tag) return std::nullopt;
  ProtoField field;
  field.number = static_cast<uint32_t>(*tag >> 3);
  field.wire_type = static_cast<uint32_t>(*tag & 7);
  uint64_t n = 0;
  switch (field.wire_type) {
    case 0: {
      const auto value = varint();
      if (!value) return std::nullopt;
      field.varint = *value;
      break;
    }
    case 1:
      n = 8;
      break;
    case 2: {
      const auto length = varint();
      if (!length) return std::nullopt;
      n = *length;
      break;
    }
    case 5:
      n = 4;
      break;
    default:
      failed_ = true;
      return std::nullopt;
  }
  if (field.number == 0 || n > rest_.size()) {
    failed_ = true;
    return std::nullopt;
  }
  if (field.wire_type == 2)
    field.bytes = rest_.substr(0, n);
  else if (n > 0)
    std::memcpy(&field.varint, rest_.data(), n);
  rest_.remove_prefix(n);
  return field;
}

}  // namespace lantern::supply::scan
