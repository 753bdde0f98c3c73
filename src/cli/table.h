// Columns for people.
#pragma once

#include <string>
#include <vector>

namespace lantern::cli {

/// Rows of equal length, the first being the heads; columns padded to their widest cell, two
/// blanks between them. `right_aligned` names columns of numbers.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<size_t>& right_aligned = {});

}  // namespace lantern::cli
