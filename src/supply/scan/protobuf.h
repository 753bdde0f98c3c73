// Protocol buffers' wire format, as far as a scan needs it: fields in order, nothing copied.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace lantern::supply::scan {

struct ProtoField {
  uint32_t number = 0;
  uint32_t wire_type = 0;  // 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes
  uint64_t varint = 0;     // of wire types 0, 1 and 5
  std::string_view bytes;  // of wire type 2
};

class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : rest_(bytes) {}

  /// The next field, or nothing at the end and at a fault.
  std::optional<ProtoField> next();
  /// Something that is no field stood there.
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  std::optional<uint64_t> varint();

  std::string_view rest_;
  bool failed_ = false;
};

}  // namespace lantern::supply::scan
