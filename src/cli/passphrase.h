// Passphrases: from a file, or typed at the terminal without being shown.
#pragma once

#include <string>

#include "base/result.h"
#include "base/secret.h"

namespace lantern::cli {

/// The first line of `path`; empty where `path` is.
Result<base::Secret> read_passphrase_file(const std::string& path);

enum class Passphrase {
  kKnown,  // asked for once
  kNew,    // asked for twice
};
/// From the file where one is named, else from the terminal. kInvalidArgument without either, or
/// where the two times differ; kCancelled by Ctrl-C.
Result<base::Secret> passphrase_for(const std::string& path, const char* what, Passphrase which);

}  // namespace lantern::cli
