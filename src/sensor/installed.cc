#include "sensor/installed.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/printable.h"

namespace lantern::sensor {
namespace {

constexpr size_t kListsMax = 20'000;  // folders listed for one kind
constexpr size_t kTextsMax = 4'000;   // files read for one kind
constexpr size_t kFoundMax = 10'000;  // of one kind
constexpr size_t kTextsAtOnce = 64;
constexpr size_t kNameBytesMax = 200;

}  // namespace

bool InstalledSearch::may_list() {
  if (n_lists_ == kListsMax) {
    is_cut_ = true;
    return false;
  }
  ++n_lists_;
  return true;
}

std::vector<DirectoryEntry> InstalledSearch::list(const std::string& folder) {
  if (!may_list()) return {};
  auto entries = host_.list(folder);
  return entries.ok() ? std::move(*entries) : std::vector<DirectoryEntry>();
}

std::vector<DirectoryEntry> InstalledSearch::list_private(const std::string& folder) {
  if (!may_list()) return {};
  auto entries = host_.list_private(folder);
  return entries.ok() ? std::move(*entries) : std::vector<DirectoryEntry>();
}

void InstalledSearch::add(const RuntimeRule& rule, std::string_view name, std::string_view version,
                          const std::string& where, uint32_t uid) {
  is_cut_ = is_cut_ || found_.size() == kFoundMax;
  if (found_.size() == kFoundMax) return;
  found_.push_back({.rule = rule.id,
                    .name = base::printable(name, kNameBytesMax),
                    .version = base::printable(version, kNameBytesMax),
                    .where = where,
                    .uid = uid});
}

void InstalledSearch::read(const std::string& path, uint32_t uid) {
  if (texts_.size() == kTextsMax || !base::is_utf8(path))
    is_cut_ = true;
  else
    texts_.push_back({.path = path, .uid = uid});
}

namespace {

/// Has the texts of one kind read, and adds what they say.
Status read_installed_texts(Host& host, InstalledSearch& search, size_t kind,
                            const ParserOptions& options) {
  const std::vector<InstalledSearch::Text>& texts = search.texts();
  for (size_t from = 0; from < texts.size(); from += kTextsAtOnce) {
    std::vector<OpenedFile> opened;
    std::vector<const InstalledSearch::Text*> of;
    for (size_t i = from; i < std::min(texts.size(), from + kTextsAtOnce); ++i)
      if (auto file = host.open_private(texts[i].path); file.ok()) {
        opened.push_back(std::move(*file));
        of.push_back(&texts[i]);
      }
    std::vector<ParseJob> jobs;
    jobs.reserve(opened.size());
    for (size_t i = 0; i < opened.size(); ++i)
      jobs.push_back(
          {.task = ParseTask::kInstalled, .file = &opened[i], .store = kind, .path = of[i]->path});
    if (jobs.empty()) continue;
    LANTERN_ASSIGN(const std::vector<ParseAnswer> answers, parse_files(jobs, options));
    const auto rules = search.rules();
    for (size_t i = 0; i < answers.size(); ++i)
      for (const InstalledEntry& entry : answers[i].installed) {
        const auto rule = std::find_if(rules.begin(), rules.end(), [&](const RuntimeRule& one) {
          return one.id == entry.rule;
        });
        if (rule != rules.end())
          search.add(*rule, entry.name, entry.version, of[i]->path, of[i]->uid);
      }
  }
  return {};
}

}  // namespace

Result<InstalledReport> find_installed(Host& host, std::span<const RuntimeRule> rules,
                                       const ParserOptions& options) {
  LANTERN_ASSIGN(const std::vector<Home> homes, host.homes());
  InstalledReport report;
  std::vector<Installed>& all = report.found;
  const auto kinds = installed_kinds();
  for (size_t i = 0; i < kinds.size(); ++i) {
    InstalledSearch search(host, rules, homes);
    kinds[i]->find(search);
    if (kinds[i]->read != nullptr) LANTERN_TRY(read_installed_texts(host, search, i, options));
    if (search.is_cut())
      report.left_out.push_back(fmt::format(
          "some of what may be installed ({}): there is more than is looked at", kinds[i]->kind));
    for (Installed& one : search.take()) {
      one.kind = kinds[i]->kind;
      all.push_back(std::move(one));
    }
  }
  const auto key = [](const Installed& one) {
    return std::tie(one.kind, one.where, one.name, one.version, one.rule);
  };
  std::sort(all.begin(), all.end(),
            [&](const Installed& a, const Installed& b) { return key(a) < key(b); });
  all.erase(std::unique(all.begin(), all.end(),
                        [&](const Installed& a, const Installed& b) { return key(a) == key(b); }),
            all.end());
  return report;
}

std::pair<std::string_view, std::string_view> split_image(std::string_view reference) {
  const size_t slash = reference.rfind('/');
  const size_t from = slash == std::string_view::npos ? 0 : slash;
  const size_t end =
      std::min({reference.find('@', from), reference.find(':', from), reference.size()});
  return {reference.substr(0, end),
          reference.substr(std::min(end + (end < reference.size() ? 1 : 0), reference.size()))};
}

void add_image(std::vector<InstalledEntry>& entries, std::string_view reference,
               std::span<const RuntimeRule> rules) {
  const auto [name, version] = split_image(reference);
  for (const RuntimeRule& rule : rules)
    if (matches_image(rule, name))
      entries.push_back(
          {.rule = rule.id, .name = std::string(name), .version = std::string(version)});
}

}  // namespace lantern::sensor
