// This machine, read through /proc. The part of the sensor that holds capabilities: it opens files
// and passes descriptors on, and parses nothing but the kernel's own texts.
//
// Whose processes can be looked into: one's own; with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH all.
// CAP_CHECKPOINT_RESTORE opens what a process has mapped even where it was deleted; without it the
// file is opened by its path where that still leads to the same inode, else the mapping's first
// pages are read through /proc/PID/mem, never anything but a file's pages.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sensor/host.h"

namespace lantern::sensor {

/// For open_procfs_host(): the body of the answer to "GET `path`" from 127.0.0.1:`port`. kCorrupt
/// for an answer of another status, kIo where none comes whole in time, kTooLarge.
Result<std::string> ask_loopback(uint16_t port, std::string_view path);

struct ProcfsOptions {
  /// Folders are listed in a hundredth of the time there is, for walks that nobody waits for.
  bool paced = false;
  std::stop_token stop = {};  // then no folder is listed any more
};

/// kUnsupported where /proc is not there, kIo.
Result<std::unique_ptr<Host>> open_procfs_host(ProcfsOptions options = {});

}  // namespace lantern::sensor
