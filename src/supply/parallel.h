// Work over a model's files, several at once: hashing is serial within a file, so that is where
// more cores help.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stop_token>

#include "base/result.h"

namespace lantern::supply {

/// Calls work(i, stop) for each i in [0, bytes.size()) on as many threads as there are cores, those
/// of the most `bytes` first, so that no thread is left alone with a large one at the end. Returns
/// when all have. After the first error, and once `stop` was asked for, the others are asked to
/// stop and no further ones begin; that first error is the answer.
Status for_each_file(std::span<const uint64_t> bytes, const std::stop_token& stop,
                     const std::function<Status(size_t, const std::stop_token&)>& work);

}  // namespace lantern::supply
