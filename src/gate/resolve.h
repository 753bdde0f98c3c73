// From what a person calls a model to its files and its identity.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string_view>

#include "base/progress.h"
#include "base/result.h"
#include "format/checkpoint.h"
#include "gate/governance.h"
#include "supply/store.h"

namespace lantern::gate {

/// Where a reference leads: a name or the first digits of an id in the store ("smollm2"), a GGUF
/// file (any part of a split one), or a Hugging Face folder.
struct Located {
  std::string name = {};
  std::filesystem::path path = {};  // a GGUF file or a folder
  std::optional<supply::StoredModel> stored = {};
};
/// Errors: kNotFound, kInvalidArgument for what must be pulled first.
Result<Located> locate(std::string_view reference);

/// Header and metadata, read once into memory; no tensor data.
Result<std::shared_ptr<const format::Checkpoint>> open_header(const std::filesystem::path& path);

/// A model of the store, as decisions see it, by the store's own record.
Result<Composition> composition_of(const supply::StoredModel& stored);

struct ResolveOptions {
  std::stop_token stop = {};
  base::ProgressOutput progress = base::ProgressOutput::none();  // of hashing, where it is needed
  bool paranoid = false;                                         // hash whatever receipts say
};

struct Resolved {
  Located located = {};
  std::shared_ptr<const format::Checkpoint> checkpoint = {};
  Composition model = {};
};
/// Locates a model, reads its header and finds its id: files of the store are compared with the
/// store's receipts, those behind a path are hashed where they lie at first use and recorded, and
/// hashed again where their inode looks different. Errors: locate()'s, kCorrupt (the file's own
/// faults), kDenied (lantern.integrity: a file that is not what the store recorded), kUnsupported,
/// kIo, kCancelled.
Result<Resolved> resolve(std::string_view reference, const ResolveOptions& options);

/// Refuses a stored model whose files are not what the store took in.
inline constexpr std::string_view kIntegrityRule = "lantern.integrity";

/// resolve() for who decides about `action`: a refusal by kIntegrityRule is in the log first.
Result<Resolved> resolve_for(Governance& governance, audit::Action action,
                             std::string_view reference, const ResolveOptions& options);

/// By which tier a load of a stored model would check its integrity as of now; nothing is hashed or
/// written. kNotFound for a file that is gone, kIo.
Result<policy::Tier> expected_tier(const supply::StoredModel& stored);

}  // namespace lantern::gate
