// Whether what stands at a path is what stood there before: for whoever reads a small file again
// only when it changed. Of a file that is open, stamp_of() in base/file.h says more.
#pragma once

#include <filesystem>
#include <string>

namespace lantern::base {

struct PathStamp {
  std::string text;  // equal as long as the inode, its owner, mode, size and times are
  /// It changed so recently that a second change might leave the text as it is: read it again.
  bool is_young = false;
};

/// A link is not followed. A path that cannot be looked at has a stamp too, by its errno.
PathStamp path_stamp(const std::filesystem::path& path);

}  // namespace lantern::base
