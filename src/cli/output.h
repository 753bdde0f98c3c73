// Where answers go: stdout, and only they. Messages for a person go to stderr.
#pragma once

#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace lantern::cli {

/// Writes to stdout at once; kIo where it cannot be written (a closed pipe, a full disk).
Status print(std::string_view text);

/// One JSON document and a line break.
Status print_json(const base::OrderedJson& document);

/// A line on stderr, "lantern: " before it.
void tell(std::string_view message);

/// Text that a model or a file wrote, made safe to show: where stdout is a terminal, control
/// characters other than line break and tab become U+FFFD, so that nobody's answer can move the
/// cursor, set the title or paste. Elsewhere it is unchanged.
class SafeText {
 public:
  SafeText();
  std::string operator()(std::string_view text) const;

 private:
  bool terminal_;
};

/// The same, whatever stdout is: for names and metadata in tables.
std::string visible(std::string_view text);

bool stdin_is_terminal();
bool stdout_is_terminal();
bool stderr_is_terminal();

}  // namespace lantern::cli
