// A model signature's bundle, its statement and its certificates. What is checked besides memory:
// errors are one line that names the file, and what was read survives being written again.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "supply/signing/verify.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_message(const lantern::Error& error) {
  require(error.message.find("f.sig") != std::string::npos);
  require(error.message.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern;
  using namespace lantern::supply;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // The inner forms alone, so that base64 is no wall before them.
  if (const auto statement = parse_statement(text, "f.sig"); !statement.ok())
    check_message(statement.error());
  if (const auto chain = Certificate::from_pem(text, "f.sig"); chain.ok()) {
    (void)judge_chain(*chain, {&chain->back(), 1}, {});
    for (const Certificate& certificate : *chain) (void)certificate.may_sign_code();
  } else {
    check_message(chain.error());
  }
  const auto bundle = parse_bundle(text, "f.sig");
  if (!bundle.ok()) {
    check_message(bundle.error());
    return 0;
  }
  const auto manifest = parse_statement(bundle->envelope.payload, "f.sig");
  if (!manifest.ok()) {
    check_message(manifest.error());
  } else if (!manifest->historical) {
    SignedManifest sorted = *manifest;
    sort_resources(sorted);
    const auto again = parse_statement(to_statement(sorted), "f.sig");
    require(again.ok() && again->paths() == manifest->paths());
  }
  if (bundle->method == SigningMethod::kKeyless) return 0;
  require(parse_bundle(to_json(*bundle), "f.sig").ok());
  // With its own first certificate as the only root, a chain is judged as far as it goes.
  TrustedSigners trusted;
  for (const auto& der : bundle->certificates)
    if (auto certificate = Certificate::from_der(der, "f.sig"); certificate.ok())
      trusted.roots.push_back(std::move(*certificate));
  const auto done = verify_signature(*bundle, trusted, {}, "f.sig");
  if (!done.ok()) check_message(done.error());
  return 0;
}
