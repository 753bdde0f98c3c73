#include "supply/advisories/match.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/printable.h"
#include "supply/bom/bom.h"
#include "supply/reference.h"

namespace lantern::supply {
namespace {

constexpr size_t kVersionPartsMax = 32, kVersionDigitsMax = 18;

bool contains(std::span<const std::string> texts, std::string_view text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

/// What one entry of an advisory says of the subject.
struct Verdict {
  Standing standing = Standing::kNotAffected;
  std::string_view by = {};
  std::string because = {};
};

/// The first of the digests that is the subject's composition or one of its files.
const base::Digest* own_digest(std::span<const base::Digest> digests,
                               const AdvisorySubject& subject) {
  for (const base::Digest& digest : digests)
    if (digest == subject.id ||
        std::find(subject.files.begin(), subject.files.end(), digest) != subject.files.end())
      return &digest;
  return nullptr;
}

Verdict by_digest(const base::Digest& digest, const AdvisorySubject& subject) {
  return {
      .standing = Standing::kAffected,
      .by = "digest",
      .because = fmt::format("{} sha256:{}", digest == subject.id ? "the model is" : "a file is",
                             base::to_hex(digest))};
}

/// Ranges are judged one by one: without the repository's history only a named commit, and ranges
/// that never end, have an answer.
Verdict judge_git(const OsvRange& range, const AdvisorySubject& subject) {
  auto verdict = [](Standing standing, std::string because) {
    return Verdict{.standing = standing, .by = "git range", .because = std::move(because)};
  };
  bool from_the_start = false, ends = false;
  for (const OsvEvent& event : range.events) {
    const bool here = contains(subject.commits, base::to_lower(event.value));
    switch (event.kind) {
      case OsvEvent::Kind::kIntroduced:
        if (here) return verdict(Standing::kAffected, "its commit introduced the fault");
        from_the_start |= event.value == "0";
        break;
      case OsvEvent::Kind::kLastAffected:
        if (here) return verdict(Standing::kAffected, "its commit is the last affected");
        ends = true;
        break;
      case OsvEvent::Kind::kFixed:
        if (here) return verdict(Standing::kNotAffected, "its commit is the fix");
        ends = true;
        break;
      case OsvEvent::Kind::kLimit:
        if (here) return verdict(Standing::kNotAffected, "its commit is the range's limit");
        // "*" is the schema's word for no limit.
        ends |= event.value != "*";
        break;
    }
  }
  if (from_the_start && !ends) return verdict(Standing::kAffected, "every commit is affected");
  return verdict(Standing::kInconclusive,
                 "whether its commit is in the range needs the repository's history");
}

/// The schema's algorithm over sorted events, for versions of numbers and dots alone.
Verdict judge_versions(const OsvRange& range, const std::string& version) {
  auto verdict = [](Standing standing, std::string because) {
    return Verdict{.standing = standing, .by = "package", .because = std::move(because)};
  };
  Verdict unknown = verdict(Standing::kInconclusive,
                            fmt::format("whether version {} is in the range cannot be told",
                                        version.empty() ? "(unknown)" : version));
  bool affected = false, covered = false;
  // Events may stand in any order: the last one that is not after the version decides.
  std::string last = "-";
  for (const OsvEvent& event : range.events) {
    const bool introduced = event.kind == OsvEvent::Kind::kIntroduced;
    if (introduced && event.value == "0") {
      if (last == "-") affected = covered = true;
      continue;
    }
    if (event.kind == OsvEvent::Kind::kLimit && event.value == "*") continue;
    const auto order = version.empty()          ? std::nullopt
                       : event.value == version ? std::optional<int>(0)
                                                : compare_plain_versions(event.value, version);
    if (!order) return unknown;
    const bool after_last_affected = event.kind == OsvEvent::Kind::kLastAffected && *order < 0;
    const bool reached =
        event.kind == OsvEvent::Kind::kLastAffected ? after_last_affected : *order <= 0;
    if (!reached) continue;
    const auto later =
        last == "-" ? std::optional<int>(1) : compare_plain_versions(event.value, last);
    if (later && *later >= 0) {
      affected = introduced;
      covered = true;
      last = event.value;
    }
  }
  if (affected)
    return verdict(Standing::kAffected, fmt::format("version {} is in the range", version));
  return verdict(Standing::kNotAffected,
                 fmt::format("version {} is {} the range", version, covered ? "past" : "before"));
}

/// The worse of two; of equals the first.
void worsen(std::optional<Verdict>& so_far, Verdict other) {
  if (!so_far || other.standing > so_far->standing) so_far = std::move(other);
}

/// An entry whose package is the subject's, at `version` of it (may be empty: unknown).
Verdict judge_package(const OsvAffected& affected, const std::string& version,
                      const AdvisorySubject& subject) {
  auto verdict = [](Standing standing, std::string because) {
    return Verdict{.standing = standing, .by = "package", .because = std::move(because)};
  };
  auto same = [&](const std::string& one) {
    return base::to_lower(one) == base::to_lower(version);
  };
  if (!version.empty() && std::any_of(affected.versions.begin(), affected.versions.end(), same))
    return verdict(Standing::kAffected, fmt::format("version {} is listed", version));
  if (!affected.package_version.empty()) {
    if (version.empty())
      return verdict(Standing::kInconclusive, "its version of the package is not known");
    if (same(affected.package_version))
      return verdict(Standing::kAffected, fmt::format("version {} is named", version));
  }
  std::optional<Verdict> worst;
  for (const OsvRange& range : affected.ranges)
    worsen(worst, range.type == OsvRange::Type::kGit ? judge_git(range, subject)
                                                     : judge_versions(range, version));
  if (worst) return *worst;
  if (!affected.versions.empty() || !affected.package_version.empty()) {
    if (version.empty())
      return verdict(Standing::kInconclusive, "its version of the package is not known");
    return verdict(Standing::kNotAffected, fmt::format("version {} is not listed", version));
  }
  if (!affected.digests.empty())
    return verdict(Standing::kNotAffected, "other files of the package are affected");
  return verdict(Standing::kInconclusive, "the advisory names the package, but no version");
}

/// What an entry says; nothing where it is about something else.
std::optional<Verdict> judge(const OsvAffected& affected, const AdvisorySubject& subject) {
  if (const base::Digest* digest = own_digest(affected.digests, subject))
    return by_digest(*digest, subject);
  std::optional<Verdict> worst;
  for (const PackageUrl& package : subject.packages)
    if (!affected.package_key.empty() && package.key() == affected.package_key)
      worsen(worst, judge_package(affected, package.version, subject));
  if (worst) return worst;
  // Ranges of a repository speak of whatever comes from it, whatever the package is called.
  for (const OsvRange& range : affected.ranges) {
    const std::string repo = repository_key(range.repo);
    if (range.type != OsvRange::Type::kGit || repo.empty() || !contains(subject.repositories, repo))
      continue;
    auto listed = [&](const std::string& one) {
      return contains(subject.commits, base::to_lower(one));
    };
    if (std::any_of(affected.versions.begin(), affected.versions.end(), listed))
      worsen(
          worst,
          {.standing = Standing::kAffected, .by = "git range", .because = "its commit is listed"});
    worsen(worst, judge_git(range, subject));
  }
  return worst;
}

}  // namespace

std::string_view standing_name(Standing standing) {
  switch (standing) {
    case Standing::kNotAffected:
      return "not affected";
    case Standing::kInconclusive:
      return "inconclusive";
    case Standing::kAffected:
      return "affected";
  }
  return "";
}

std::string repository_key(std::string_view url) {
  std::string_view rest = url;
  if (const size_t scheme = rest.find("://"); scheme != std::string_view::npos)
    rest.remove_prefix(scheme + 3);
  else if (!rest.starts_with("git@"))
    return "";
  const size_t path = rest.find('/');
  if (const size_t at = rest.substr(0, path).find('@'); at != std::string_view::npos)
    rest.remove_prefix(at + 1);
  rest = rest.substr(0, rest.find_first_of("?#"));
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.ends_with(".git")) rest.remove_suffix(4);
  std::string key = base::to_lower(rest);
  // git@host:path is ssh's way to write host/path.
  if (const size_t colon = key.find(':'); colon != std::string::npos && !url.starts_with("http"))
    key[colon] = '/';
  return key.find('/') == std::string::npos ? "" : key;
}

std::optional<int> compare_plain_versions(std::string_view a, std::string_view b) {
  for (size_t n = 0; !a.empty() || !b.empty(); ++n) {
    if (n == kVersionPartsMax) return std::nullopt;
    std::string_view parts[2] = {"0", "0"};  // 1.0 is 1
    std::string_view* wholes[2] = {&a, &b};
    for (int i = 0; i < 2; ++i) {
      std::string_view& whole = *wholes[i];
      if (whole.empty()) continue;
      const size_t dot = whole.find('.');
      parts[i] = whole.substr(0, dot);
      if (parts[i].empty() || parts[i].size() > kVersionDigitsMax ||
          !std::all_of(parts[i].begin(), parts[i].end(),
                       [](char c) { return c >= '0' && c <= '9'; }))
        return std::nullopt;
      if (dot == whole.size() - 1) return std::nullopt;
      whole.remove_prefix(dot == std::string_view::npos ? whole.size() : dot + 1);
    }
    while (parts[0].size() > 1 && parts[0][0] == '0') parts[0].remove_prefix(1);
    while (parts[1].size() > 1 && parts[1][0] == '0') parts[1].remove_prefix(1);
    if (parts[0].size() != parts[1].size()) return parts[0].size() < parts[1].size() ? -1 : 1;
    if (const int order = parts[0].compare(parts[1]); order != 0) return order < 0 ? -1 : 1;
  }
  return 0;
}

AdvisorySubject advisory_subject(const base::Digest& id, std::span<const base::Digest> files,
                                 std::string_view source, std::string_view revision) {
  AdvisorySubject subject{.id = id, .files = {files.begin(), files.end()}};
  if (auto purl = parse_package_url(purl_of_source(source, revision)); purl.ok())
    subject.packages.push_back(std::move(*purl));
  auto reference = parse_reference(source);
  if (reference.ok() && reference->kind == Reference::Kind::kHub) {
    subject.repositories.push_back(repository_key("https://huggingface.co/" + reference->repo));
    // A branch is no commit: what it was at the time nobody knows.
    if (!revision.empty()) subject.commits.push_back(base::to_lower(revision));
    if (revision.empty() && !subject.packages.empty()) subject.packages.back().version.clear();
  }
  return subject;
}

std::optional<AdvisoryMatch> match_advisory(const Advisory& advisory,
                                            const AdvisorySubject& subject) {
  std::optional<Verdict> worst;
  const OsvAffected* decisive = nullptr;
  if (const base::Digest* digest = own_digest(advisory.digests, subject))
    worst = by_digest(*digest, subject);
  for (const OsvAffected& affected : advisory.affected) {
    auto verdict = judge(affected, subject);
    if (!verdict || (worst && verdict->standing <= worst->standing)) continue;
    worst = std::move(verdict);
    decisive = &affected;
  }
  if (!worst) return std::nullopt;
  AdvisoryMatch match{.id = advisory.id,
                      .aliases = advisory.aliases,
                      .summary = advisory.summary,
                      .standing = worst->standing,
                      .by = std::string(worst->by),
                      .because = std::move(worst->because),
                      .severity = advisory.severity,
                      .cvss = advisory.cvss,
                      .modified = advisory.modified_text,
                      .references = advisory.references};
  if (decisive && !decisive->cvss.empty()) match.cvss = decisive->cvss;
  if (decisive && decisive->severity) {
    match.severity = *decisive->severity;
  } else if (decisive && !decisive->cvss.empty()) {
    Severity worst_own = Severity::kUnknown;
    for (const std::string& vector : decisive->cvss)
      worst_own = std::max(worst_own, cvss_severity(vector).value_or(Severity::kUnknown));
    match.severity = worst_own;
  }
  if (advisory.withdrawn) {
    match.standing = Standing::kNotAffected;
    match.because = "the advisory was withdrawn";
  }
  return match;
}

}  // namespace lantern::supply
