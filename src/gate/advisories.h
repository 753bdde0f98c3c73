// What commands and admission see of advisories. (cli/ and server/ include gate/ alone; the types
// come along.)
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/bom.h"
#include "supply/advisories/advisory_store.h"
#include "supply/state.h"

namespace lantern::gate {

/// For admission: what speaks of a composition, cleared advisories too (standing says which).
/// `source` and `revision` as the store's manifest has them. An Error means that advisories are
/// here and cannot be read: that refuses, it is no empty list. Of a match, kAffected denies from
/// the policy's severity on (kUnknown counts as the highest), kInconclusive is a doubt.
Result<std::vector<supply::AdvisoryMatch>> match_advisories(const base::Digest& id,
                                                            std::span<const base::Digest> files,
                                                            std::string_view source,
                                                            std::string_view revision);

/// Whether advisories were imported here and none are left: then nobody can tell what they said.
Result<bool> advisories_are_gone(supply::State& state);

struct ModelAdvisories {
  std::string name = {};
  base::Digest id{};
  std::vector<supply::AdvisoryMatch> matches = {};
  supply::Standing standing = supply::Standing::kNotAffected;  // the worst
  supply::AdvisoryStore::Count looked_at = {};
};
/// Errors: identify_model()'s, AdvisoryStore::match()'s.
Result<ModelAdvisories> advisories_of(std::string_view reference, const IdentifyOptions& options);

/// In the log before it counts; the state and the log remember that there was one. Errors:
/// AdvisoryStore::import()'s, Governance::open()'s.
Result<supply::AdvisoryImport> import_advisories(const std::filesystem::path& path,
                                                 const std::stop_token& stop);

}  // namespace lantern::gate
