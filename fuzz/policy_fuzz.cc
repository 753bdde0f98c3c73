// A policy's TOML. What is checked besides memory: errors are one line that names the document and
// its line, and a policy that was read decides: nothing for facts that nobody knows.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "policy/decide.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace lantern;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto policy = policy::parse_policy(text, "p.toml");
  if (!policy.ok()) {
    const std::string& message = policy.error().message;
    require(message.starts_with("p.toml: line ") || policy.error().code == ErrorCode::kTooLarge);
    require(message.find('\n') == std::string::npos);
    return 0;
  }
  require(!policy::decide(*policy, policy::Facts{}).allowed());
  const policy::Facts some = {
      .user = "alice", .groups = std::set<std::string>{"staff"}, .action = policy::Action::kLoad};
  const policy::Explanation explanation = policy::explain(*policy, some);
  require(explanation.rules.size() >= policy->rules.size());
  for (const policy::RuleTrace& trace : explanation.rules)
    require(!trace.why.empty() && trace.why.find('\n') == std::string::npos);
  return 0;
}
