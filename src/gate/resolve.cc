#include "gate/resolve.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "arch/hf.h"
#include "base/file.h"
#include "base/printable.h"
#include "engine/text_sources.h"
#include "format/describe.h"
#include "format/hf_folder.h"
#include "supply/licence_report.h"
#include "supply/manifest.h"
#include "supply/receipt.h"
#include "supply/reference.h"
#include "supply/sandbox/inspect.h"

namespace lantern::gate {
namespace {

namespace fs = std::filesystem;
using CheckpointPtr = std::shared_ptr<const format::Checkpoint>;

// Every file that the engine may read.
std::vector<fs::path> composed_files(const format::Checkpoint& checkpoint) {
  std::vector<fs::path> files(checkpoint.files().begin(), checkpoint.files().end());
  for (fs::path& path : engine::text_files(checkpoint)) files.push_back(std::move(path));
  std::sort(files.begin(), files.end());
  files.erase(std::unique(files.begin(), files.end()), files.end());
  return files;
}

supply::VerifyOptions verify_options(const ResolveOptions& options) {
  return {.how = options.paranoid ? supply::Verify::kFull : supply::Verify::kFast,
          .stop = options.stop,
          .progress = options.progress};
}

policy::Tier tier_of(supply::Verified how) {
  switch (how) {
    case supply::Verified::kByVerity:
      return policy::Tier::kA;
    case supply::Verified::kByReceipt:
      return policy::Tier::kB;
    case supply::Verified::kByHashing:
      break;
  }
  return policy::Tier::kC;
}

/// How much a tier assures: the kernel checks a sealed file at every read, a hash was right once, a
/// receipt says that it was right before.
int assurance(policy::Tier tier) {
  switch (tier) {
    case policy::Tier::kA:
      return 2;
    case policy::Tier::kB:
      return 0;
    case policy::Tier::kC:
      break;
  }
  return 1;
}

// A model's tier is that of its file that was checked least.
void note(supply::Verified how, Composition& model) {
  const policy::Tier tier = tier_of(how);
  if (!model.tier || assurance(tier) < assurance(*model.tier)) model.tier = tier;
}

// What a file was when it was checked, by its path.
struct Checked {
  base::Digest digest{};
  base::FileStamp stamp = {};
};
using CheckedFiles = std::map<fs::path, Checked>;

Error changed(const fs::path& path) {
  return make_error(ErrorCode::kCorrupt,
                    "{}: it changed while it was being checked: leave it as it is, and try again",
                    path.string());
}

// What was opened and read before must be what was checked since: the same inodes, untouched, and
// the same bytes of what lies beside the weights. From here on nothing is read by its path again.
Status check_read(const format::Checkpoint& checkpoint, const CheckedFiles& checked) {
  const auto stamps = checkpoint.stamps();
  for (size_t i = 0; i < stamps.size(); ++i) {
    const fs::path& path = checkpoint.files()[i];
    const auto found = checked.find(path);
    if (found == checked.end() || !stamps[i] || *stamps[i] != found->second.stamp)
      return changed(path);
  }
  if (checkpoint.folder() == nullptr) return {};
  for (const auto& [name, digest] : checkpoint.folder()->digests) {
    const fs::path path = checkpoint.folder()->path / name;
    const auto found = checked.find(path);
    if (found == checked.end() || found->second.digest != digest) return changed(path);
  }
  return {};
}

// The store's own record names the digests; each file must be the blob of its digest still.
Status verify_stored(const supply::Store& store, const supply::StoredModel& stored,
                     const std::vector<fs::path>& files, const ResolveOptions& options,
                     Composition& model, CheckedFiles& checked) {
  const auto& listed = stored.manifest.files;
  LANTERN_ASSIGN(model, composition_of(stored));
  std::vector<base::Digest> digests;
  for (const fs::path& path : files) {
    const std::string inside = path.lexically_relative(stored.folder).generic_string();
    auto file = std::find_if(listed.begin(), listed.end(),
                             [&](const auto& candidate) { return candidate.path == inside; });
    if (file == listed.end())
      return make_error(ErrorCode::kCorrupt,
                        "{}: the store has no record of this file: remove the model and pull it "
                        "again",
                        path.string());
    std::error_code error;
    if (!fs::equivalent(path, store.blob_path(file->digest), error) || error)
      return make_error(ErrorCode::kCorrupt,
                        "{}: not the file that the store recorded: remove the model and pull it "
                        "again",
                        path.string());
    digests.push_back(file->digest);
  }
  LANTERN_ASSIGN(const auto checks, store.verify_blobs(digests, verify_options(options)));
  for (const supply::Verified how : checks) note(how, model);
  for (size_t i = 0; i < files.size(); ++i) {
    LANTERN_ASSIGN(const base::ReadFile blob, base::ReadFile::open(store.blob_path(digests[i])));
    LANTERN_ASSIGN(const base::FileStamp stamp, base::stamp_of(blob.fd(), blob.path()));
    checked.emplace(files[i], Checked{.digest = digests[i], .stamp = stamp});
  }
  return {};
}

Status hash_in_place(const supply::Store& store, const fs::path& path,
                     const std::vector<fs::path>& files, const ResolveOptions& options,
                     Composition& model, CheckedFiles& checked) {
  std::vector<supply::ManifestFile> listed;
  std::error_code error;
  const fs::path root = fs::is_directory(path, error) ? path : files[0].parent_path();
  LANTERN_ASSIGN(const auto all, store.digests_in_place(files, verify_options(options)));
  for (size_t i = 0; i < files.size(); ++i) {
    const fs::path& file = files[i];
    const supply::Store::InPlace& found = all[i];
    note(found.how, model);
    model.files.push_back(found.digest);
    const std::string inside = file.lexically_relative(root).generic_string();
    checked.emplace(file, Checked{.digest = found.digest, .stamp = found.stamp});
    const uint64_t size = found.stamp.size;
    model.paths.push_back({.name = inside, .path = file, .size = size, .digest = found.digest});
    listed.push_back({.path = inside, .size = size, .digest = found.digest});
  }
  std::sort(listed.begin(), listed.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  model.id = supply::composition_id(listed);
  model.in_place = fs::weakly_canonical(path, error);
  if (error) return base::errno_error(error.value(), path.string());
  model.source = "path:" + model.in_place.string();
  LANTERN_ASSIGN(const auto known, catalog_entry(model.files));
  model.in_catalog = known.has_value();
  if (known) model.licence = known->licence;
  return {};
}

// What the header says of itself; anybody can write that. A licence that is known from elsewhere
// stays.
Status read_claims(const format::Metadata& metadata, Composition& model) {
  auto text = [&](const char* key) {
    auto value = metadata.get_string(key);
    return value.ok() ? std::string(*value) : std::string();
  };
  model.architecture = text("general.architecture");
  model.publisher = text("general.organization");
  if (!model.licence.empty()) return {};
  LANTERN_ASSIGN(const auto table, supply::read_licence_table());
  model.licence = supply::spdx_expression(text("general.license"), table);
  return {};
}

}  // namespace

Result<Composition> composition_of(const supply::StoredModel& stored) {
  Composition model{.name = stored.name(),
                    .id = stored.manifest.id,
                    .source = stored.manifest.source,
                    .revision = stored.manifest.revision,
                    .licence = stored.manifest.licence};
  for (const auto& file : stored.manifest.files) {
    model.files.push_back(file.digest);
    model.paths.push_back({.name = file.path,
                           .path = stored.folder / file.path,
                           .size = file.size,
                           .digest = file.digest});
  }
  LANTERN_ASSIGN(const auto known, catalog_entry(model.files));
  model.in_catalog = known.has_value();
  return model;
}

Result<Located> locate(std::string_view text) {
  LANTERN_ASSIGN(supply::Reference reference, supply::parse_reference(text));
  switch (reference.kind) {
    case supply::Reference::Kind::kPath: {
      fs::path path = reference.path;
      if (!path.has_filename()) path = path.parent_path();  // "folder/"
      // It goes into records and statements, which are UTF-8.
      std::string name = base::printable(path.filename().string());
      return Located{.name = std::move(name), .path = std::move(path), .stored = {}};
    }
    case supply::Reference::Kind::kAlias: {
      LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
      LANTERN_ASSIGN(supply::StoredModel model, store.find(reference.alias));
      Located located{.name = model.name(), .path = model.entry(), .stored = {}};
      located.stored = std::move(model);
      return located;
    }
    case supply::Reference::Kind::kHub:
    case supply::Reference::Kind::kPypi:
    case supply::Reference::Kind::kUrl:
      break;
  }
  return make_error(ErrorCode::kInvalidArgument,
                    "{}: not on this machine under that name; `lantern pull` it, then use the "
                    "name it says",
                    supply::recordable(reference));
}

Result<CheckpointPtr> open_header(const fs::path& path) {
  // A file of another kind is called what it is ("a Python pickle"), not a broken GGUF file.
  const auto kind = format::detect_file_kind(path);
  if (kind.ok() && *kind != format::FileKind::kGguf && *kind != format::FileKind::kHfFolder &&
      *kind != format::FileKind::kPeftFolder && *kind != format::FileKind::kUnknown)
    if (auto described = format::describe(path); !described.ok())
      return std::move(described).error();
  LANTERN_ASSIGN(auto checkpoint, arch::open_checkpoint(path));
  return CheckpointPtr(std::move(checkpoint));
}

Result<policy::Tier> expected_tier(const supply::StoredModel& stored) {
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  Composition model;
  for (const auto& file : stored.manifest.files) {
    LANTERN_ASSIGN(const supply::Verified how, store.expected_check(file.digest));
    note(how, model);
  }
  return model.tier.value_or(policy::Tier::kC);
}

namespace {

// A file's times have a tick: a write within the one that it was opened in might not show.
constexpr int64_t kTickNs = 20'000'000;
constexpr int kOpenedMax = 100;

/// What the confined child read is what was opened after it.
bool is_of(const std::vector<base::FileStamp>& seen, const format::Checkpoint& checkpoint) {
  const auto stamps = checkpoint.stamps();
  return seen.empty() || std::all_of(stamps.begin(), stamps.end(), [&](const auto& stamp) {
           return stamp && std::find(seen.begin(), seen.end(), *stamp) != seen.end();
         });
}

/// A model of the store was read by a confined child when it was taken in; one that lies elsewhere
/// is read by one before this process parses a byte of it.
Result<CheckpointPtr> open_settled(const Located& located, const std::stop_token& stop) {
  const fs::path& path = located.path;
  for (int n = 0; n < kOpenedMax; ++n) {
    if (stop.stop_requested())
      return make_error(ErrorCode::kCancelled, "{}: cancelled", path.string());
    std::vector<base::FileStamp> seen;
    if (!located.stored) {
      LANTERN_ASSIGN(seen, supply::sandbox::check_model(path));
    }
    LANTERN_ASSIGN(CheckpointPtr checkpoint, open_header(path));
    if (!is_of(seen, *checkpoint)) continue;
    const int64_t now = supply::wall_clock_ns();
    int64_t newest = 0;
    for (const auto& stamp : checkpoint->stamps())
      if (stamp) newest = std::max(newest, stamp->ctime_ns);
    // A time to come says nothing of writes to come.
    if (now - newest > kTickNs || newest > now) return checkpoint;
    std::this_thread::sleep_for(std::chrono::nanoseconds(kTickNs));
  }
  return make_error(ErrorCode::kIo, "{}: it is being written", path.string());
}

/// Told of the store's own copy that is not what was taken in, before it is refused.
using OnChanged = std::function<Status(const supply::StoredModel& stored, const Error& why)>;

/// Of a fault of a stored model: the refusal where its files are not what was taken in.
Error refuse_changed(const supply::StoredModel& stored, Error why, const OnChanged& on_changed) {
  why = make_error(ErrorCode::kDenied, "denied by rule {}: {}", kIntegrityRule, why.message);
  if (!on_changed) return why;
  const Status told = on_changed(stored, why);
  return told.ok() ? why : told.error();
}

/// A file that cannot be read as what it was may be another by now.
Status check_blobs(const supply::Store& store, const supply::StoredModel& stored,
                   const ResolveOptions& options) {
  std::vector<base::Digest> digests;
  for (const supply::ManifestFile& file : stored.manifest.files) digests.push_back(file.digest);
  const auto checks = store.verify_blobs(digests, verify_options(options));
  return checks.ok() ? Status() : Status(checks.error());
}

Result<Resolved> resolve_or_tell(std::string_view reference, const ResolveOptions& options,
                                 const OnChanged& on_changed) {
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  Resolved resolved;
  LANTERN_ASSIGN(resolved.located, locate(reference));
  const auto& stored = resolved.located.stored;
  auto opened = open_settled(resolved.located, options.stop);
  if (!opened.ok()) {
    if (!stored || opened.error().code == ErrorCode::kCancelled) return std::move(opened).error();
    const Status sound = check_blobs(store, *stored, options);
    if (!sound.ok() && sound.error().code == ErrorCode::kCorrupt)
      return refuse_changed(*stored, sound.error(), on_changed);
    return std::move(opened).error();
  }
  resolved.checkpoint = *std::move(opened);
  CheckedFiles checked;
  Composition& model = resolved.model;
  model.name = resolved.located.name;
  const auto files = composed_files(*resolved.checkpoint);
  if (stored) {
    const Status verified = verify_stored(store, *stored, files, options, model, checked);
    if (!verified.ok() && verified.error().code == ErrorCode::kCorrupt)
      return refuse_changed(*stored, verified.error(), on_changed);
    LANTERN_TRY(verified);
  } else {
    LANTERN_TRY(hash_in_place(store, resolved.located.path, files, options, model, checked));
  }
  LANTERN_TRY(check_read(*resolved.checkpoint, checked));
  LANTERN_TRY(read_claims(resolved.checkpoint->metadata(), model));
  return resolved;
}

}  // namespace

Result<Resolved> resolve(std::string_view reference, const ResolveOptions& options) {
  return resolve_or_tell(reference, options, {});
}

Result<Resolved> resolve_for(Governance& governance, audit::Action action,
                             std::string_view reference, const ResolveOptions& options) {
  return resolve_or_tell(
      reference, options, [&](const supply::StoredModel& stored, const Error& why) -> Status {
        LANTERN_ASSIGN(const Composition model, composition_of(stored));
        return governance.record(
            action, {.rule = std::string(kIntegrityRule), .reason = why.message}, model);
      });
}

}  // namespace lantern::gate
