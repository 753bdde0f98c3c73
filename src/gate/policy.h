// What commands see of the policy: check it, sign it, show the one in force, explain a decision.
// (cli/ and server/ include gate/ alone; the types come along.)
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/keys.h"
#include "base/result.h"
#include "policy/decide.h"
#include "policy/policy.h"

namespace lantern::gate {

/// A policy as a file has it, whether or not it is in force.
struct PolicyFile {
  policy::Policy policy = {};
  std::string text = {};                  // the TOML
  bool is_signed = false;                 // the file is an envelope
  std::vector<std::string> signers = {};  // ids of the trusted keys that signed it
  std::vector<std::string> notes = {};    // what is valid and still worth a look; a line each
};

/// Reads TOML, or an envelope as sign_policy_file() writes it; `trust` names the folder with the
/// trust root that an envelope's signature is checked against (this machine's by default, where it
/// is managed). kCorrupt with line and column; kDenied for a signature that does not hold.
Result<PolicyFile> check_policy_file(const std::filesystem::path& path,
                                     const std::optional<std::filesystem::path>& trust);

/// Signs the TOML at `path` and writes the envelope to `out`. Aliases are pinned to what the store
/// has under that name. Errors: those of reading, kNotFound for an alias that the store lacks.
Status sign_policy_file(const std::filesystem::path& path, const base::PrivateKey& key,
                        const std::filesystem::path& out);

struct PolicyInForce {
  bool managed = false;
  PolicyFile file = {};
};
/// The policy of this machine, read anew. kDenied where it is managed and has no valid one.
Result<PolicyInForce> policy_in_force();

/// How records name the signer whose key the policy in force calls `name`; `name` where there is no
/// such key, or no policy.
std::string signer_named(std::string_view name);

struct ExplainRequest {
  std::optional<std::filesystem::path> policy = {};  // as check_policy_file(); absent: in force
  std::optional<std::string> subject = {};  // "user:alice,group:ml"; absent: who is logged in
  policy::Action action = policy::Action::kLoad;
  std::string model = {};                 // a reference, or "sha256:..."; empty: none
  std::vector<std::string> suppose = {};  // policy::set_fact(), after all else
};
struct Explained {
  policy::Facts facts = {};
  policy::Explanation explanation = {};
};
Result<Explained> explain_policy(const ExplainRequest& request);

/// As `lantern policy explain --json` prints it.
base::OrderedJson to_json(const Explained& explained);

}  // namespace lantern::gate
