// A machine that was seen once, kept in a file, and seen again: the sensor's tests, and a way to
// ask somebody else what they see. It holds what the sensor asked for and nothing else: command
// lines are cut before (command_line.h), and of a file its first bytes, as far as a header goes.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sensor/host.h"

namespace lantern::sensor {

/// At most so much is kept of the front of a file of weights or a manifest. Of programs, whose code
/// is searched, nothing is kept but the strings that rules look for.
inline constexpr uint64_t kRecordedHeadBytesMax = 16u << 20;

/// A host that answers as `host` does and remembers it.
std::unique_ptr<Host> record(std::unique_ptr<Host> host);
/// What a host of record() has remembered. kInvalidArgument for any other host, kIo.
Status write_recording(const Host& host, const std::string& path);

/// The machine that was recorded. kCorrupt names what is wrong, kTooLarge, kNotFound, kIo.
Result<std::unique_ptr<Host>> open_recording(const std::string& path);
Result<std::unique_ptr<Host>> parse_recording(std::string_view json, std::string_view what);

}  // namespace lantern::sensor
