#include <algorithm>
#include <map>
#include <set>

#include "base/ascii.h"
#include "base/printable.h"
#include "supply/advisories/match.h"

namespace lantern::supply {
namespace {

bool is_own_digest(const base::Digest& digest, const AdvisorySubject& subject) {
  return digest == subject.id ||
         std::find(subject.files.begin(), subject.files.end(), digest) != subject.files.end();
}

enum class Fit {
  kNone,
  kLoose,  // the subject may be meant: enough to accuse, too little to clear
  kExact,
};

/// By digest where the product has one that is ours; by package and version otherwise. A product
/// with digests of other files is another artifact of the same package.
Fit fit_of(const VexProduct& product, const AdvisorySubject& subject) {
  for (const base::Digest& digest : product.digests)
    if (is_own_digest(digest, subject)) return Fit::kExact;
  Fit best = Fit::kNone;
  for (const PackageUrl& package : subject.packages) {
    if (product.package_key.empty() || package.key() != product.package_key) continue;
    const bool same_version = !product.version.empty() && !package.version.empty() &&
                              base::to_lower(product.version) == base::to_lower(package.version);
    if (!product.version.empty() && !package.version.empty() && !same_version) continue;
    // A product without a version is every version; a subject without one may be another.
    const bool exact = product.digests.empty() && (product.version.empty() || same_version);
    best = std::max(best, exact ? Fit::kExact : Fit::kLoose);
  }
  return best;
}

Fit fit_of(const VexStatement& statement, const AdvisorySubject& subject) {
  Fit best = Fit::kNone;
  for (const VexProduct& product : statement.products) {
    Fit fit = fit_of(product, subject);
    // About parts of the product: it accuses the product, and clears it only where a part is it.
    if (fit == Fit::kExact && product.has_subcomponents) {
      const bool whole =
          std::any_of(product.subcomponents.begin(), product.subcomponents.end(),
                      [&](const VexProduct& part) { return fit_of(part, subject) == Fit::kExact; });
      if (!whole) fit = Fit::kLoose;
    }
    best = std::max(best, fit);
  }
  return best;
}

Standing standing_of(VexStatus status) {
  switch (status) {
    case VexStatus::kNotAffected:
    case VexStatus::kFixed:
      return Standing::kNotAffected;
    case VexStatus::kUnderInvestigation:
      return Standing::kInconclusive;
    case VexStatus::kAffected:
      return Standing::kAffected;
  }
  return Standing::kInconclusive;
}

struct Heard {
  const VexDocument* document = nullptr;
  const VexStatement* statement = nullptr;
};

/// The later one, of equal times the worse.
bool overrules(const Heard& a, const Heard& b) {
  if (!b.statement) return true;
  if (a.statement->time != b.statement->time) return a.statement->time > b.statement->time;
  return standing_of(a.statement->status) > standing_of(b.statement->status);
}

std::string reason_of(const VexStatement& statement) {
  std::string text(vex_status_name(statement.status));
  if (!statement.justification.empty()) text += ": " + statement.justification;
  if (statement.status == VexStatus::kAffected) text += ": " + statement.action;
  return base::printable(text, 300);
}

void apply(const Heard& heard, AdvisoryMatch& match) {
  match.standing = standing_of(heard.statement->status);
  match.by = "vex";
  match.because = reason_of(*heard.statement);
  match.vex = heard.document->id;
}

}  // namespace

void apply_vex(std::span<const VexDocument> documents, const AdvisorySubject& subject,
               std::vector<AdvisoryMatch>& matches) {
  std::vector<Heard> heard;  // those that may speak of the subject
  for (const VexDocument& document : documents)
    for (const VexStatement& statement : document.statements) {
      const Fit fit = fit_of(statement, subject);
      const bool clears = standing_of(statement.status) == Standing::kNotAffected;
      if (fit == Fit::kNone || (clears && fit != Fit::kExact)) continue;
      heard.push_back({&document, &statement});
    }
  std::map<std::string, Heard> last_words;  // by every name that a statement calls it
  for (const Heard& one : heard)
    for (const std::string& name : one.statement->vulnerabilities)
      if (Heard& last = last_words[base::to_lower(name)]; overrules(one, last)) last = one;
  std::set<std::string> known;
  for (AdvisoryMatch& match : matches) {
    Heard last;
    auto hear = [&](const std::string& name) {
      const auto found = last_words.find(*known.insert(base::to_lower(name)).first);
      if (found != last_words.end() && overrules(found->second, last)) last = found->second;
    };
    hear(match.id);
    for (const std::string& alias : match.aliases) hear(alias);
    if (last.statement) apply(last, match);
  }
  // What nobody's advisory has.
  std::set<const VexStatement*> told;
  for (const Heard& one : heard) {
    const auto& names = one.statement->vulnerabilities;
    const bool has_match = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
      return known.contains(base::to_lower(name));
    });
    const Heard& last = last_words.at(base::to_lower(names.front()));
    if (has_match || standing_of(last.statement->status) == Standing::kNotAffected ||
        !told.insert(last.statement).second)
      continue;
    AdvisoryMatch match{.id = names.front(),
                        .aliases = {names.begin() + 1, names.end()},
                        .modified = last.document->time_text};
    apply(last, match);
    matches.push_back(std::move(match));
  }
}

}  // namespace lantern::supply
