#include "sensor/disk_walk.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/printable.h"
#include "format/source.h"
#include "sensor/model_parts.h"

namespace lantern::sensor {
namespace {

constexpr int kDepthMax = 12;
constexpr size_t kFoldersMax = 200'000;
constexpr size_t kFilesMax = 20'000;     // of weights
constexpr size_t kManifestsMax = 2'000;  // of one store
constexpr size_t kBatch = 64;            // files open at once

struct Candidate {
  std::string path = {};
  FileId id = {};
  std::optional<size_t> store = {};  // by its place in model_stores()
  std::string store_name = {}, inside = {};
  uint32_t uid = 0;
  bool manifest = false;
};

class Walk {
 public:
  explicit Walk(Host& host) : host_(host) {}

  /// `base`: what every file found below has in common.
  void folder(const std::string& path, const Candidate& base, int depth);
  Status named(const std::string& path);
  std::vector<Candidate> take() { return std::move(found_); }

 private:
  void file(const std::string& path, const DirectoryEntry& entry, const Candidate& base);

  Host& host_;
  std::vector<Candidate> found_;
  std::set<FileId> seen_;
  size_t n_folders_ = 0, n_manifests_ = 0;
};

std::string inside(const std::string& root, const std::string& path) {
  return path.size() > root.size() + 1 ? path.substr(root.size() + 1) : "";
}

void Walk::file(const std::string& path, const DirectoryEntry& entry, const Candidate& base) {
  Candidate candidate = base;
  candidate.path = path;
  candidate.id = entry.id;
  candidate.inside = inside(base.path, path);
  if (base.store) {
    const ModelStore& store = *model_stores()[*base.store];
    candidate.manifest = store.is_manifest != nullptr && entry.size <= kManifestBytesMax &&
                         n_manifests_ < kManifestsMax && base::is_utf8(candidate.inside) &&
                         store.is_manifest(candidate.inside);
  }
  if (candidate.manifest)
    ++n_manifests_;
  else if (entry.size < kWeightBytesMin || found_.size() >= kFilesMax)
    return;
  if (seen_.insert(entry.id).second) found_.push_back(std::move(candidate));
}

void Walk::folder(const std::string& path, const Candidate& base, int depth) {
  if (depth > kDepthMax || ++n_folders_ > kFoldersMax) return;
  const auto entries = host_.list(path);
  if (!entries.ok()) return;
  for (const DirectoryEntry& entry : *entries) {
    const std::string below = (path == "/" ? "" : path) + "/" + entry.name;
    if (entry.folder)
      folder(below, base, depth + 1);
    else if (entry.regular)
      file(below, entry, base);
  }
}

Status Walk::named(const std::string& path) {
  const auto entries = host_.list(path);
  if (entries.ok()) {
    folder(path, {.path = path}, 0);
    return {};
  }
  LANTERN_ASSIGN(const OpenedFile opened, host_.open_file(path));
  found_.push_back({.path = path, .id = {.device = 0, .inode = opened.stamp.inode}});
  return {};
}

std::string in_home(std::string_view folder, const std::string& home) {
  return folder.starts_with("~/") ? home + std::string(folder.substr(1)) : std::string(folder);
}

void walk_stores(Walk& walk, std::span<const Home> homes, std::span<const RuntimeRule> rules) {
  std::set<std::string> done;
  const auto visit = [&](std::string_view folder, std::optional<size_t> store,
                         std::string_view name) {
    for (const Home& home : homes) {
      const std::string path = in_home(folder, home.path);
      if (!done.insert(path).second) continue;
      walk.folder(path,
                  {.path = path, .store = store, .store_name = std::string(name), .uid = home.uid},
                  0);
    }
  };
  const auto stores = model_stores();
  for (size_t i = 0; i < stores.size(); ++i)
    for (const std::string_view folder : stores[i]->folders) visit(folder, i, stores[i]->name);
  for (const RuntimeRule& rule : rules)
    for (const std::string& folder : rule.folders) visit(folder, std::nullopt, rule.name);
}

/// What manifests call the files: by store, then by the end of the path.
using Labels = std::map<size_t, std::vector<ManifestEntry>>;

std::string label_of(const Candidate& file, const Labels& labels) {
  if (!file.store) return "";
  if (const auto of_store = labels.find(*file.store); of_store != labels.end())
    for (const ManifestEntry& entry : of_store->second)
      if (file.inside == entry.file ||
          (entry.file.ends_with('/') && file.inside.starts_with(entry.file)))
        return entry.label;
  return claim(model_stores()[*file.store]->label(file.inside));
}

/// Opens some of the candidates, has them read, and gives each with its answer to `take`.
template <typename Take>
Status read_batch(Host& host, std::span<const Candidate> batch, const ParserOptions& parser,
                  const Take& take) {
  std::vector<OpenedFile> opened;
  std::vector<size_t> of;
  for (size_t i = 0; i < batch.size(); ++i) {
    auto file = host.open_file(batch[i].path);
    if (!file.ok() || (!batch[i].manifest && !may_hold_weights(*file))) continue;
    opened.push_back(std::move(*file));
    of.push_back(i);
  }
  std::vector<ParseJob> jobs;
  jobs.reserve(opened.size());
  for (size_t i = 0; i < opened.size(); ++i)
    jobs.push_back({.task = batch[of[i]].manifest ? ParseTask::kManifest : ParseTask::kWeights,
                    .file = &opened[i],
                    .store = batch[of[i]].store.value_or(0),
                    .path = batch[of[i]].manifest ? batch[of[i]].inside : ""});
  LANTERN_ASSIGN(std::vector<ParseAnswer> answers, parse_files(jobs, parser));
  for (size_t i = 0; i < answers.size(); ++i) take(batch[of[i]], opened[i], std::move(answers[i]));
  return {};
}

}  // namespace

bool may_hold_weights(const OpenedFile& file) {
  const format::FdSource source(file.how, file.fd.get(), file.have);
  std::string head(std::min<uint64_t>(kHeadBytes, file.have), '\0'), tail;
  if (!source.read_at(0, std::as_writable_bytes(std::span(head))).ok()) return false;
  if (file.have == file.size && file.have >= kTailBytes) {
    tail.resize(kTailBytes);
    if (!source.read_at(file.have - kTailBytes, std::as_writable_bytes(std::span(tail))).ok())
      return false;
  }
  return find_weight_format({.head = head, .tail = tail, .size = file.size}) != nullptr;
}

std::optional<base::Digest> digest_of(const OpenedFile& file) {
  if (file.have < file.size || file.size == 0) return std::nullopt;
  // linux/ioprio.h: IOPRIO_WHO_PROCESS, this thread; class "best effort" and "idle".
  constexpr int kWho = 1, kUsual = 0, kIdle = 3 << 13;
  ::syscall(SYS_ioprio_set, kWho, 0, kIdle);
  const format::FdSource source(file.how, file.fd.get(), file.size);
  const auto digest = digest_of_front(source, file.size);
  ::syscall(SYS_ioprio_set, kWho, 0, kUsual);
  return digest.ok() ? std::optional(*digest) : std::nullopt;
}

Result<std::vector<FoundWeights>> find_at_rest(Host& host, std::span<const RuntimeRule> rules,
                                               const DiskOptions& options) {
  Walk walk(host);
  if (options.stores) {
    LANTERN_ASSIGN(const std::vector<Home> homes, host.homes());
    walk_stores(walk, homes, rules);
  }
  for (const std::string& path : options.paths) LANTERN_TRY(walk.named(path));
  const std::vector<Candidate> candidates = walk.take();
  Labels labels;
  std::vector<std::pair<size_t, FoundWeights>> found;
  for (size_t from = 0; from < candidates.size(); from += kBatch) {
    const auto batch =
        std::span(candidates).subspan(from, std::min(kBatch, candidates.size() - from));
    LANTERN_TRY(read_batch(
        host, batch, options.parser,
        [&](const Candidate& file, const OpenedFile& opened, ParseAnswer answer) {
          if (file.manifest) {
            auto& of_store = labels[*file.store];
            std::move(answer.manifest.begin(), answer.manifest.end(), std::back_inserter(of_store));
          }
          if (!answer.weights && answer.fault.empty()) return;
          if (!answer.weights)
            answer.weights = WeightFacts{.format = "unknown", .fault = answer.fault};
          found.emplace_back(
              static_cast<size_t>(&file - candidates.data()),
              FoundWeights{.path = file.path,
                           .size = opened.size,
                           .stamp = opened.stamp,
                           .facts = std::move(*answer.weights),
                           .store = file.store_name,
                           .where = opened.how,
                           .digest = options.digest ? digest_of(opened) : std::nullopt,
                           .uid = file.uid});
        }));
  }
  std::vector<FoundWeights> all;
  for (auto& [index, weights] : found) {
    weights.label = label_of(candidates[index], labels);
    all.push_back(std::move(weights));
  }
  std::sort(all.begin(), all.end(),
            [](const FoundWeights& a, const FoundWeights& b) { return a.path < b.path; });
  return join_parts(host, std::move(all), "", options.parser);
}

}  // namespace lantern::sensor
