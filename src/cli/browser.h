// The person's web browser.
#pragma once

#include <string>

#include "base/result.h"

namespace lantern::cli {

/// Asks the desktop to open `url`, and does not wait for it. kUnsupported where there is no desktop
/// or nothing that opens addresses on it.
Status open_in_browser(const std::string& url);

}  // namespace lantern::cli
