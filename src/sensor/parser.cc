#include "sensor/parser.h"

#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>

#include "base/confine.h"
#include "base/confined_child.h"
#include "base/json.h"
#include "format/source.h"
#include "sensor/command_line.h"
#include "sensor/installed.h"
#include "sensor/look_cache.h"
#include "sensor/model_parts.h"

namespace lantern::sensor {
namespace {

using base::Json;

constexpr std::string_view kChildArgument = "--sensor-child";
constexpr size_t kInputBytesMax = 1u << 20;
constexpr size_t kAnswerBytesMax = 16u << 20;
constexpr size_t kJobsMax = 128;                // of one child
constexpr uint64_t kCodeBytesMax = 256u << 20;  // searched of one file; few programs are larger
constexpr uint64_t kMemoryBytesMax = 1ull << 30;
constexpr size_t kMatchesMax = 1024;  // of rules in a file, of entries in a manifest

std::atomic<bool> g_has_child_entry = false;

struct GivenFile {
  ParseTask task = ParseTask::kWeights;
  int fd = -1;
  uint64_t size = 0, have = 0;
  size_t store = 0;
  std::string path = {};
};

std::vector<CodeMatch> search_code(const GivenFile& file, std::span<const RuntimeRule> rules,
                                   CodeSearch& search) {
  const format::FdSource source("code", file.fd, file.have);
  std::string buffer(1u << 20, '\0');
  const uint64_t most = std::min(file.have, kCodeBytesMax);
  for (uint64_t at = 0; at < most;) {
    const uint64_t n = std::min<uint64_t>(buffer.size(), most - at);
    if (!source.read_at(at, std::as_writable_bytes(std::span(buffer).first(n))).ok()) break;
    search.feed(std::string_view(buffer).substr(0, n));
    at += n;
  }
  std::vector<CodeMatch> matches;
  for (const CodeSearch::Match& match : search.finish())
    matches.push_back({.rule = rules[match.rule].id, .n_found = match.n_found});
  return matches;
}

std::vector<ManifestEntry> read_manifest(const GivenFile& file) {
  const auto stores = model_stores();
  if (file.store >= stores.size() || stores[file.store]->read_manifest == nullptr ||
      !stores[file.store]->is_manifest(file.path) || file.have > kManifestBytesMax)
    return {};
  std::string text(file.have, '\0');
  const format::FdSource source("manifest", file.fd, file.have);
  if (!source.read_at(0, std::as_writable_bytes(std::span(text))).ok()) return {};
  auto entries = stores[file.store]->read_manifest(file.path, text);
  if (!entries.ok() || entries->size() > kMatchesMax) return {};
  return std::move(*entries);
}

/// GET /v1/models {"data": [{"id": ...}]}, GET /api/tags {"models": [{"name": ...}]} and GET /props
/// {"model_path": ...}, of which the last component is kept.
std::vector<ManifestEntry> read_model_list(const GivenFile& file) {
  std::string text(std::min<uint64_t>(file.have, kManifestBytesMax), '\0');
  const format::FdSource source("answer", file.fd, file.have);
  if (!source.read_at(0, std::as_writable_bytes(std::span(text))).ok()) return {};
  const auto json = base::parse_json(text, "answer", {.bytes_max = text.size(), .depth_max = 32});
  std::vector<ManifestEntry> models;
  if (!json.ok() || !json->is_object()) return models;
  for (const auto& [list, name] : {std::pair{"data", "id"}, std::pair{"models", "name"}}) {
    const auto all = json->find(list);
    if (all == json->end() || !all->is_array()) continue;
    for (const Json& one : *all)
      if (one.is_object() && one.contains(name) && one[name].is_string() &&
          models.size() < kMatchesMax)
        models.push_back({.file = "", .label = one[name].get<std::string>()});
  }
  if (const auto path = json->find("model_path"); path != json->end() && path->is_string())
    models.push_back(
        {.file = "", .label = std::string(base_name(path->get_ref<const std::string&>()))});
  return models;
}

/// An index's shards are `file`s without a label.
void read_model_folder(const GivenFile& file, ParseAnswer& answer) {
  std::string text(std::min<uint64_t>(file.have, kModelTextBytesMax), '\0');
  const format::FdSource source("text", file.fd, file.have);
  if (!source.read_at(0, std::as_writable_bytes(std::span(text))).ok()) return;
  if (is_model_config(file.path)) {
    if (auto facts = read_model_config(text); facts.ok()) answer.weights = std::move(*facts);
  } else if (auto shards = read_shard_index(text); shards.ok()) {
    for (std::string& shard : *shards) answer.manifest.push_back({.file = std::move(shard)});
  }
}

std::vector<InstalledEntry> read_installed(const GivenFile& file,
                                           std::span<const RuntimeRule> rules) {
  const auto kinds = installed_kinds();
  if (file.store >= kinds.size() || kinds[file.store]->read == nullptr) return {};
  std::string text(std::min(file.have, kInstalledTextBytesMax), '\0');
  const format::FdSource source("record", file.fd, file.have);
  if (!source.read_at(0, std::as_writable_bytes(std::span(text))).ok()) return {};
  std::vector<InstalledEntry> entries = kinds[file.store]->read(file.path, text, rules);
  if (entries.size() > kMatchesMax) entries.resize(kMatchesMax);
  return entries;
}

std::vector<ParseAnswer> parse_here(std::span<const GivenFile> files,
                                    std::span<const RuntimeRule> rules) {
  CodeSearch search(rules);
  std::vector<ParseAnswer> answers;
  for (const GivenFile& file : files) {
    ParseAnswer& answer = answers.emplace_back();
    if (file.task == ParseTask::kCode) {
      answer.code = search_code(file, rules, search);
    } else if (file.task == ParseTask::kManifest) {
      answer.manifest = read_manifest(file);
    } else if (file.task == ParseTask::kModelList) {
      answer.manifest = read_model_list(file);
    } else if (file.task == ParseTask::kModelFolder) {
      read_model_folder(file, answer);
    } else if (file.task == ParseTask::kInstalled) {
      answer.installed = read_installed(file, rules);
    } else {
      const format::FdSource source("the file", file.fd, file.size);
      answer.weights = read_weights({.source = source, .have = file.have});
    }
  }
  return answers;
}

std::string answers_to_json(std::span<const ParseAnswer> answers) {
  Json list = Json::array();
  for (const ParseAnswer& answer : answers) {
    Json one = {{"weights", nullptr}, {"code", Json::array()}, {"manifest", Json::array()}};
    if (answer.weights) one["weights"] = weights_to_json(*answer.weights);
    for (const CodeMatch& match : answer.code)
      one["code"].push_back({{"rule", match.rule}, {"n_found", match.n_found}});
    for (const ManifestEntry& entry : answer.manifest)
      one["manifest"].push_back({{"file", claim(entry.file)}, {"label", claim(entry.label)}});
    for (const InstalledEntry& entry : answer.installed)
      one["installed"].push_back({{"rule", claim(entry.rule)},
                                  {"name", claim(entry.name)},
                                  {"version", claim(entry.version)}});
    list.push_back(std::move(one));
  }
  return list.dump(-1, ' ', true, Json::error_handler_t::replace);
}

// Paths are bytes, texts in JSON are Unicode: paths of manifests that are no UTF-8 are left out by
// the collector, so none comes here.
std::string jobs_to_json(std::span<const GivenFile> files) {
  Json list = Json::array();
  for (const GivenFile& file : files)
    list.push_back(
        {static_cast<uint64_t>(file.task), file.size, file.have, uint64_t{file.store}, file.path});
  return list.dump(-1, ' ', true, Json::error_handler_t::replace);
}

Result<std::vector<GivenFile>> jobs_from_json(std::string_view text) {
  LANTERN_ASSIGN(const Json list,
                 base::parse_json(text, "jobs", {.bytes_max = kInputBytesMax, .depth_max = 3}));
  std::vector<GivenFile> files;
  for (const Json& job : list) {
    if (!job.is_array() || job.size() != 5 || files.size() == kJobsMax || !job[4].is_string())
      return make_error(ErrorCode::kCorrupt, "jobs: no job");
    for (size_t i = 0; i < 4; ++i)
      if (!job[i].is_number_unsigned()) return make_error(ErrorCode::kCorrupt, "jobs: no number");
    const auto task = job[0].get<uint64_t>();
    if (task > static_cast<uint64_t>(ParseTask::kInstalled))
      return make_error(ErrorCode::kCorrupt, "jobs: no task");
    files.push_back({.task = static_cast<ParseTask>(task),
                     .fd = base::kChildFirstFd + static_cast<int>(files.size()),
                     .size = job[1].get<uint64_t>(),
                     .have = std::min(job[1].get<uint64_t>(), job[2].get<uint64_t>()),
                     .store = job[3].get<uint64_t>(),
                     .path = job[4].get<std::string>()});
  }
  return files;
}

int serve() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const auto files = jobs_from_json(base::read_child_input(kInputBytesMax));
  const auto rules = read_runtime_rules();
  if (!files.ok() || !rules.ok()) return 2;
  if (!base::confine({.memory_bytes_max = kMemoryBytesMax, .cpu_s_max = 120}).ok()) return 3;
  return base::write_child_output(answers_to_json(parse_here(*files, *rules))) ? 0 : 4;
}

Result<std::vector<ParseAnswer>> ask_child(std::span<const GivenFile> files,
                                           const ParserOptions& options) {
  base::ChildRun run{.program = options.program,
                     .argument = std::string(kChildArgument),
                     .input = jobs_to_json(files),
                     .time_max = options.time_max,
                     .output_bytes_max = kAnswerBytesMax};
  for (const GivenFile& file : files) run.files.push_back(file.fd);
  LANTERN_ASSIGN(const base::ChildOutput output, base::run_confined_child(run));
  std::string fault = output.fault;
  if (fault.empty()) {
    auto answers = answers_from_json(output.text, files.size());
    if (answers.ok()) return answers;
    fault = answers.error().message;
  }
  if (files.size() == 1) return std::vector<ParseAnswer>{{.fault = claim(fault)}};
  std::vector<ParseAnswer> all;
  for (const GivenFile& file : files) {
    LANTERN_ASSIGN(std::vector<ParseAnswer> one, ask_child(std::span(&file, 1), options));
    all.push_back(std::move(one.front()));
  }
  return all;
}

Result<std::vector<InstalledEntry>> installed_from_json(const Json& answer) {
  std::vector<InstalledEntry> entries;
  const auto list = answer.find("installed");
  if (list == answer.end()) return entries;
  const auto other = [] {
    return make_error(ErrorCode::kCorrupt, "the confined reader answered something else");
  };
  if (!list->is_array() || list->size() > kMatchesMax) return other();
  for (const Json& one : *list) {
    InstalledEntry& entry = entries.emplace_back();
    for (const auto& [key, member] : {std::pair{"rule", &InstalledEntry::rule},
                                      {"name", &InstalledEntry::name},
                                      {"version", &InstalledEntry::version}}) {
      const auto at = one.find(key);
      if (at == one.end() || !at->is_string()) return other();
      entry.*member = claimed(at->get_ref<const std::string&>());
    }
  }
  return entries;
}

}  // namespace

