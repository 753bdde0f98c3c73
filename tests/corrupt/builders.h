// Files with chosen faults, byte by byte. Nothing here checks anything: that is the reader's part.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lantern::corrupt {

class Bytes {
 public:
  template <typename T>
  Bytes& number(T value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    text_.append(raw, sizeof(T));
    return *this;
  }
  Bytes& u8(uint8_t v) { return number(v); }
  Bytes& u16(uint16_t v) { return number(v); }
  Bytes& u32(uint32_t v) { return number(v); }
  Bytes& u64(uint64_t v) { return number(v); }
  Bytes& raw(std::string_view s) {
    text_.append(s);
    return *this;
  }
  /// A GGUF string: length, then bytes.
  Bytes& string(std::string_view s) { return u64(s.size()).raw(s); }
  Bytes& pad(size_t alignment) {
    text_.append((alignment - text_.size() % alignment) % alignment, '\0');
    return *this;
  }
  /// Overwrites what stands at `offset`.
  template <typename T>
  Bytes& patch(size_t offset, T value) {
    std::memcpy(text_.data() + offset, &value, sizeof(T));
    return *this;
  }
  [[nodiscard]] size_t size() const { return text_.size(); }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// GGUF's ids.
inline constexpr uint32_t kU8 = 0, kU32 = 4, kBool = 7, kString = 8, kArray = 9;

struct GgufTensor {
  std::string name = "t";
  std::vector<uint64_t> dimensions = {4};  // columns first, as on disk
  uint32_t type = 0;                       // F32
  uint64_t offset = 0;
};

struct Gguf {
  std::string magic = "GGUF";
  uint32_t version = 3;
  std::vector<Bytes> keys;  // whole entries
  std::vector<GgufTensor> tensors;
  uint64_t alignment = 32;  // of the data's begin
  size_t data_bytes = 0;
  // Where set, the counts that the header claims.
  uint64_t claimed_keys = UINT64_MAX;
  uint64_t claimed_tensors = UINT64_MAX;

  [[nodiscard]] std::string build() const {
    Bytes out;
    out.raw(magic).u32(version);
    out.u64(claimed_tensors == UINT64_MAX ? tensors.size() : claimed_tensors);
    out.u64(claimed_keys == UINT64_MAX ? keys.size() : claimed_keys);
    for (const Bytes& key : keys) out.raw(key.text());
    for (const GgufTensor& t : tensors) {
      out.string(t.name).u32(static_cast<uint32_t>(t.dimensions.size()));
      for (uint64_t n : t.dimensions) out.u64(n);
      out.u32(t.type).u64(t.offset);
    }
    if (data_bytes > 0) out.pad(alignment).raw(std::string(data_bytes, 'd'));
    return out.text();
  }
};

inline Bytes u32_key(std::string_view key, uint32_t value) {
  return Bytes().string(key).u32(kU32).u32(value);
}
inline Bytes string_key(std::string_view key, std::string_view value) {
  return Bytes().string(key).u32(kString).string(value);
}

/// A safetensors file of a header as given and so many bytes of data.
inline std::string safetensors(std::string_view header, size_t data_bytes) {
  return Bytes().u64(header.size()).raw(header).raw(std::string(data_bytes, 'd')).text();
}

struct ZipEntrySpec {
  std::string name = "a";
  std::string content = "content";
  bool deflate = false;
};

/// A valid archive and the places of its records, to be patched.
struct Zip {
  Bytes bytes;
  std::vector<size_t> local;    // of each local header
  std::vector<size_t> data;     // of each entry's data
  std::vector<size_t> central;  // of each directory entry
  size_t end = 0;               // of the end record
};

inline std::string deflated(std::string_view text) {
  z_stream stream{};
  deflateInit2(&stream, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, static_cast<uLong>(text.size())), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline Zip make_zip(const std::vector<ZipEntrySpec>& entries, std::string_view comment = "") {
  Zip zip;
  std::vector<std::string> packed;
  auto crc_of = [](const std::string& s) {
    return static_cast<uint32_t>(
        crc32(0, reinterpret_cast<const Bytef*>(s.data()), static_cast<uInt>(s.size())));
  };
  for (const ZipEntrySpec& e : entries) {
    packed.push_back(e.deflate ? deflated(e.content) : e.content);
    zip.local.push_back(zip.bytes.size());
    zip.bytes.u32(0x04034b50).u16(20).u16(0).u16(e.deflate ? 8 : 0).u32(0).u32(crc_of(e.content));
    zip.bytes.u32(static_cast<uint32_t>(packed.back().size()));
    zip.bytes.u32(static_cast<uint32_t>(e.content.size()));
    zip.bytes.u16(static_cast<uint16_t>(e.name.size())).u16(0).raw(e.name);
    zip.data.push_back(zip.bytes.size());
    zip.bytes.raw(packed.back());
  }
  size_t directory = zip.bytes.size();
  for (size_t i = 0; i < entries.size(); ++i) {
    const ZipEntrySpec& e = entries[i];
    zip.central.push_back(zip.bytes.size());
    zip.bytes.u32(0x02014b50).u16(20).u16(20).u16(0).u16(e.deflate ? 8 : 0).u32(0);
    zip.bytes.u32(crc_of(e.content)).u32(static_cast<uint32_t>(packed[i].size()));
    zip.bytes.u32(static_cast<uint32_t>(e.content.size()));
    zip.bytes.u16(static_cast<uint16_t>(e.name.size())).u16(0).u16(0).u16(0).u16(0).u32(0);
    zip.bytes.u32(static_cast<uint32_t>(zip.local[i])).raw(e.name);
  }
  zip.end = zip.bytes.size();
  auto n = static_cast<uint16_t>(entries.size());
  zip.bytes.u32(0x06054b50).u16(0).u16(0).u16(n).u16(n);
  zip.bytes.u32(static_cast<uint32_t>(zip.end - directory)).u32(static_cast<uint32_t>(directory));
  zip.bytes.u16(static_cast<uint16_t>(comment.size())).raw(comment);
  return zip;
}

}  // namespace lantern::corrupt
