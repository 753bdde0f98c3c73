// Authenticated encryption: AES-256-GCM (NIST SP 800-38D).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace lantern::base {

inline constexpr size_t kAeadKeyBytes = 32, kAeadNonceBytes = 12, kAeadTagBytes = 16;

/// `key` has kAeadKeyBytes, `nonce` kAeadNonceBytes and is never used twice with one key. `context`
/// is not encrypted, and must be the same for aead_open().
struct AeadInput {
  std::string_view key = {};
  std::string_view nonce = {};
  std::string_view context = {};
};

/// The ciphertext, as long as `content`, and its tag.
std::string aead_seal(const AeadInput& input, std::string_view content);
/// What aead_seal() was given. kCorrupt where a bit of it, of the context or of the key is not what
/// it was.
Result<Secret> aead_open(const AeadInput& input, std::string_view sealed);

/// From the operating system's generator.
std::string random_nonce();

}  // namespace lantern::base
