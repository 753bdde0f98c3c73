// A backup of a key ring: one file, encrypted with a passphrase (scrypt, AES-256-GCM).
// docs/formats/key-backup.md has the format byte by byte.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "audit/key_ring.h"
#include "base/result.h"
#include "base/secret.h"

namespace lantern::audit {

/// Shorter passphrases are not taken: whoever has the file can try as many as they like.
inline constexpr size_t kPassphraseBytesMin = 12;
inline constexpr size_t kBackupBytesMax = 16u << 20;

/// How dear each try of a passphrase is: 128 * 2^n_log2 * 8 bytes of memory, p times over.
struct ScryptCost {
  uint32_t n_log2 = 17;  // 128 MiB, about half a second (OWASP's least for scrypt)
  uint32_t p = 1;
};

/// The file's bytes. kInvalidArgument for a short passphrase, kExhausted without the memory.
Result<std::string> seal_backup(std::span<const KeyCopy> keys, std::string_view passphrase,
                                ScryptCost cost = {});

/// The keys of a backup, each held against its id. kCorrupt, naming `what`, where the file was cut
/// or changed; kInvalidArgument for a wrong passphrase; kUnsupported for another version.
Result<std::vector<KeyCopy>> open_backup(std::string_view file, std::string_view passphrase,
                                         std::string_view what);

/// What can be said of a backup without its passphrase: whether it is whole.
Status check_backup(std::string_view file, std::string_view what);

/// What is encrypted in a backup, and the reverse. kCorrupt.
base::Secret backup_content(std::span<const KeyCopy> keys);
Result<std::vector<KeyCopy>> parse_backup_content(std::string_view content, std::string_view what);

}  // namespace lantern::audit
