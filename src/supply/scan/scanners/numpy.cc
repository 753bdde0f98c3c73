// NumPy's .npy (numpy.lib.format): an array of Python objects is a pickle behind a header.
#include <cstring>
#include <string>

#include "supply/scan/pickle/walker.h"
#include "supply/scan/scanner.h"

namespace lantern::supply::scan {
namespace {

bool matches(const Input& input) { return input.head().starts_with("\x93NUMPY"); }

/// The header, a Python dict in text: {'descr': '<f4', 'fortran_order': False, 'shape': (3,)}.
Result<std::string> header_of(const Input& input, uint64_t& data_at) {
  const std::string start = input.read(0, 12);
  if (start.size() < 12) return make_error(ErrorCode::kCorrupt, "the header breaks off");
  uint64_t n = 0;
  const bool is_first_version = start[6] == 1;
  std::memcpy(&n, start.data() + 8, is_first_version ? 2 : 4);
  const uint64_t at = is_first_version ? 10 : 12;
  constexpr uint64_t kHeaderBytesMax = 1u << 20;
  if (n > kHeaderBytesMax || at + n > input.size())
    return make_error(ErrorCode::kCorrupt, "a header of {} bytes in a file of {}", n, input.size());
  data_at = at + n;
  return input.read(at, n);
}

void run(const Input& input, Scan& scan) {
  uint64_t data_at = 0;
  const auto header = header_of(input, data_at);
  if (!header.ok()) {
    scan.unreadable("numpy", header.error());
    return;
  }
  const size_t descr = header->find("descr");
  const size_t end = header->find("fortran_order");
  const std::string type =
      descr == header->npos
          ? *header
          : header->substr(descr + 5,
                           end == header->npos || end < descr ? header->npos : end - descr - 5);
  // 'O', '|O', '|O8' and fields of such: any capital O among the type's characters. Where the
  // data is a pickle, the header's word is not needed.
  const bool has_objects = type.find("O") != type.npos || type.find("object") != type.npos;
  if (!has_objects && !is_pickle(input.source(), data_at)) return;
  scan.add("numpy", "numpy-objects", has_objects ? Verdict::kUnsupported : Verdict::kWarn,
           "an array of Python objects: loading it loads a pickle");
  if (has_objects) scan_pickles(input.source(), data_at, scan, "numpy");
}

}  // namespace

extern const Scanner k_numpy;
const Scanner k_numpy = {.name = "numpy", .matches = matches, .scan = run};

}  // namespace lantern::supply::scan
