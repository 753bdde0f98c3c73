// The statement of an approval and of broken glass, signed by a trusted key, so that the readers
// behind the signature see every byte. What is checked besides memory: errors are one line that
// names the statement, and an approval that was read can be signed again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/dsse.h"
#include "policy/approvals.h"
#include "policy/break_glass.h"

namespace {

using namespace lantern;

void require(bool condition) {
  if (!condition) std::abort();
}

const base::PrivateKey& key() {
  static const base::PrivateKey kKey = base::PrivateKey::generate(base::KeyKind::kEd25519).value();
  return kKey;
}

std::string envelope_of(std::string_view type, std::string_view payload) {
  return base::dsse_to_json(base::dsse_sign(type, payload, key()).value()).dump();
}

void check_error(const Error& error) {
  require(error.message.starts_with("statement: "));
  require(error.message.find('\n') == std::string::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::vector<base::PublicKey> trusted = {key().public_key()};
  const auto approval = policy::verify_approval(envelope_of(policy::kStatementPayloadType, text),
                                                "statement", {.service_keys = trusted});
  if (approval.ok())
    require(policy::sign_approval(*approval, key()).ok());
  else
    check_error(approval.error());

  policy::Policy policy;
  policy.break_glass = {.people = {"alice"}, .hours_max = 12};
  const auto statement =
      policy::verify_break_glass(envelope_of(policy::kBreakGlassPayloadType, text), "statement",
                                 policy, trusted, base::parse_utc("2026-11-22T12:00:00Z").value());
  if (statement.ok())
    require(policy::sign_break_glass(*statement, key()).ok());
  else
    check_error(statement.error());
  return 0;
}
