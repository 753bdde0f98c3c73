#include "sensor/sweep.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "base/printable.h"
#include "base/progress.h"
#include "sensor/disk_walk.h"
#include "sensor/look_cache.h"
#include "sensor/model_parts.h"

namespace lantern::sensor {
namespace {

constexpr size_t kProcessesAtOnce = 64;
constexpr size_t kFilesAtOnce = 64;     // files open at once
constexpr size_t kWeightFilesMax = 64;  // of one process; the largest models have 200 shards, of
                                        // which these tell what it is
constexpr size_t kCodeFilesMax = 512;   // of one process
constexpr uint64_t kCodeFileBytesMin = 64u << 10;
/// Memory that a model may have been read into, and what was read for it.
constexpr uint64_t kFilledBytesMin = 8u << 20;
constexpr double kSustainedShare = 0.8;  // of a core, over the process's life
constexpr double kSustainedSecondsMin = 30;

using Inode = std::pair<uint64_t, uint64_t>;  // device and number

Inode inode_of(const base::FileStamp& stamp) { return {stamp.device, stamp.inode}; }

/// What was seen of one process.
struct Look {
  Process process = {};
  std::string program = {};
  std::vector<MappedFile> mapped = {};
  std::vector<OpenDescriptor> open = {};
  std::optional<IoCounters> io = {};
  std::vector<uint16_t> ports = {};
  std::set<uint16_t> askable = {};  // of them, those in this network
  std::vector<Evidence> evidence = {};
  std::vector<FoundWeights> weights = {};
  std::map<std::string, int> runtimes = {};  // rules by how much speaks for them
  bool has_engine = false;                   // code of one, or a library
  bool has_library = false;                  // that many programs carry
};

/// A file that some processes use, to be read once.
struct Shared {
  OpenedFile file = {};
  std::vector<std::pair<size_t, bool>> users =
      {};  // a look's place, and whether it is mapped there
  std::string path = {};
  bool deleted = false;
};

class Sweep {
 public:
  Sweep(Host& host, SweepOptions options, std::span<const RuntimeRule> rules)
      : host_(host), options_(std::move(options)), rules_(rules) {
    if (options_.parser.cache == nullptr) options_.parser.cache = &own_cache_;
  }

  Result<SweepReport> run();

 private:
  Result<std::vector<Process>> processes();
  Status look_at_some(std::span<Process> processes, const std::vector<Listener>& listeners);
  void look_at(Process process, const std::vector<Listener>& listeners);
  void find_ports(Look& look, const std::vector<Listener>& listeners);
  void note_labels(Look& look);
  void note_accelerators(Look& look);
  Status find_weights();
  Status read_weights_of(std::map<FileId, Shared>& files);
  std::optional<base::Digest> whole_digest(const OpenedFile& file);
  Status find_code();
  [[nodiscard]] bool deserves_code(const Look& look, bool& own_files_only) const;
  void take_code(const Shared& file, const std::vector<CodeMatch>& matches);
  Status probe();
  Status find_what_is_installed();
  void note_filled_memory();
  void name_by_store(Look& look);
  void speak_for(Look& look, const RuntimeRule& rule, int much) { look.runtimes[rule.id] += much; }
  [[nodiscard]] const RuntimeRule* rule(std::string_view id) const;
  std::optional<Finding> finding_of(Look& look) const;

