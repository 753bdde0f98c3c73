// Protocol buffers' wire format, as far as a scan needs it: fields in order, nothing copied.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "supply/scan/scanner.h"

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

/// A walk through nested messages: visits those of a field's kind that can hold more (wire type 2)
/// and remembers whether any message was broken.
class ProtoWalk {
 public:
  [[nodiscard]] bool failed() const { return failed_; }

 protected:
  template <typename Function>
  void each(std::string_view bytes, const Function& function) {
    ProtoReader reader(bytes);
    while (const auto field = reader.next())
      if (field->wire_type == 2) function(*field);
    failed_ = failed_ || reader.failed();
  }
  void fail() { failed_ = true; }

 private:
  bool failed_ = false;
};

/// Protocol buffers end at 2 GiB; graphs without their tensors are far smaller.
inline constexpr uint64_t kProtoBytesMax = 512u << 20;

/// Reads `input` whole and has `walk` visit it by `visit`; where that is not possible to its end,
/// an inconclusive finding of rule "<scanner>-unreadable".
template <typename Walk, typename Visit>
void walk_protobuf(const Input& input, Scan& scan, std::string_view scanner, Walk& walk,
                   const Visit& visit) {
  const std::string bytes = input.read(0, std::min(input.size(), kProtoBytesMax));
  visit(std::string_view(bytes));
  if (walk.failed() || input.size() > kProtoBytesMax || input.cut())
    scan.add(scanner, std::string(scanner) + "-unreadable", Verdict::kInconclusive,
             "the protocol buffer is broken or too large");
}

}  // namespace lantern::supply::scan
