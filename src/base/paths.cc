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

/// On a managed machine only the account that owns the service's folder decides and loads. Asked
/// here, where every path into state, store, keys and log begins, so that no command can miss it.
Status check_account(const fs::path& root) {
  struct stat info {};
  if (::stat(root.c_str(), &info) != 0)
    return make_error(ErrorCode::kDenied,
                      "denied by rule lantern.service-account: this machine is managed ({}), and "
                      "{} does not exist: ask its administrator to make it for the service's "
                      "account",
                      managed_folder().string(), root.string());
  if (info.st_uid == ::geteuid()) return {};
  const std::string name = account_name(info.st_uid);
  return make_error(ErrorCode::kDenied,
                    "denied by rule lantern.service-account: this machine is managed ({}): only "
                    "the account {} may use its models, its records and its keys; ask for `sudo -u "
                    "{} lantern ...`",
                    managed_folder().string(), name, name);
}

}  // namespace

std::string account_name(uid_t uid) {
  std::vector<char> buffer(16384);
  passwd entry{}, *found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    return found->pw_name;
  return std::to_string(uid);
}

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
    LANTERN_TRY(check_account(root));
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