  Host& host_;
  SweepOptions options_;
  std::span<const RuntimeRule> rules_;
  LookCache own_cache_;
  std::vector<Look> looks_;  // of the processes at hand
  std::span<const FoundWeights> at_rest_;
  std::map<Inode, const FoundWeights*> stored_;  // of at_rest_
  std::set<Inode> used_;                         // of those that processes have
  std::map<Inode, std::optional<base::Digest>> digests_;
  SweepReport report_;
};

std::string shown(std::string_view name) { return base::printable(name, 300); }

std::string proc(const Process& process, std::string_view file) {
  return fmt::format("/proc/{}/{}", process.pid, file);
}

bool is_program_of(const Look& look, const MappedFile& file) {
  return file.executable && look.program.starts_with(file.path);
}

const RuntimeRule* Sweep::rule(std::string_view id) const {
  const auto at = std::find_if(rules_.begin(), rules_.end(),
                               [&](const RuntimeRule& one) { return one.id == id; });
  return at == rules_.end() ? nullptr : &*at;
}

Result<std::vector<Process>> Sweep::processes() {
  if (!options_.pids) return host_.processes();
  std::vector<Process> some;
  for (const int pid : *options_.pids)
    if (auto process = host_.process(pid); process.ok()) some.push_back(std::move(*process));
  return some;
}

void Sweep::find_ports(Look& look, const std::vector<Listener>& listeners) {
  for (const OpenDescriptor& descriptor : look.open) {
    constexpr std::string_view kSocket = "socket:[";
    if (!descriptor.path.starts_with(kSocket)) continue;
    const uint64_t inode = std::strtoull(descriptor.path.c_str() + kSocket.size(), nullptr, 10);
    for (const Listener& listener : listeners)
      if (listener.socket_inode == inode) {
        look.ports.push_back(listener.port);
        if (listener.own_network) look.askable.insert(listener.port);
      }
  }
  std::sort(look.ports.begin(), look.ports.end());
  look.ports.erase(std::unique(look.ports.begin(), look.ports.end()), look.ports.end());
}

void Sweep::look_at(Process process, const std::vector<Listener>& listeners) {
  Look look{.process = std::move(process)};
  const int pid = look.process.pid;
  if (auto program = host_.executable(pid); program.ok()) look.program = std::move(*program);
  auto mapped = host_.mapped_files(pid);
  if (!mapped.ok()) {
    if (mapped.error().code == ErrorCode::kNotFound) return;  // it ended
    report_.hidden.push_back(pid);
  } else {
    look.mapped = std::move(*mapped);
    std::erase_if(look.mapped, [](const MappedFile& file) {
      return !file.executable && file.bytes < kWeightBytesMin;
    });
    look.mapped.shrink_to_fit();
  }
  if (auto open = host_.descriptors(pid); open.ok()) look.open = std::move(*open);
  if (auto io = host_.io(pid); io.ok()) look.io = *io;
  // Its number may be another process's by now.
  const auto pulse = host_.pulse(pid);
  if (!pulse.ok() || pulse->start_ticks != look.process.start_ticks) return;
  find_ports(look, listeners);
  note_labels(look);
  note_accelerators(look);
  std::erase_if(look.open, [](const OpenDescriptor& descriptor) {
    return !descriptor.regular || descriptor.size < kWeightBytesMin;
  });
  look.open.shrink_to_fit();
  looks_.push_back(std::move(look));
}

void Sweep::note_labels(Look& look) {
  const Process& process = look.process;
  const auto label = [&](const RuntimeRule& rule, int strength, std::string text,
                         std::string_view where) {
    speak_for(look, rule, strength);
    look.evidence.push_back({.kind = EvidenceClass::kLabel,
                             .basis = Basis::kDeclared,
                             .strength = strength,
                             .text = std::move(text),
                             .where = proc(process, where)});
  };
  for (const RuntimeRule& rule : rules_) {
    // Of the three names one is enough; the program's is the hardest to change.
    for (const auto& [name, where] :
         {std::pair<std::string_view, std::string_view>{look.program, "exe"},
          {process.command.program, "cmdline"},
          {process.name, "comm"}}) {
      if (name.empty() || !matches_process(rule, name)) continue;
      label(rule, kKnownName,
            fmt::format("is called {}, as {} is", shown(base_name(name)), rule.name), where);
      break;
    }
    if (matches_script(rule, process.command.script))
      label(rule, kKnownName,
            fmt::format("runs {}, as {} does", shown(process.command.script), rule.name),
            "cmdline");
    for (const uint16_t port : look.ports)
      if (std::find(rule.ports.begin(), rule.ports.end(), port) != rule.ports.end())
        label(rule, kKnownPort, fmt::format("listens on port {}, as {} does", port, rule.name),
              "fd");
    for (const MappedFile& file : look.mapped) {
      if (!file.executable || !matches_library(rule, file.path)) continue;
      const bool embedded = rule.kind == RuntimeClass::kLibrary;
      speak_for(look, rule, embedded ? kEmbeddedCode : kEngineLibrary);
      (embedded ? look.has_library : look.has_engine) = true;
      look.evidence.push_back({.kind = EvidenceClass::kCode,
                               .basis = Basis::kDeclared,
                               .strength = embedded ? kEmbeddedCode : kEngineLibrary,
                               .text = fmt::format("has loaded {}, a library of {}",
                                                   shown(base_name(file.path)), rule.name),
                               .where = proc(process, "maps")});
      break;
    }
  }
  for (const std::string& name : process.command.variables)
    look.evidence.push_back({.kind = EvidenceClass::kLabel,
                             .basis = Basis::kDeclared,
                             .strength = kKnownVariable,
                             .text = "has the variable " + shown(name),
                             .where = proc(process, "environ")});
}

void Sweep::note_accelerators(Look& look) {
  const OpenDescriptor* best = nullptr;
  for (const OpenDescriptor& descriptor : look.open) {
    const std::string& path = descriptor.path;
    if (!descriptor.drm && !path.starts_with("/dev/nvidia") && path != "/dev/kfd" &&
        !path.starts_with("/dev/dri/renderD") && !path.starts_with("/dev/accel/"))
      continue;
    const auto memory = [](const OpenDescriptor& one) {
      return one.drm ? one.drm->memory_bytes : 0;
    };
    if (best == nullptr || memory(descriptor) > memory(*best)) best = &descriptor;
  }
  if (best == nullptr) return;
  std::string text = "has " + shown(best->path) + " open";
  if (best->drm)
    text += fmt::format(" ({}: {} of memory, {:.1f} s of work)", shown(best->drm->driver),
                        base::format_bytes(best->drm->memory_bytes),
                        static_cast<double>(best->drm->engine_ns) / 1e9);
  look.evidence.push_back(
      {.kind = EvidenceClass::kAccelerator,
       .basis = Basis::kVerified,
       .strength = kAcceleratorOpen,
       .text = std::move(text),
       .where = proc(look.process, fmt::format("{}/{}", best->drm ? "fdinfo" : "fd", best->fd))});
}

Status Sweep::read_weights_of(std::map<FileId, Shared>& files) {
  std::vector<ParseJob> jobs;
  std::vector<const Shared*> of;
  for (const auto& [id, shared] : files) {
    jobs.push_back({.task = ParseTask::kWeights, .file = &shared.file});
    of.push_back(&shared);
  }
  LANTERN_ASSIGN(const std::vector<ParseAnswer> answers, parse_files(jobs, options_.parser));
  for (size_t i = 0; i < answers.size(); ++i) {
    const Shared& shared = *of[i];
    if (!answers[i].weights && answers[i].fault.empty()) continue;
    FoundWeights found{.path = shared.path,
                       .deleted = shared.deleted,
                       .size = shared.file.size,
                       .stamp = shared.file.stamp,
                       .facts = answers[i].weights.value_or(
                           WeightFacts{.format = "unknown", .fault = answers[i].fault}),
                       .where = shared.file.how,
                       .digest = whole_digest(shared.file)};
    const bool is_damaged = !found.facts.fault.empty() && found.facts.tensors == 0;
    for (const auto& [place, is_mapped] : shared.users) {
      Look& look = looks_[place];
      look.weights.push_back(found);
      look.evidence.push_back(
          {.kind = EvidenceClass::kWeights,
           .basis = Basis::kVerified,
           .strength = is_damaged  ? kDamagedWeights
                       : is_mapped ? kMappedWeights
                                   : kOpenWeights,
           .text =
               fmt::format("has {} {}: {}, {}{}", is_mapped ? "mapped" : "opened",
                           shown(found.path), found.facts.summary(), base::format_bytes(found.size),
                           found.deleted ? ", deleted since" : ""),
           .where = found.where});
    }
  }
  files.clear();
  return {};
}

std::optional<base::Digest> Sweep::whole_digest(const OpenedFile& file) {
  if (!options_.digest) return std::nullopt;
  const Inode inode = inode_of(file.stamp);
  if (file.stamp.inode == 0) return digest_of(file);
  if (const auto known = stored_.find(inode);
      known != stored_.end() && known->second->stamp == file.stamp && known->second->digest)
    return known->second->digest;
  const auto [at, is_new] = digests_.try_emplace(inode);
  if (is_new) at->second = digest_of(file);
  return at->second;
}

Status Sweep::find_weights() {
  std::map<FileId, Shared> files;
  std::map<FileId, bool> seen;  // whether it may hold weights
  for (size_t place = 0; place < looks_.size(); ++place) {
    size_t n = 0;
    const auto add = [&](const FileId& id, const std::string& path, bool deleted, bool is_mapped,
                         const auto& open) {
      if (++n > kWeightFilesMax) return;
      if (const auto known = seen.find(id); known != seen.end() && !known->second) return;
      const auto at = files.find(id);
      if (at != files.end()) {
        auto& users = at->second.users;
        if (users.back().first != place) users.emplace_back(place, is_mapped);
        return;
      }
      auto file = open();
      const bool may = file.ok() && may_hold_weights(*file);
      seen[id] = may;
      if (may) files.emplace(id, Shared{std::move(*file), {{place, is_mapped}}, path, deleted});
    };
    const int pid = looks_[place].process.pid;
    // A program may hold its model itself, and map no more than its code.
    for (const MappedFile& file : looks_[place].mapped)
      if (file.bytes >= kWeightBytesMin || is_program_of(looks_[place], file))
        add(file.id, file.path, file.deleted, true, [&] { return host_.open_mapped(pid, file); });
    for (const OpenDescriptor& file : looks_[place].open)
      add(file.id, file.path, file.deleted, false,
          [&] { return host_.open_descriptor(pid, file); });
    if (files.size() >= kFilesAtOnce) LANTERN_TRY(read_weights_of(files));
  }
  return read_weights_of(files);
}

bool Sweep::deserves_code(const Look& look, bool& own_files_only) const {
  own_files_only = false;
  if (!look.evidence.empty() && score_of(look.evidence) > kKnownVariable) return true;
  // Memory that was filled: an engine that maps nothing. Most programs look so, hence only what no
  // package of the system brought.
  own_files_only = true;
  return !options_.fast && look.process.anonymous_bytes >= kFilledBytesMin;
}

bool is_of_system(std::string_view path) {
  return path.starts_with("/usr/lib") || path.starts_with("/lib");
}

void Sweep::take_code(const Shared& file, const std::vector<CodeMatch>& matches) {
  // Lantern holds every rule's strings, for it holds the rules.
  const bool own = std::any_of(matches.begin(), matches.end(), [&](const CodeMatch& match) {
    const RuntimeRule* known = rule(match.rule);
    return known != nullptr && known->kind == RuntimeClass::kOwn;
  });
  for (const CodeMatch& match : matches) {
    const RuntimeRule* known = rule(match.rule);
    if (known == nullptr || (own && known->kind != RuntimeClass::kOwn)) continue;
    const bool embedded = known->kind == RuntimeClass::kLibrary;
    const int strength = embedded ? kEmbeddedCode : kEngineCode;
    for (const auto& [place, is_mapped] : file.users) {
      Look& look = looks_[place];
      (embedded ? look.has_library : look.has_engine) = true;
      speak_for(look, *known, strength);
      look.evidence.push_back(
          {.kind = EvidenceClass::kCode,
           .basis = Basis::kInferred,
           .strength = strength,
           .text = fmt::format("{} holds {} strings of {}", shown(base_name(file.path)),
                               match.n_found, known->name),
           .where = file.file.how});
    }
  }
}

Status Sweep::find_code() {
  std::map<FileId, Shared> files;
  const auto flush = [&]() -> Status {
    std::vector<ParseJob> jobs;
    std::vector<const Shared*> of;
    for (const auto& [id, shared] : files) {
      jobs.push_back({.task = ParseTask::kCode, .file = &shared.file});
      of.push_back(&shared);
    }
    LANTERN_ASSIGN(const std::vector<ParseAnswer> answers, parse_files(jobs, options_.parser));
    for (size_t i = 0; i < answers.size(); ++i) take_code(*of[i], answers[i].code);
    files.clear();
    return {};
  };
  // Users first, then files: each is read once for all who have it.
  std::map<FileId, std::vector<size_t>> users;
  std::map<FileId, std::pair<size_t, const MappedFile*>> how;
  for (size_t place = 0; place < looks_.size(); ++place) {
    bool own_files_only = false;
    if (!deserves_code(looks_[place], own_files_only)) continue;
    size_t n = 0;
    for (const MappedFile& file : looks_[place].mapped) {
      const bool is_program = is_program_of(looks_[place], file);
      if (!file.executable || (file.bytes < kCodeFileBytesMin && !is_program)) continue;
      if (own_files_only && !is_program && is_of_system(file.path)) continue;
      if (++n > kCodeFilesMax) break;
      users[file.id].push_back(place);
      how.try_emplace(file.id, place, &file);
    }
  }
  for (const auto& [id, places] : users) {
    const auto& [first, mapped] = how.at(id);
    auto opened = host_.open_mapped(looks_[first].process.pid, *mapped);
    if (!opened.ok()) continue;
    Shared& shared = files[id];
    shared = {.file = std::move(*opened), .users = {}, .path = mapped->path, .deleted = false};
    for (const size_t place : places) shared.users.emplace_back(place, true);
    if (files.size() == kFilesAtOnce) LANTERN_TRY(flush());
  }
  return flush();
}

/// Asks whoever stands out already, and nobody else.
Status Sweep::probe() {
  for (Look& look : looks_) {
    if (!level_of(look.evidence)) continue;
    for (const uint16_t port : look.askable)
      for (const std::string_view path : {"/v1/models", "/api/tags", "/props"}) {
        const auto answer = host_.ask(port, path);
        if (!answer.ok() && answer.error().code != ErrorCode::kCorrupt) break;
        if (!answer.ok()) continue;
        const ParseJob job{.task = ParseTask::kModelList, .file = &*answer};
        LANTERN_ASSIGN(const std::vector<ParseAnswer> answers,
                       parse_files(std::span(&job, 1), options_.parser));
        const auto& models = answers.front().manifest;
        if (models.empty()) continue;
        look.evidence.push_back(
            {.kind = EvidenceClass::kApi,
             .basis = Basis::kDeclared,
             .strength = kApiAnswer,
             .text = models.size() == 1
                         ? fmt::format("answers {} with {}", path, models.front().label)
                         : fmt::format("answers {} with {} models, {} first", path, models.size(),
                                       models.front().label),
             .where = answer->how});
      }
  }
  return {};
}

/// The formats of libraries that many programs carry: with such a library alone, memory speaks for
/// a file of these.
bool is_for_libraries(const FoundWeights& file) {
  const std::string& format = file.facts.format;
  return format == "ONNX" || format == "TensorFlow Lite" || format == "ExecuTorch" ||
         format == "PyTorch";
}

/// Weights that were read into memory and closed: so much was read, and so much memory is held,
/// as the file has bytes. Speaks only where an engine's code is there, too: much memory filled by
/// reading is what most servers have.
void Sweep::note_filled_memory() {
  for (Look& look : looks_) {
    if ((!look.has_engine && !look.has_library) || !look.weights.empty() || !look.io) continue;
    const uint64_t held = look.process.anonymous_bytes, read = look.io->read_chars;
    if (held < kFilledBytesMin) continue;
    // What was copied out of a mapping, or read by io_uring, no counter shows: then memory alone
    // speaks for a file.
    const bool was_read = read >= kFilledBytesMin;
    const FoundWeights* fits = nullptr;
    for (const FoundWeights& file : at_rest_)
      if ((!was_read || read >= file.size) && held >= file.size - file.size / 10 &&
          held / 4 <= file.size && (look.has_engine || is_for_libraries(file)) &&
          (fits == nullptr || file.size > fits->size))
        fits = &file;
    if (fits == nullptr && (!look.has_engine || !was_read)) continue;
    std::string text = fmt::format("has read {} and holds {} of memory", base::format_bytes(read),
                                   base::format_bytes(held));
    if (fits != nullptr) {
      text += fmt::format(", enough for {} ({})", shown(fits->path), fits->facts.summary());
      look.weights.push_back(*fits);
      look.weights.back().use = Basis::kInferred;
    }
    look.evidence.push_back({.kind = EvidenceClass::kWeights,
                             .basis = Basis::kInferred,
                             .strength = kReadWeights,
                             .text = std::move(text),
                             .where = proc(look.process, "io")});
  }
}

std::optional<Finding> Sweep::finding_of(Look& look) const {
  const double life_s =
      static_cast<double>(std::max<int64_t>(report_.at_s - look.process.started_at_s, 1));
  if (life_s >= kSustainedSecondsMin && look.process.cpu_s / life_s >= kSustainedShare)
    look.evidence.push_back({.kind = EvidenceClass::kCompute,
                             .basis = Basis::kInferred,
                             .strength = kSustainedCompute,
                             .text = fmt::format("computes on {:.1f} cores since it began",
                                                 look.process.cpu_s / life_s),
                             .where = proc(look.process, "stat")});
  const std::optional<Level> level = level_of(look.evidence);
  if (!level) return std::nullopt;
  auto around = host_.surroundings(look.process.pid);
  const std::optional<Container> container = container_of(look.process.cgroup);
  Finding finding{.process = std::move(look.process),
                  .program = std::move(look.program),
                  .container = container,
                  .surroundings = around.ok() ? std::move(*around) : Surroundings(),
                  .ports = std::move(look.ports),
                  .weights = std::move(look.weights),
                  .evidence = std::move(look.evidence),
                  .level = *level};
  finding.score = score_of(finding.evidence);
  std::stable_sort(finding.evidence.begin(), finding.evidence.end(),
                   [](const Evidence& a, const Evidence& b) { return a.strength > b.strength; });
  // Lantern's own strings first, then the rule of the highest rank that more than a port speaks
  // for.
  std::pair<int64_t, int> most{-2, 0};
  for (const auto& [id, much] : look.runtimes) {
    const RuntimeRule* known = rule(id);
    const int64_t rank = known->kind == RuntimeClass::kOwn ? 3
                         : much > kKnownPort               ? known->rank
                                                           : -1;
    if (std::pair(rank, much) <= most) continue;
    most = {rank, much};
    finding.runtime = id;
    finding.runtime_name = known->name;
    finding.kind = known->kind;
  }
  // Anyone can hold Lantern's strings. This very program has its own gate.
  if (finding.kind == RuntimeClass::kOwn && !finding.process.own_program) {
    finding.kind = RuntimeClass::kRuntime;
    finding.runtime_name += " (another program than this one)";
  } else if (finding.kind == RuntimeClass::kOwn && finding.weights.empty()) {
    finding.level = Level::kLabel;
  }
  return finding;
}

/// What lies in a store is called as the store calls it, and is in use, not at rest.
void Sweep::name_by_store(Look& look) {
  for (FoundWeights& file : look.weights) {
    const Inode inode = inode_of(file.stamp);
    if (inode.second == 0 || file.use == Basis::kInferred) continue;
    used_.insert(inode);
    if (const auto at = stored_.find(inode); at != stored_.end()) {
      file.store = at->second->store;
      file.label = at->second->label;
    }
  }
}

Status Sweep::look_at_some(std::span<Process> processes, const std::vector<Listener>& listeners) {
  looks_.clear();
  for (Process& process : processes) {
    ++report_.n_processes;
    if (!process.own) look_at(std::move(process), listeners);
  }
  LANTERN_TRY(find_weights());
  LANTERN_TRY(find_code());
  if (options_.probe) LANTERN_TRY(probe());
  note_filled_memory();
  for (Look& look : looks_) {
    name_by_store(look);
    const std::string root = fmt::format("/proc/{}/root", look.process.pid);
    LANTERN_ASSIGN(look.weights, join_parts(host_, std::move(look.weights), root, options_.parser));
    if (auto finding = finding_of(look)) report_.findings.push_back(std::move(*finding));
  }
  return {};
}

Status Sweep::find_what_is_installed() {
  LANTERN_ASSIGN(InstalledReport installed, find_installed(host_, rules_, options_.parser));
  report_.installed = std::move(installed.found);
  std::move(installed.left_out.begin(), installed.left_out.end(),
            std::back_inserter(report_.blind_spots));
  return {};
}

Result<SweepReport> Sweep::run() {
  report_.at_s = host_.now_s();
  report_.boot_id = host_.boot_id();
  report_.blind_spots = host_.blind_spots();
  if (options_.at_rest == nullptr) {
    LANTERN_ASSIGN(report_.at_rest, find_at_rest(host_, rules_,
                                                 {.stores = !options_.fast,
                                                  .paths = options_.disk,
                                                  .digest = options_.digest,
                                                  .parser = options_.parser}));
    if (!options_.fast && !options_.pids) LANTERN_TRY(find_what_is_installed());
  }
  at_rest_ = options_.at_rest == nullptr ? report_.at_rest : *options_.at_rest;
  for (const FoundWeights& model : at_rest_)
    for (const FoundWeights& file : model.files()) stored_[inode_of(file.stamp)] = &model;
  LANTERN_ASSIGN(std::vector<Process> all, processes());
  std::vector<Listener> listeners;
  if (options_.listeners != nullptr)
    listeners = *options_.listeners;
  else if (auto some = host_.listeners(); some.ok())
    listeners = std::move(*some);
  for (size_t from = 0; from < all.size(); from += kProcessesAtOnce)
    LANTERN_TRY(look_at_some(
        std::span(all).subspan(from, std::min(kProcessesAtOnce, all.size() - from)), listeners));
  std::erase_if(report_.at_rest, [&](const FoundWeights& model) {
    const auto files = model.files();
    return std::any_of(files.begin(), files.end(), [&](const FoundWeights& file) {
      return used_.contains(inode_of(file.stamp));
    });
  });
  std::stable_sort(report_.findings.begin(), report_.findings.end(),
                   [](const Finding& a, const Finding& b) {
                     return std::pair(b.level, b.score) < std::pair(a.level, a.score);
                   });
  return std::move(report_);
}

}  // namespace

Result<SweepReport> sweep(Host& host, const SweepOptions& options) {
  LANTERN_ASSIGN(const std::vector<RuntimeRule> rules, read_runtime_rules());
  return sweep(host, options, rules);
}

Result<SweepReport> sweep(Host& host, const SweepOptions& options,
                          std::span<const RuntimeRule> rules) {
  return Sweep(host, options, rules).run();
}

}  // namespace lantern::sensor
