#include "supply/scan/inflate.h"

#include <zlib.h>

#include <algorithm>
#include <climits>

namespace lantern::supply::scan {

Inflated inflate_prefix(std::string_view stream, DeflateKind kind, uint64_t bytes_max, Scan& scan) {
  Inflated out;
  z_stream z{};
  if (inflateInit2(&z, kind == DeflateKind::kRaw ? -MAX_WBITS : MAX_WBITS) != Z_OK) return out;
  constexpr size_t kStep = 256u << 10;
  std::string buffer(kStep, '\0');
  size_t at = 0;
  for (int status = Z_OK; status == Z_OK;) {
    if (z.avail_in == 0) {
      const size_t n = std::min<size_t>(stream.size() - at, kStep);
      if (n == 0) break;
      z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stream.data() + at));
      z.avail_in = static_cast<uInt>(n);
      at += n;
    }
    z.next_out = reinterpret_cast<Bytef*>(buffer.data());
    z.avail_out = static_cast<uInt>(buffer.size());
    status = inflate(&z, Z_NO_FLUSH);
    const size_t n_out = buffer.size() - z.avail_out;
    if (!scan.spend_extracted(n_out).ok()) break;
    out.bytes.append(buffer, 0, std::min<uint64_t>(n_out, bytes_max - out.bytes.size()));
    if (status == Z_STREAM_END) out.is_whole = true;
    if (out.bytes.size() >= bytes_max) break;
    if (status == Z_BUF_ERROR && z.avail_in == 0 && at < stream.size()) status = Z_OK;
  }
  inflateEnd(&z);
  return out;
}

}  // namespace lantern::supply::scan
