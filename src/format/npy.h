// NumPy's .npy, version 1.0, as its documentation describes it (numpy.lib.format): a float32
// matrix, written row by row.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

#include "base/file.h"
#include "base/result.h"

namespace lantern::format {

/// [n_rows, n_columns], C order, little-endian. The file appears at commit().
class NpyWriter {
 public:
  static Result<NpyWriter> create(const std::filesystem::path& path, uint64_t n_rows,
                                  uint64_t n_columns);

  /// One row or several: a multiple of n_columns values. kInvalidArgument past the last row.
  Status write_rows(std::span<const float> values);
  /// kInvalidArgument where rows are missing.
  Status commit();

 private:
  NpyWriter(base::AtomicFile file, uint64_t n_rows, uint64_t n_columns)
      : file_(std::move(file)), n_columns_(n_columns), n_rows_left_(n_rows) {}

  base::AtomicFile file_;
  uint64_t n_columns_;
  uint64_t n_rows_left_;
};

}  // namespace lantern::format
