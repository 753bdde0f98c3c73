#include "cli/passphrase.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"

namespace lantern::cli {
namespace {

constexpr size_t kPassphraseBytesMax = 4096;

/// The terminal, which shows nothing and sends each key at once until this is gone. Ctrl-C is a
/// key like another: a process that ended here would leave the terminal mute.
class MutedTerminal {
 public:
  static Result<MutedTerminal> open() {
    MutedTerminal terminal;
    terminal.fd_ = base::UniqueFd(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
    if (terminal.fd_.get() < 0 || ::tcgetattr(terminal.fd_.get(), &terminal.before_) != 0)
      return make_error(ErrorCode::kInvalidArgument,
                        "no terminal to ask for the passphrase; give --passphrase-file");
    termios muted = terminal.before_;
    muted.c_lflag &= ~static_cast<tcflag_t>(ECHO | ECHONL | ICANON | ISIG);
    muted.c_cc[VMIN] = 1;
    muted.c_cc[VTIME] = 0;
    if (::tcsetattr(terminal.fd_.get(), TCSAFLUSH, &muted) != 0)
      return base::errno_error(errno, "/dev/tty");
    terminal.muted_ = true;
    return terminal;
  }
  MutedTerminal(MutedTerminal&& other) noexcept
      : fd_(std::move(other.fd_)),
        before_(other.before_),
        muted_(std::exchange(other.muted_, false)) {}
  MutedTerminal& operator=(MutedTerminal&&) = delete;
  ~MutedTerminal() {
    if (muted_) (void)::tcsetattr(fd_.get(), TCSAFLUSH, &before_);
  }

  Result<base::Secret> ask(const std::string& prompt) {
    write(prompt);
    base::Secret typed(kPassphraseBytesMax);
    size_t n = 0;
    for (;;) {
      char key = 0;
      const ssize_t got = ::read(fd_.get(), &key, 1);
      if (got < 0 && errno == EINTR) continue;
      constexpr char kCtrlC = 3, kCtrlD = 4, kBackspace = 8, kCtrlU = 21, kDelete = 127;
      if (got <= 0 || key == kCtrlC || key == kCtrlD) {
        write("\n");
        return make_error(ErrorCode::kCancelled, "no passphrase was given");
      }
      if (key == '\n' || key == '\r') break;
      if (key == kBackspace || key == kDelete)
        n -= last_character(typed.view().substr(0, n));
      else if (key == kCtrlU)
        n = 0;
      else if (n < typed.size())
        typed.bytes()[n++] = key;
    }
    write("\n");
    return base::Secret::of(typed.view().substr(0, n));
  }

 private:
  MutedTerminal() = default;
  void write(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t n = ::write(fd_.get(), text.data(), text.size());
      if (n <= 0) return;
      text.remove_prefix(static_cast<size_t>(n));
    }
  }
  /// The bytes of the last UTF-8 character.
  static size_t last_character(std::string_view text) {
    size_t n = 0;
    while (n < text.size()) {
      ++n;
      if ((static_cast<unsigned char>(text[text.size() - n]) & 0xC0) != 0x80) break;
    }
    return n;
  }

  base::UniqueFd fd_;
  termios before_ = {};
  bool muted_ = false;
};

}  // namespace

Result<base::Secret> read_passphrase_file(const std::string& path) {
  if (path.empty()) return base::Secret();
  LANTERN_ASSIGN(std::string text, base::read_text_file(path, kPassphraseBytesMax));
  base::Secret passphrase = base::Secret::of(
      std::string_view(text).substr(0, std::min(text.find_first_of("\r\n"), text.size())));
  explicit_bzero(text.data(), text.size());
  return passphrase;
}

Result<base::Secret> passphrase_for(const std::string& path, const char* what, Passphrase which) {
  if (!path.empty()) return read_passphrase_file(path);
  LANTERN_ASSIGN(MutedTerminal terminal, MutedTerminal::open());
  LANTERN_ASSIGN(base::Secret first, terminal.ask(fmt::format("passphrase of {}: ", what)));
  if (which == Passphrase::kKnown) return first;
  LANTERN_ASSIGN(const base::Secret second, terminal.ask("the same again: "));
  if (first.view() == second.view()) return first;
  return make_error(ErrorCode::kInvalidArgument, "the two passphrases differ; nothing was written");
}

}  // namespace lantern::cli
