#include "supply/store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <set>
#include <thread>

#include "base/ascii.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/printable.h"
#include "supply/catalog.h"
#include "supply/names.h"

namespace lantern::supply {
namespace fs = std::filesystem;
namespace {

using Aliases = std::vector<std::pair<std::string, base::Digest>>;

constexpr size_t kDigitsMin = 6;
constexpr uint64_t kAliasFileBytesMax = 16u << 20;
constexpr uint64_t kManifestBytesMax = 16u << 20;
constexpr auto kLockPoll = std::chrono::milliseconds(50);
constexpr auto kPartialKept = std::chrono::hours(24 * 14);
constexpr auto kLockPatience = std::chrono::seconds(60);

Status sync_folder(const fs::path& folder) {
  base::UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::fsync(fd.get()) != 0) return base::errno_error(errno, folder.string());
  return {};
}

Status rename_synced(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return base::errno_error(errno, to.string());
  return sync_folder(to.parent_path());
}

bool is_hex_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
  });
}

/// Deletes partial downloads that nobody has come back for.
void sweep_partials(const fs::path& folder) {
  std::error_code code;
  auto now = fs::file_time_type::clock::now();
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    std::error_code ignored;
    auto written = fs::last_write_time(it->path(), ignored);
    if (ignored || now - written < kPartialKept) continue;
    base::UniqueFd fd(::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (fd.get() >= 0 && ::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
  }
}

Error not_here(std::string_view name) {
  auto known = find_in_catalog(name);
  if (known.ok() && *known)
    return make_error(ErrorCode::kNotFound, "{} is not on this machine yet: lantern pull {}", name,
                      name);
  return make_error(ErrorCode::kNotFound,
                    "no model \"{}\" here: `lantern list` shows those that are, `lantern pull` "
                    "gets one",
                    base::printable(name));
}

}  // namespace

std::string StoredModel::name() const {
  return aliases.empty() ? base::to_hex(manifest.id).substr(0, 12) : aliases.front();
}

fs::path StoredModel::entry() const {
  std::string inside = manifest.entry();
  return inside.empty() ? folder : folder / inside;
}

Result<Store> Store::of_user() {
  LANTERN_ASSIGN(base::Folders folders, base::own_folders());
  return Store(folders.data);
}

fs::path Store::blob_path(const base::Digest& digest) const {
  return root_ / "blobs/sha256" / base::to_hex(digest);
}