Result<std::vector<ParseAnswer>> answers_from_json(std::string_view text, size_t n_jobs) {
  LANTERN_ASSIGN(const Json list, base::parse_json(text, "the confined reader's answer",
                                                   {.bytes_max = kAnswerBytesMax, .depth_max = 8}));
  if (!list.is_array() || list.size() != n_jobs)
    return make_error(ErrorCode::kCorrupt, "the confined reader answered something else");
  std::vector<ParseAnswer> answers;
  for (const Json& one : list) {
    ParseAnswer& answer = answers.emplace_back();
    const auto weights = one.find("weights"), code = one.find("code"),
               manifest = one.find("manifest");
    if (weights == one.end() || code == one.end() || manifest == one.end() || !code->is_array() ||
        code->size() > kMatchesMax || !manifest->is_array() || manifest->size() > kMatchesMax)
      return make_error(ErrorCode::kCorrupt, "the confined reader answered something else");
    if (!weights->is_null()) {
      LANTERN_ASSIGN(answer.weights, weights_from_json(*weights));
    }
    for (const Json& match : *code) {
      const auto rule = match.find("rule"), n_found = match.find("n_found");
      if (rule == match.end() || !rule->is_string() || n_found == match.end() ||
          !n_found->is_number_unsigned())
        return make_error(ErrorCode::kCorrupt, "the confined reader answered something else");
      answer.code.push_back(
          {.rule = claimed(rule->get_ref<const std::string&>()),
           .n_found = static_cast<uint32_t>(std::min<uint64_t>(n_found->get<uint64_t>(), 10'000))});
    }
    for (const Json& entry : *manifest) {
      const auto file = entry.find("file"), label = entry.find("label");
      if (file == entry.end() || !file->is_string() || label == entry.end() || !label->is_string())
        return make_error(ErrorCode::kCorrupt, "the confined reader answered something else");
      answer.manifest.push_back({.file = file->get<std::string>(),
                                 .label = claimed(label->get_ref<const std::string&>())});
    }
    LANTERN_ASSIGN(answer.installed, installed_from_json(one));
  }
  return answers;
}

namespace {

Result<std::vector<ParseAnswer>> parse_unknown(std::span<const ParseJob> jobs,
                                               const ParserOptions& options) {
  std::vector<GivenFile> files;
  for (const ParseJob& job : jobs)
    files.push_back({.task = job.task,
                     .fd = job.file->fd.get(),
                     .size = job.file->size,
                     .have = std::min(job.file->have, job.file->size),
                     .store = job.store,
                     .path = job.path});
  if (!g_has_child_entry) {
    LANTERN_ASSIGN(const std::vector<RuntimeRule> rules, read_runtime_rules());
    return parse_here(files, rules);
  }
  std::vector<ParseAnswer> answers;
  for (size_t from = 0; from < files.size(); from += kJobsMax) {
    const auto some = std::span(files).subspan(from, std::min(kJobsMax, files.size() - from));
    LANTERN_ASSIGN(std::vector<ParseAnswer> part, ask_child(some, options));
    std::move(part.begin(), part.end(), std::back_inserter(answers));
  }
  return answers;
}

}  // namespace

Result<std::vector<ParseAnswer>> parse_files(std::span<const ParseJob> jobs,
                                             const ParserOptions& options) {
  if (options.cache == nullptr) return parse_unknown(jobs, options);
  std::vector<ParseAnswer> answers(jobs.size());
  std::vector<ParseJob> unknown;
  std::vector<size_t> places;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (const ParseAnswer* known = options.cache->find(jobs[i])) {
      answers[i] = *known;
    } else {
      unknown.push_back(jobs[i]);
      places.push_back(i);
    }
  }
  if (unknown.empty()) return answers;
  LANTERN_ASSIGN(std::vector<ParseAnswer> fresh, parse_unknown(unknown, options));
  for (size_t i = 0; i < fresh.size(); ++i) {
    options.cache->keep(unknown[i], fresh[i]);
    answers[places[i]] = std::move(fresh[i]);
  }
  return answers;
}

std::optional<int> serve_parser_child(int argc, const char* const* argv) {
  if (argc != 2 || std::string_view(argv[1]) != kChildArgument) {
    g_has_child_entry = true;
    return std::nullopt;
  }
  int status = 0;
  try {
    status = serve();
  } catch (const std::exception&) {
    status = 5;  // memory that the limit denies
  }
  // Destructors have nothing to do that the kernel does not, and might call what is forbidden.
  _exit(status);
}

}  // namespace lantern::sensor
