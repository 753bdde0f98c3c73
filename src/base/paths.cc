#include "base/paths.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <vector>

#include "base/file.h"

namespace lantern::base {
namespace {

namespace fs = std::filesystem;

Result<fs::path> home_folder() {
  if (const char* home = std::getenv("HOME"); home && fs::path(home).is_absolute())
    return fs::path(home);
  std::vector<char> buffer(16384);
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found &&
      fs::path(found->pw_dir).is_absolute())
    return fs::path(found->pw_dir);
  return make_error(ErrorCode::kNotFound, "no home folder is known: set HOME or LANTERN_HOME");
}

Result<fs::path> xdg_folder(const char* variable, const char* fallback) {
  if (const char* value = std::getenv(variable); value && fs::path(value).is_absolute())
    return fs::path(value) / "lantern";
  LANTERN_ASSIGN(fs::path home, home_folder());
  return home / fallback / "lantern";
}

}  // namespace

const fs::path& managed_folder() {
  static const fs::path folder = "/etc/lantern";
  return folder;
}

bool is_managed(const fs::path& folder) {
  for (const char* name : {"trust", "policy.dsse"}) {
    struct stat info {};
    if (::lstat((folder / name).c_str(), &info) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) return true;
  }
  return false;
}

Result<Folders> own_folders() {
  if (machine_is_managed()) {
    const fs::path root = "/var/lib/lantern";
    return Folders{.data = root / "data",
                   .config = root / "config",
                   .state = root / "state",
                   .cache = root / "cache"};
  }
  if (const char* own = std::getenv("LANTERN_HOME"); own && *own) {
    fs::path root(own);
    if (!root.is_absolute())
      return make_error(ErrorCode::kInvalidArgument,
                        "LANTERN_HOME is \"{}\": give an absolute path", own);
    return Folders{.data = root / "data",
                   .config = root / "config",
                   .state = root / "state",
                   .cache = root / "cache"};
  }
  Folders folders;
  LANTERN_ASSIGN(folders.data, xdg_folder("XDG_DATA_HOME", ".local/share"));
  LANTERN_ASSIGN(folders.config, xdg_folder("XDG_CONFIG_HOME", ".config"));
  LANTERN_ASSIGN(folders.state, xdg_folder("XDG_STATE_HOME", ".local/state"));
  LANTERN_ASSIGN(folders.cache, xdg_folder("XDG_CACHE_HOME", ".cache"));
  return folders;
}

Status make_private_folder(const fs::path& path) {
  fs::path so_far;
  for (const auto& part : path) {
    so_far /= part;
    if (::mkdir(so_far.c_str(), 0700) != 0 && errno != EEXIST) {
      int why = errno;
      // mkdir reports a read-only or forbidden parent before it notices that the folder is there.
      std::error_code ignored;
      if (!fs::is_directory(so_far, ignored)) return errno_error(why, so_far.string());
    }
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error(errno, path.string());
  if (!S_ISDIR(info.st_mode))
    return make_error(ErrorCode::kInvalidArgument, "{}: not a folder", path.string());
  return {};
}

}  // namespace lantern::base
