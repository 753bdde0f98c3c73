// The store: models of this user, content-addressed.
//
//   blobs/sha256/<hex>           a file's bytes, mode 0400, written by the store itself, sealed
//   with
//                                fs-verity where the file system has it
//   receipts/<hex>.json          what a blob's inode looked like when it was last hashed
//   models/<id>/manifest.json    a composition; <id> is composition_id() over its files
//   models/<id>/files/<path>     links to the blobs, so that a reader finds names and siblings
//   aliases.json                 name -> id
//   staging/, partial/           downloads under way; not part of any model
//
// Every change becomes visible by one rename, so a process that dies leaves the old state or the
// new. Changes are made under an exclusive lock on `lock`; readers need none, they only ever see
// whole files. Thread-safe: a Store holds nothing but its folder's name and what can seal files.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/progress.h"
#include "base/result.h"
#include "supply/manifest.h"
#include "supply/receipt.h"
#include "supply/staging.h"

namespace lantern::supply {

struct StoredModel {
  Manifest manifest = {};
  std::vector<std::string> aliases = {};  // sorted; may be empty
  std::filesystem::path folder = {};      // models/<id>/files

  /// The first alias, or the id's first 12 digits.
  [[nodiscard]] std::string name() const;
  /// The file or folder that a reader opens.
  [[nodiscard]] std::filesystem::path entry() const;
};

enum class Verify {
  kFast,  // compare the seal or the inode with the receipt; hash where there is any doubt
  kFull,  // hash
};

enum class Verified {
  kByVerity,   // the kernel's measure equals the one that was computed when it was last hashed
  kByReceipt,  // its inode is as it was then
  kByHashing,
};

struct VerifyOptions {
  Verify how = Verify::kFast;
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();
  base::Progress* shared = nullptr;  // of several files at once, instead of one of its own
};

class Store {
 public:
  /// The store under `data`, which need not exist: it is made by the first change.
  /// `verity` outlives it.
  explicit Store(std::filesystem::path data, const Verity& verity = kernel_verity())
      : root_(std::move(data)), verity_(&verity) {}
  /// The store of this user (base::own_folders).
  static Result<Store> of_user();

  [[nodiscard]] const std::filesystem::path& root() const { return root_; }
  [[nodiscard]] const Verity& verity() const { return *verity_; }

  struct Listing {
    std::vector<StoredModel> models = {};    // sorted by name
    std::vector<std::string> problems = {};  // a line for each manifest that cannot be read
  };
  Result<Listing> list() const;

  /// By alias, or by the first digits (at least 6) of its id or of one of its files' SHA-256.
  /// kNotFound says how to get it; kInvalidArgument where digits fit several models.
  Result<StoredModel> find(std::string_view name) const;
  Result<std::optional<StoredModel>> find_alias(std::string_view alias) const;
  Result<std::optional<StoredModel>> find_id(const base::Digest& id) const;

  struct Removed {
    StoredModel model = {};
    bool alias_only = false;  // other names of the model remain, so only this one went
    uint64_t freed_bytes = 0;
  };
  /// Removes a name; with its last name, or by digits, the model and every blob that no other model
  /// uses. Whoever has those files open or mapped keeps them until it closes them.
  Result<Removed> remove(std::string_view name) const;

  /// Deletes blobs that no model uses; the bytes that it freed. Nothing while a manifest cannot be
  /// read: it may use any of them.
  Result<uint64_t> collect() const;

  /// Takes staged files in as one model under `alias`, which moves if it was another's.
  /// `manifest` needs no id, no files and no time. Files of a model that is here already are
  /// dropped. kIo where a blob that was counted on (StagedFile::at empty) has gone meanwhile.
  Result<StoredModel> admit(Manifest manifest, std::vector<StagedFile> files,
                            std::string_view alias, const std::stop_token& stop) const;
  Status set_alias(std::string_view alias, const base::Digest& id) const;
  /// The licence of a model whose source named none, as an SPDX expression; one that is there
  /// stays. kNotFound.
  Status note_licence(const base::Digest& id, std::string_view spdx) const;

  [[nodiscard]] bool has_blob(const base::Digest& digest) const;
  [[nodiscard]] std::filesystem::path blob_path(const base::Digest& digest) const;

  /// Whether the blob still is what its digest says: kCorrupt where not, kNotFound.
  Result<Verified> verify_blob(const base::Digest& digest, const VerifyOptions& options) const;
  /// verify_blob() of several at once, in their order.
  Result<std::vector<Verified>> verify_blobs(std::span<const base::Digest> digests,
                                             const VerifyOptions& options) const;
  /// How a load as of now would check the blob; nothing is hashed or written. kNotFound, kIo.
  Result<Verified> expected_check(const base::Digest& digest) const;
  /// The SHA-256 of any file, hashed in place: from its receipt where that is beyond doubt, else
  /// hashed and recorded. Without a writable store it is hashed each time.
  struct InPlace {
    base::Digest digest{};
    base::FileStamp stamp = {};  // of the inode whose content that is
    Verified how = Verified::kByHashing;
  };
  Result<InPlace> digest_in_place(const std::filesystem::path& path,
                                  const VerifyOptions& options) const;
  /// digest_in_place() of several at once, in their order.
  Result<std::vector<InPlace>> digests_in_place(std::span<const std::filesystem::path> paths,
                                                const VerifyOptions& options) const;

  /// An empty folder for files under way; also deletes what dead processes left.
  Result<StagingFolder> stage() const;
  /// The folder of partial downloads, made.
  Result<std::filesystem::path> partial_folder() const;

 private:
  Result<base::UniqueFd> lock(const std::stop_token& stop) const;
  Result<std::vector<std::pair<std::string, base::Digest>>> read_aliases() const;
  Status write_aliases(const std::vector<std::pair<std::string, base::Digest>>& aliases) const;
  Result<StoredModel> read_model(const base::Digest& id) const;
  Result<StoredModel> by_digits(std::string_view digits) const;
  Status set_alias_locked(std::string_view alias, const base::Digest& id) const;
  std::filesystem::path receipt_path(const base::Digest& digest) const;
  Status admit_blob(const StagedFile& file) const;
  std::optional<base::Digest> seal(const StagedFile& file, const base::ReadFile& blob) const;
  Result<std::optional<Verified>> vouched(const base::ReadFile& file,
                                          const std::optional<Receipt>& receipt) const;
  Status write_model(const Manifest& manifest) const;
  Result<uint64_t> collect_garbage() const;

  std::filesystem::path root_;
  const Verity* verity_;
};

}  // namespace lantern::supply
