// The structure of a zip archive, checked; zip.h extracts from it.
#pragma once

#include <vector>

#include "base/result.h"
#include "format/source.h"
#include "format/zip.h"

namespace lantern::format {

/// All entries with their data's place. Errors as ZipFile::open says.
Result<std::vector<ZipEntry>> read_zip_directory(const Source& source, const ZipLimits& limits);

}  // namespace lantern::format
