// Where Lantern's own files live: the XDG folders, or everything under LANTERN_HOME.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

#include "base/result.h"

namespace lantern::base {

struct Folders {
  std::filesystem::path data;    // models, their manifests
  std::filesystem::path config;  // what a person writes
  std::filesystem::path state;   // history, logs
  std::filesystem::path cache;   // what can be made again
};

/// The login name of an account; its number where it has none.
std::string account_name(uid_t uid);

/// The folder whose trust root or policy makes this a managed machine: /etc/lantern.
const std::filesystem::path& managed_folder();
/// Whether it does. What cannot be looked at counts as yes: a managed machine denies by default.
bool is_managed(const std::filesystem::path& folder);
inline bool machine_is_managed() { return is_managed(managed_folder()); }

/// On a managed machine /var/lib/lantern, whatever the environment says. Else from the environment:
/// LANTERN_HOME puts all four under itself; else XDG_DATA_HOME, XDG_CONFIG_HOME, XDG_STATE_HOME and
/// XDG_CACHE_HOME (relative ones are ignored, as that specification asks), else their defaults
/// under the home folder. Creates nothing. Errors: kInvalidArgument for a relative LANTERN_HOME,
/// kNotFound without a home folder; kDenied on a managed machine for any account but the one that
/// owns /var/lib/lantern.
Result<Folders> own_folders();

/// Creates `path` and its parents, for this user alone (0700), where they do not exist.
Status make_private_folder(const std::filesystem::path& path);

}  // namespace lantern::base
