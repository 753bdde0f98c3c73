#include "cli/output.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/file.h"

namespace lantern::cli {

Status print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return base::errno_error(errno, "cannot write the answer to standard output");
    text.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status print_json(const base::OrderedJson& document) {
  // Bytes that are no UTF-8 (names from files) become U+FFFD rather than an exception.
  return print(document.dump(2, ' ', false, base::OrderedJson::error_handler_t::replace) + "\n");
}

void tell(std::string_view message) {
  const std::string line = fmt::format("lantern: {}\n", visible(message));
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string visible(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c0 = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f;
    // C1 controls, U+0080 to U+009F, are C2 80 to C2 9F.
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) >= 0x80 &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c0 || c1) {
      out += "\xef\xbf\xbd";
      if (c1) ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

SafeText::SafeText() : terminal_(stdout_is_terminal()) {}

std::string SafeText::operator()(std::string_view text) const {
  return terminal_ ? visible(text) : std::string(text);
}

bool stdin_is_terminal() { return ::isatty(STDIN_FILENO) == 1; }
bool stdout_is_terminal() { return ::isatty(STDOUT_FILENO) == 1; }
bool stderr_is_terminal() { return ::isatty(STDERR_FILENO) == 1; }

}  // namespace lantern::cli
