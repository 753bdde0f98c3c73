// What release 0.2 of the reference tool signed instead of DSSE's own encoding: "DSSEV1", and the
// payload as Python prints bytes (b'...'), hashed with SHA-256 whatever the curve. Read for the
// signatures that exist, never written.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/keys.h"

namespace lantern::supply {

std::string pae_v02(std::string_view payload_type, std::string_view payload);

/// ECDSA with SHA-256 by any of the curves.
bool verifies_with_sha256(const base::PublicKey& key, std::string_view message,
                          std::span<const std::byte> signature);

}  // namespace lantern::supply
