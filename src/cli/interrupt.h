// Ctrl-C: asks the running command to stop; a second one ends the program.
#pragma once

#include <stop_token>

namespace lantern::cli {

/// Once, at start. Until the first scope is asked for, an interrupt ends the program (exit 130).
void install_interrupt_handler();

/// What a second interrupt in one scope does: ends the program at once, or nothing (where the
/// terminal is in a mode that must be undone first).
enum class SecondInterrupt { kEndsProgram, kIgnored };

/// A fresh token that the next interrupt stops. A chat asks for one per answer, so that
/// Ctrl-C ends the answer and not the program.
std::stop_token new_interruptible_scope(SecondInterrupt second = SecondInterrupt::kEndsProgram);

/// True if the current scope was interrupted.
bool interrupted();

/// From the first call on, SIGHUP ends nothing: it makes this descriptor readable, until
/// take_hangup() says that there was one.
int hangup_fd();
bool take_hangup();

}  // namespace lantern::cli