bool Store::has_blob(const base::Digest& digest) const {
  struct stat info {};
  return ::lstat(blob_path(digest).c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<base::UniqueFd> Store::lock(const std::stop_token& stop) const {
  LANTERN_TRY(base::make_private_folder(root_));
  fs::path path = root_ / "lock";
  base::UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (fd.get() < 0) return base::errno_error(errno, path.string());
  auto give_up = std::chrono::steady_clock::now() + kLockPatience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return base::errno_error(errno, path.string());
    LANTERN_TRY(check_stop(stop));
    if (std::chrono::steady_clock::now() > give_up)
      return make_error(ErrorCode::kIo, "{}: another lantern holds the store for over {} s",
                        path.string(), kLockPatience.count());
    std::this_thread::sleep_for(kLockPoll);
  }
  return fd;
}

Result<Aliases> Store::read_aliases() const {
  fs::path path = root_ / "aliases.json";
  auto text = base::read_text_file(path, kAliasFileBytesMax);
  if (!text.ok() && text.error().code == ErrorCode::kNotFound) return Aliases();
  if (!text.ok()) return std::move(text).error();
  LANTERN_ASSIGN(base::Json json, base::parse_json(*text, path.string(), {.depth_max = 4}));
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: an object is needed", path.string());
  Aliases aliases;  // sorted, as the parser keeps keys in order
  for (const auto& [name, value] : json.items()) {
    auto digest = value.is_string() ? base::digest_from_hex(value.get_ref<const std::string&>())
                                    : Result<base::Digest>(Error{});
    if (!is_alias(name) || !digest.ok())
      return make_error(ErrorCode::kCorrupt, "{}: \"{}\": a name with a model's id is needed",
                        path.string(), base::printable(name));
    aliases.emplace_back(name, *digest);
  }
  return aliases;
}

Status Store::write_aliases(const Aliases& aliases) const {
  base::Json json = base::Json::object();
  for (const auto& [name, id] : aliases) json[name] = base::to_hex(id);
  return base::write_file_atomically(root_ / "aliases.json", json.dump(2) + "\n");
}

Result<StoredModel> Store::read_model(const base::Digest& id) const {
  fs::path folder = root_ / "models" / base::to_hex(id);
  fs::path path = folder / "manifest.json";
  LANTERN_ASSIGN(std::string text, base::read_text_file(path, kManifestBytesMax));
  StoredModel model;
  LANTERN_ASSIGN(model.manifest, parse_manifest(text, path.string()));
  if (model.manifest.id != id)
    return make_error(ErrorCode::kCorrupt, "{}: id: not that of its folder", path.string());
  model.folder = folder / "files";
  return model;
}

Result<Store::Listing> Store::list() const {
  Listing listing;
  LANTERN_ASSIGN(Aliases aliases, read_aliases());
  std::error_code code;
  for (fs::directory_iterator it(root_ / "models", code), end; !code && it != end;
       it.increment(code)) {
    auto id = base::digest_from_hex(it->path().filename().string());
    if (!id.ok()) continue;  // one that is being made or removed
    auto model = read_model(*id);
    if (!model.ok()) {
      listing.problems.push_back(model.error().message);
      continue;
    }
    for (const auto& [name, target] : aliases)
      if (target == *id) model->aliases.push_back(name);
    listing.models.push_back(std::move(*model));
  }
  if (code && code != std::errc::no_such_file_or_directory)
    return base::errno_error(code.value(), (root_ / "models").string());
  std::sort(listing.models.begin(), listing.models.end(),
            [](const auto& a, const auto& b) { return a.name() < b.name(); });
  return listing;
}

Result<std::optional<StoredModel>> Store::find_id(const base::Digest& id) const {
  auto model = read_model(id);
  if (!model.ok() && model.error().code == ErrorCode::kNotFound)
    return std::optional<StoredModel>();
  if (!model.ok()) return std::move(model).error();
  LANTERN_ASSIGN(Aliases aliases, read_aliases());
  for (const auto& [name, target] : aliases)
    if (target == id) model->aliases.push_back(name);
  return std::optional<StoredModel>(std::move(*model));
}

Result<std::optional<StoredModel>> Store::find_alias(std::string_view alias) const {
  LANTERN_ASSIGN(Aliases aliases, read_aliases());
  for (const auto& [name, id] : aliases)
    if (name == alias) return find_id(id);
  return std::optional<StoredModel>();
}

Result<StoredModel> Store::by_digits(std::string_view digits) const {
  const std::string wanted = base::to_lower(digits);
  LANTERN_ASSIGN(Listing listing, list());
  std::vector<StoredModel> fitting;
  for (auto& model : listing.models) {
    bool fits = base::to_hex(model.manifest.id).starts_with(wanted);
    for (const auto& file : model.manifest.files)
      fits = fits || base::to_hex(file.digest).starts_with(wanted);
    if (fits) fitting.push_back(std::move(model));
  }
  if (fitting.empty()) return not_here(digits);
  if (fitting.size() > 1)
    return make_error(ErrorCode::kInvalidArgument, "\"{}\" fits {} and {} more: give more digits",
                      digits, fitting.front().name(), fitting.size() - 1);
  return std::move(fitting.front());
}

Result<StoredModel> Store::find(std::string_view name) const {
  if (is_alias(name)) {
    LANTERN_ASSIGN(std::optional<StoredModel> found, find_alias(name));
    if (found) return std::move(*found);
  }
  std::string_view digits = name;
  if (digits.starts_with("sha256:")) digits.remove_prefix(7);
  if (digits.size() >= kDigitsMin && digits.size() <= 64 && is_hex_digits(digits))
    return by_digits(digits);
  return not_here(name);
}

/// Its fs-verity digest once it is sealed and measures as was computed; nothing where the file
/// system cannot, and where the measure is another: the other tiers remain.
std::optional<base::Digest> Store::seal(const StagedFile& file, const base::ReadFile& blob) const {
  if (!file.verity) return std::nullopt;
  // Under its final name nobody looks for it to write: only now may the writer's lock go.
  if (file.held) *file.held = base::UniqueFd();
  // The kernel asks for the permission to write; the folder is private.
  if (::fchmod(blob.fd(), 0600) != 0) return std::nullopt;
  const Status sealed = verity_->enable(blob.fd(), blob.path());
  ::fchmod(blob.fd(), 0400);
  const auto measured = verity_->measure(blob.fd(), blob.path());
  if (!sealed.ok() || !measured.ok() || *measured != file.verity) return std::nullopt;
  return file.verity;
}

Status Store::admit_blob(const StagedFile& file) const {
  fs::path blob = blob_path(file.digest);
  if (file.at.empty()) {
    if (has_blob(file.digest)) return {};
    return make_error(ErrorCode::kIo,
                      "{}: another lantern removed it while this one was pulling: run it again",
                      file.name);
  }
  LANTERN_TRY(base::make_private_folder(blob.parent_path()));
  // Also over a blob that is there: this one was hashed just now, that one may have been damaged.
  // Whoever has it open keeps it.
  if (::chmod(file.at.c_str(), 0400) != 0) return base::errno_error(errno, file.at.string());
  LANTERN_TRY(rename_synced(file.at, blob));
  LANTERN_ASSIGN(base::ReadFile opened, base::ReadFile::open(blob));
  const std::optional<base::Digest> verity = seal(file, opened);
  // After the rename, which moves ctime. Young as it is, its times vouch only once hashed again.
  LANTERN_ASSIGN(base::FileStamp stamp, base::stamp_of(opened.fd(), blob));
  LANTERN_TRY(base::make_private_folder(root_ / "receipts"));
  LANTERN_ASSIGN(const ReceiptKey key, ReceiptKey::of(root_));
  return write_receipt(
      receipt_path(file.digest),
      {.stamp = stamp, .hashed_at_ns = wall_clock_ns(), .digest = file.digest, .verity = verity},
      key);
}

Status Store::write_model(const Manifest& manifest) const {
  std::string id = base::to_hex(manifest.id);
  fs::path models = root_ / "models", made = models / (id + ".new");
  LANTERN_TRY(base::make_private_folder(models));
  std::error_code code;
  fs::remove_all(made, code);  // of a process that died; the lock is ours
  LANTERN_TRY(base::make_private_folder(made / "files"));
  for (const auto& file : manifest.files) {
    fs::path link = made / "files" / file.path;
    LANTERN_TRY(base::make_private_folder(link.parent_path()));
    fs::path up = "../../..";
    for (char c : file.path)
      if (c == '/') up /= "..";
    fs::path target = up / "blobs/sha256" / base::to_hex(file.digest);
    if (::symlink(target.c_str(), link.c_str()) != 0)
      return base::errno_error(errno, link.string());
  }
  LANTERN_TRY(base::write_file_atomically(made / "manifest.json", to_json(manifest)));
  return rename_synced(made, models / id);
}

Result<StoredModel> Store::admit(Manifest manifest, std::vector<StagedFile> files,
                                 std::string_view alias, const std::stop_token& stop) const {
  if (!is_alias(alias))
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\" cannot name a model: use a-z, 0-9, '.', '_' and '-'",
                      base::printable(alias));
  std::sort(files.begin(), files.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  manifest.files.clear();
  for (const auto& file : files) {
    if (!is_safe_relative_path(file.name) ||
        (!manifest.files.empty() && manifest.files.back().path == file.name))
      return make_error(ErrorCode::kInvalidArgument, "\"{}\" cannot name a model's file",
                        base::printable(file.name));
    manifest.files.push_back({.path = file.name, .size = file.size, .digest = file.digest});
  }
  manifest.id = composition_id(manifest.files);
  manifest.pulled_at = utc_now();

  LANTERN_ASSIGN(base::UniqueFd held, lock(stop));
  for (const auto& file : files) LANTERN_TRY(admit_blob(file));
  LANTERN_ASSIGN(std::optional<StoredModel> known, find_id(manifest.id));
  // The last rename is what others see. A free name goes first: it leads nowhere until the model is
  // there. A name that another model has moves last, so that it always leads somewhere.
  LANTERN_ASSIGN(const std::optional<StoredModel> owner, find_alias(alias));
  if (!owner) LANTERN_TRY(set_alias_locked(alias, manifest.id));
  if (!known) LANTERN_TRY(write_model(manifest));
  if (owner) LANTERN_TRY(set_alias_locked(alias, manifest.id));
  LANTERN_ASSIGN(known, find_id(manifest.id));
  if (!known) return make_error(ErrorCode::kInternal, "the model vanished from the locked store");
  return std::move(*known);
}

Status Store::set_alias_locked(std::string_view alias, const base::Digest& id) const {
  LANTERN_ASSIGN(Aliases aliases, read_aliases());
  std::erase_if(aliases, [&](const auto& entry) { return entry.first == alias; });
  aliases.emplace_back(alias, id);
  return write_aliases(aliases);
}

Status Store::set_alias(std::string_view alias, const base::Digest& id) const {
  if (!is_alias(alias))
    return make_error(ErrorCode::kInvalidArgument,
                      "\"{}\" cannot name a model: use a-z, 0-9, '.', '_' and '-'",
                      base::printable(alias));
  LANTERN_ASSIGN(base::UniqueFd held, lock({}));
  LANTERN_ASSIGN(std::optional<StoredModel> model, find_id(id));
  if (!model) return not_here(base::to_hex(id));
  return set_alias_locked(alias, id);
}

Status Store::note_licence(const base::Digest& id, std::string_view spdx) const {
  LANTERN_ASSIGN(const base::UniqueFd held, lock({}));
  LANTERN_ASSIGN(std::optional<StoredModel> model, find_id(id));
  if (!model) return not_here(base::to_hex(id));
  if (!model->manifest.licence.empty()) return {};
  model->manifest.licence = spdx;
  return base::write_file_atomically(root_ / "models" / base::to_hex(id) / "manifest.json",
                                     to_json(model->manifest));
}

Result<uint64_t> Store::collect_garbage() const {
  LANTERN_ASSIGN(Listing listing, list());
  // A manifest that cannot be read may use any blob, so nothing is deleted while there is one.
  if (!listing.problems.empty()) return uint64_t{0};
  std::set<std::string> used;
  for (const auto& model : listing.models)
    for (const auto& file : model.manifest.files) used.insert(base::to_hex(file.digest));
  uint64_t freed = 0;
  std::error_code code;
  // Whatever no manifest names: under the lock no admission is half done.
  for (fs::directory_iterator it(root_ / "blobs/sha256", code), end; !code && it != end;
       it.increment(code)) {
    std::string name = it->path().filename().string();
    if (used.contains(name)) continue;
    std::error_code ignored;
    uint64_t bytes = fs::file_size(it->path(), ignored);
    if (::unlink(it->path().c_str()) == 0 && !ignored) freed += bytes;
    ::unlink((root_ / "receipts" / (name + ".json")).c_str());
  }
  return freed;
}

Result<uint64_t> Store::collect() const {
  LANTERN_ASSIGN(const base::UniqueFd held, lock({}));
  return collect_garbage();
}

Result<Store::Removed> Store::remove(std::string_view name) const {
  Removed removed;
  LANTERN_ASSIGN(removed.model, find(name));  // before the lock, which would make a store
  LANTERN_ASSIGN(base::UniqueFd held, lock({}));
  LANTERN_ASSIGN(removed.model, find(name));
  const base::Digest& id = removed.model.manifest.id;
  LANTERN_ASSIGN(Aliases aliases, read_aliases());
  bool by_alias = std::any_of(aliases.begin(), aliases.end(), [&](const auto& entry) {
    return entry.first == name && entry.second == id;
  });
  removed.alias_only = by_alias && removed.model.aliases.size() > 1;
  std::erase_if(aliases, [&](const auto& entry) {
    return entry.second == id && (!removed.alias_only || entry.first == name);
  });
  LANTERN_TRY(write_aliases(aliases));
  if (removed.alias_only) return removed;

  fs::path folder = root_ / "models" / base::to_hex(id), gone = folder;
  gone += ".gone";
  std::error_code code;
  fs::remove_all(gone, code);
  LANTERN_TRY(rename_synced(folder, gone));
  fs::remove_all(gone, code);
  if (code) return base::errno_error(code.value(), gone.string());
  LANTERN_ASSIGN(removed.freed_bytes, collect_garbage());
  return removed;
}

Result<StagingFolder> Store::stage() const {
  fs::path staging = root_ / "staging";
  LANTERN_TRY(base::make_private_folder(staging));
  LANTERN_ASSIGN(base::UniqueFd held, lock({}));
  std::error_code code;
  for (fs::directory_iterator it(staging, code), end; !code && it != end; it.increment(code)) {
    base::UniqueFd other(::open(it->path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (other.get() >= 0 && ::flock(other.get(), LOCK_EX | LOCK_NB) == 0) {
      std::error_code ignored;
      fs::remove_all(it->path(), ignored);
    }
  }
  sweep_partials(root_ / "partial");
  std::string pattern = (staging / "pull-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) return base::errno_error(errno, staging.string());
  base::UniqueFd fd(::open(pattern.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0 || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    return base::errno_error(errno, pattern);
  return StagingFolder(pattern, std::move(fd));
}

Result<fs::path> Store::partial_folder() const {
  fs::path folder = root_ / "partial";
  LANTERN_TRY(base::make_private_folder(folder));
  return folder;
}

}  // namespace lantern::supply
