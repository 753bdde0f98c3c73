// SHA-256 through OpenSSL (SHA-NI where the processor has it).
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace lantern::base {

using Digest = std::array<std::byte, 32>;

/// Feeds any number of pieces, then finish() once; restart() begins another digest.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text))); }
  Digest finish();
  /// Cheaper than another Sha256 for many short messages.
  void restart();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

Digest sha256(std::span<const std::byte> bytes);
inline Digest sha256(std::string_view text) { return sha256(std::as_bytes(std::span(text))); }

/// HMAC (RFC 2104) with SHA-256: for records that must not be guessed back from.
Digest hmac_sha256(std::span<const std::byte> key, std::span<const std::byte> message);

/// 64 lower-case hexadecimal digits.
std::string to_hex(const Digest& digest);
/// Exactly 64 hexadecimal digits of either case, else kInvalidArgument. Digests come from
/// outside and become file names, so nothing else passes.
Result<Digest> digest_from_hex(std::string_view hex);

}  // namespace lantern::base
