#include "base/path_stamp.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <chrono>

namespace lantern::base {
namespace {

// The coarsest tick of the clocks that stamp files.
constexpr std::chrono::seconds kYoung{2};

}  // namespace

PathStamp path_stamp(const std::filesystem::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0)
    return {.text = fmt::format("{} {}\n", path.string(), errno)};
  const auto changed = std::chrono::system_clock::from_time_t(status.st_ctim.tv_sec);
  return {.text = fmt::format("{} {} {} {} {} {} {}.{} {}.{}\n", path.string(), status.st_dev,
                              status.st_ino, status.st_mode, status.st_uid, status.st_size,
                              status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_ctim.tv_sec,
                              status.st_ctim.tv_nsec),
          .is_young = std::chrono::system_clock::now() - changed < kYoung};
}

}  // namespace lantern::base
