// The policy of the personal profile: it guards against mistakes, files and networks, not
// against the owner's own account.
#include "base/check.h"
#include "policy/policy.h"

namespace lantern::policy {
namespace {

constexpr std::string_view kText = R"(format = 1
version = 1
issued = 2026-01-01T00:00:00Z
ask = "lantern approve MODEL --reason WHY"

[models]
catalog = "approved"
in_place = ["/"]
advisories = "allow"

[approvals]
approvers_min = 1
importer_may_approve = true
in_scripts = true
days_max = 0

[revocations]
required = false

[audit]
keep_days_min = 0

[[rules]]
id = "personal.catalog"
effect = "allow"
action = ["load", "chat", "embed", "convert", "tune", "export", "serve"]
model = { catalog = true }
reason = "its digest is one that Lantern came with"

[[rules]]
id = "personal.approved"
effect = "allow"
action = ["load", "chat", "embed", "convert", "tune", "export", "serve"]
model = { approved = true }
reason = "you approved it"

[[rules]]
id = "personal.manage"
effect = "allow"
action = ["import", "approve", "revoke"]
reason = "this is your own store"
)";

Policy parsed() {
  auto policy = parse_policy(kText, "the personal policy");
  LANTERN_CHECK(policy.ok());
  return std::move(policy).value();
}

}  // namespace

std::string_view personal_policy_text() { return kText; }

const Policy& personal_policy() {
  static const Policy kPolicy = parsed();
  return kPolicy;
}

}  // namespace lantern::policy
