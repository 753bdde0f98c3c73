// What Lantern's records say of weights that were found elsewhere: in a foreign process, in another
// program's store. Nothing is admitted and nobody is asked; a machine whose records cannot be read
// says so, and everything found is unknown.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/hash.h"
#include "base/result.h"
#include "gate/governance.h"

namespace lantern::gate {

struct FoundFile {
  std::filesystem::path path = {};  // read where a digest alone can tell; empty: it is not
  uint64_t size = 0;
  base::FileStamp stamp = {};               // all 0: not known
  std::optional<base::Digest> digest = {};  // of the whole file, where it was hashed
  std::optional<base::Digest> header = {};  // of its first `header_bytes`
  uint64_t header_bytes = 0;
};

enum class FoundVerdict { kApproved, kKnown, kRevoked, kUnknown };
/// "approved", "known", "revoked", "unknown".
std::string_view found_verdict_name(FoundVerdict verdict);

struct FoundStanding {
  FoundVerdict verdict = FoundVerdict::kUnknown;
  std::string model = {};       // its name here
  std::string matched_by = {};  // "digest"; "inode", of a file of the store; "header": equal
                                // header, tensor table and size, weights not compared
};

/// One thread at a time.
class FoundModels {
 public:
  /// Errors: Governance::open_to_look()'s, the store's.
  static Result<FoundModels> open();
  FoundModels(FoundModels&&) noexcept;
  FoundModels& operator=(FoundModels&&) noexcept;
  ~FoundModels();

  Result<FoundStanding> standing(const FoundFile& file);
  /// Whether records or policy changed since open(): then what was asked may stand otherwise, and
  /// only another open() sees what was imported. kIo.
  Result<bool> changed();
  /// What it goes by.
  Governance& governance() { return *governance_; }

 private:
  struct Known;
  explicit FoundModels(Governance governance);
  Status list_known();
  Result<std::pair<int64_t, int64_t>> versions();
  Result<FoundStanding> of_digest(const base::Digest& digest, std::string matched_by);
  std::optional<base::Digest> by_header(const FoundFile& file);
  std::optional<base::Digest> by_catalog(const FoundFile& file) const;

  std::unique_ptr<Governance> governance_;
  std::vector<Known> known_;
  std::map<base::Digest, std::string> names_;
  std::vector<uint64_t> catalog_sizes_;
  int64_t data_version_ = 0, policy_version_ = 0;
};

}  // namespace lantern::gate
