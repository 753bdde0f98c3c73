#include "format/npy.h"

#include <bit>
#include <string>

namespace lantern::format {

static_assert(std::endian::native == std::endian::little);

Result<NpyWriter> NpyWriter::create(const std::filesystem::path& path, uint64_t n_rows,
                                    uint64_t n_columns) {
  if (n_columns == 0)
    return make_error(ErrorCode::kInvalidArgument, "{}: rows of no columns", path.string());
  std::string header = fmt::format(
      "{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", n_rows, n_columns);
  // Magic, version and length are 10 bytes; the whole is padded to a multiple of 64 with
  // spaces and ends in a newline.
  constexpr size_t kPreambleBytes = 10, kAlignment = 64;
  size_t unpadded = kPreambleBytes + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header += '\n';
  std::string preamble("\x93NUMPY\x01\x00", 8);
  preamble += static_cast<char>(header.size() & 0xff);
  preamble += static_cast<char>(header.size() >> 8);
  LANTERN_ASSIGN(base::AtomicFile file, base::AtomicFile::create(path));
  LANTERN_TRY(file.write(preamble + header));
  return NpyWriter(std::move(file), n_rows, n_columns);
}

Status NpyWriter::write_rows(std::span<const float> values) {
  uint64_t n_rows = values.size() / n_columns_;
  if (values.size() % n_columns_ != 0 || n_rows > n_rows_left_)
    return make_error(ErrorCode::kInvalidArgument,
                      "{} values are not whole rows of {}, or more than the {} left", values.size(),
                      n_columns_, n_rows_left_);
  LANTERN_TRY(file_.write(std::as_bytes(values)));
  n_rows_left_ -= n_rows;
  return {};
}

Status NpyWriter::commit() {
  if (n_rows_left_ != 0)
    return make_error(ErrorCode::kInvalidArgument, "{} rows were not written", n_rows_left_);
  return file_.commit();
}

}  // namespace lantern::format
