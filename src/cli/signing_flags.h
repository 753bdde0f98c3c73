// Keys and certificates that commands read from files.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "gate/signing.h"

namespace lantern::cli {

Result<std::vector<supply::Certificate>> read_certificates(const std::string& path);

/// Public keys and trust roots, each file in PEM. kUnsupported for a key that signs no models.
Result<supply::TrustedSigners> read_trusted(const std::vector<std::string>& keys,
                                            const std::vector<std::string>& roots);

}  // namespace lantern::cli
