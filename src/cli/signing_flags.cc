#include "cli/signing_flags.h"

#include <utility>

#include "base/file.h"

namespace lantern::cli {
namespace {

constexpr uint64_t kPemBytesMax = 4u << 20;

}  // namespace

Result<std::vector<supply::Certificate>> read_certificates(const std::string& path) {
  LANTERN_ASSIGN(const std::string pem, base::read_text_file(path, kPemBytesMax));
  return supply::Certificate::from_pem(pem, path);
}

Result<supply::TrustedSigners> read_trusted(const std::vector<std::string>& keys,
                                            const std::vector<std::string>& roots) {
  supply::TrustedSigners trusted;
  for (const std::string& path : keys) {
    LANTERN_ASSIGN(const std::string pem, base::read_text_file(path, kPemBytesMax));
    LANTERN_ASSIGN(base::PublicKey key, base::PublicKey::from_pem(pem, path));
    if (key.kind() == base::KeyKind::kEd25519)
      return make_error(ErrorCode::kUnsupported,
                        "{}: an Ed25519 key; models are signed with ECDSA over P-256, P-384 or "
                        "P-521",
                        path);
    trusted.keys.push_back(std::move(key));
  }
  for (const std::string& path : roots) {
    LANTERN_ASSIGN(std::vector<supply::Certificate> found, read_certificates(path));
    for (supply::Certificate& root : found) trusted.roots.push_back(std::move(root));
  }
  return trusted;
}

}  // namespace lantern::cli
