// Conversations that outlast a process: saved and restored with their cache, encrypted by a key
// of this machine's ring, so that nobody else reads them and nothing that was changed, or was made
// elsewhere, is taken in.
//
//   "LANTSESS"  version u32  id of the HMAC key, 64 digits  salt 32  nonce 12  bytes u64
//   ciphertext (AES-256-GCM; the header is authenticated with it)  tag 16
//
// The key is HMAC-SHA-256 of "lantern-session-v1\n" and the salt, by the ring's digest key: a
// backup of the ring holds it, and a retired one still opens what it sealed.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "audit/key_ring.h"
#include "base/result.h"
#include "base/secret.h"
#include "engine/engine.h"

namespace lantern::gate {

/// sessions/NAME.session in the state folder. kInvalidArgument for a name with other characters
/// than letters, digits, ".", "_" and "-", with a leading dot, or longer than 64.
Result<std::filesystem::path> session_path(std::string_view name);

/// Replaces the file. Errors: the key ring's, kIo, kExhausted.
Status save_session(const engine::Conversation& conversation, const std::filesystem::path& path);
/// False: there is no such file. Errors: kCorrupt for a file that was changed or that this machine
/// did not write, kNotFound where its key is gone, and Conversation::restore()'s.
Result<bool> restore_session(engine::Conversation& conversation, const std::filesystem::path& path);

/// The file's bytes.
std::string seal_session(std::string_view content, const audit::SecretKey& key);
/// The content again. Errors: restore_session()'s.
Result<base::Secret> open_session(std::string_view file, std::string_view what,
                                  const audit::KeyRing& keys);
/// open_session() as far as it goes without a key. Errors: kCorrupt, kUnsupported.
Status check_session_file(std::string_view file, std::string_view what);

}  // namespace lantern::gate
