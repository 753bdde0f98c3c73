// The files of a model's folder, as a scan sees them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "supply/scan/report.h"
#include "supply/scan/scan.h"

namespace lantern::supply::scan {

struct FolderListing {
  struct Entry {
    std::filesystem::path path;  // to open
    std::string name;            // relative, for reports
  };
  std::vector<Entry> files;       // regular files, by name
  std::vector<Finding> findings;  // links out of the folder, special files, too many files
};

/// A file gives itself. A folder gives all regular files in it and its folders; a link within a
/// folder is followed where its target is a regular file inside the folder or inside the blobs
/// beside it, as the Hugging Face cache lays them out. Errors: kNotFound, kIo.
Result<FolderListing> list_files(const std::filesystem::path& path, const Limits& limits);

}  // namespace lantern::supply::scan
