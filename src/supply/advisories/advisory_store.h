// The advisories that were imported on this machine.
//
//   advisories.db   one file: an index of lines, then the records' bytes as they came
//   lock            held by an import
//
// An import reads everything first and changes nothing where one record cannot be read; then a new
// file takes the old one's place by one rename. Readers take no lock: an open file stays what it
// is.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "supply/advisories/match.h"

namespace lantern::supply {

struct AdvisoryImport {
  size_t n_read = 0;                         // records in the files
  size_t n_statements = 0;                   // of those that are VEX documents
  base::Digest digest{};                     // of the file's bytes; of a folder composition_id()
  size_t n_new = 0;                          // ids that were not here
  size_t n_replaced = 0;                     // by a later `modified` (VEX: version or time)
  size_t n_unchanged = 0;                    // the same bytes
  size_t n_older = 0;                        // what is here is later, and stays
  size_t n_total = 0;                        // here now
  std::vector<std::string> left_alone = {};  // files of the folder that are not *.json
};

class AdvisoryStore {
 public:
  /// `folder` need not exist: the first import makes it.
  explicit AdvisoryStore(std::filesystem::path folder) : folder_(std::move(folder)) {}
  /// The one of this user.
  static Result<AdvisoryStore> of_user();

  /// A file (one record, or a JSON array of records) or a folder with *.json anywhere below it,
  /// links not followed. `before` is told what was read before anything of it counts; its error
  /// ends the import. Errors: kNotFound, kInvalidArgument without any record, and a record's own,
  /// which names its file.
  Result<AdvisoryImport> import(
      const std::filesystem::path& path, const std::stop_token& stop = {},
      const std::function<Status(const AdvisoryImport&)>& before = {}) const;

  /// Whether any import has left something here.
  [[nodiscard]] bool exists() const;

  /// All that speaks of `subject`, cleared ones too: the worst standing first, then the severest,
  /// then by id. Empty where nothing was imported. An index or a record that cannot be read is an
  /// error, never an absence.
  Result<std::vector<AdvisoryMatch>> match(const AdvisorySubject& subject) const;

  struct Count {
    size_t n_advisories = 0, n_vex = 0;
  };
  Result<Count> count() const;

 private:
  std::filesystem::path folder_;
};

/// The worst of all; kNotAffected where there are none.
Standing worst_standing(std::span<const AdvisoryMatch> matches);

}  // namespace lantern::supply
