#include "policy/conditions.h"

#include <algorithm>
#include <filesystem>

#include "base/printable.h"

namespace lantern::policy {
namespace {

constexpr size_t kNamesShown = 4;

std::string in_words(const std::string& name) { return base::printable(name, 80); }
std::string in_words(const base::Digest& digest) {
  return "sha256:" + base::to_hex(digest).substr(0, 12);
}
std::string in_words(ModelState state) { return std::string(model_state_name(state)); }

template <typename Range>
std::string all_in_words(const Range& names) {
  std::string text;
  size_t n = 0;
  for (const auto& name : names) {
    if (n == kNamesShown) return text + ", ...";
    text += (n++ == 0 ? "" : ", ") + in_words(name);
  }
  return n == 0 ? "none" : text;
}

template <typename List, typename T>
bool holds(const List& list, const T& value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

/// Keeps the weakest finding, the first of equals.
class Conjunction {
 public:
  template <typename MakeWhy>
  void add(Truth truth, MakeWhy why) {
    if (truth >= finding_.truth) return;
    finding_ = {truth, why()};
  }

  /// One value that must be among those listed.
  template <typename T>
  void one(std::string_view field, const std::optional<std::vector<T>>& listed,
           const Fact<T>& fact) {
    if (!listed) return;
    if (!fact) return unknown(field);
    add(truth_of(holds(*listed, *fact)), [&] {
      return fmt::format("{} is {}, not {}", field, all_in_words(std::vector<T>{*fact}),
                         all_in_words(*listed));
    });
  }
  /// A set with at least one among those listed.
  void any(std::string_view field, const std::optional<std::vector<std::string>>& listed,
           const Fact<std::set<std::string>>& fact) {
    if (!listed) return;
    if (!fact) return unknown(field);
    const bool found = std::any_of(listed->begin(), listed->end(),
                                   [&](const std::string& name) { return fact->contains(name); });
    add(truth_of(found), [&] {
      return fmt::format("{}: {}, not {}", field, all_in_words(*fact), all_in_words(*listed));
    });
  }
  /// A set, not empty, with nothing but what is listed.
  void all(std::string_view field, const std::optional<std::vector<std::string>>& listed,
           const Fact<std::set<std::string>>& fact) {
    if (!listed) return;
    if (!fact) return unknown(field);
    const bool found = !fact->empty() &&
                       std::all_of(fact->begin(), fact->end(),
                                   [&](const std::string& name) { return holds(*listed, name); });
    add(truth_of(found), [&] {
      return fmt::format("{}: {}, which are not all among {}", field, all_in_words(*fact),
                         all_in_words(*listed));
    });
  }
  void boolean(std::string_view field, const std::optional<bool>& wanted, Truth fact) {
    if (!wanted) return;
    if (fact == Truth::kUnknown) return unknown(field);
    add(truth_of((fact == Truth::kYes) == *wanted),
        [&] { return fmt::format("{} is {}", field, fact == Truth::kYes ? "true" : "false"); });
  }
  void below(std::string_view field, const std::optional<int64_t>& limit,
             const Fact<int64_t>& used) {
    if (!limit) return;
    if (!used) return unknown(field);
    add(truth_of(*used < *limit),
        [&] { return fmt::format("{}: {} of {}", field, *used, *limit); });
  }
  void at_least(std::string_view field, const std::optional<Severity>& least,
                const Fact<Severity>& fact) {
    if (!least) return;
    if (!fact) return unknown(field);
    add(truth_of(*fact >= *least), [&] {
      return fmt::format("{} is {}, less than {}", field, severity_name(*fact),
                         severity_name(*least));
    });
  }
  void unknown(std::string_view field) {
    add(Truth::kUnknown, [&] { return fmt::format("{} is not known", field); });
  }

  Finding take() { return std::move(finding_); }

 private:
  Finding finding_ = {.truth = Truth::kYes, .why = "every condition holds"};
};

/// The rule's ids and aliases are alternatives.
void add_identity(const Conditions& conditions, Reading reading, const Facts& facts,
                  Conjunction& all) {
  if (!conditions.ids && !conditions.aliases) return;
  std::vector<base::Digest> ids = conditions.ids.value_or(std::vector<base::Digest>{});
  bool is_unpinned = false;
  for (const PinnedAlias& alias : conditions.aliases.value_or(std::vector<PinnedAlias>{}))
    if (alias.id)
      ids.push_back(*alias.id);
    else
      is_unpinned = true;
  Truth found = is_unpinned ? Truth::kUnknown : Truth::kNo;
  found = either(found, facts.model_id ? truth_of(holds(ids, *facts.model_id)) : Truth::kUnknown);
  if (!facts.files) {
    found = either(found, Truth::kUnknown);
  } else if (reading == Reading::kRestricts || facts.files->size() == 1) {
    for (const base::Digest& file : *facts.files) found = either(found, truth_of(holds(ids, file)));
  }
  all.add(found, [&]() -> std::string {
    if (found == Truth::kUnknown)
      return is_unpinned ? "an alias is not pinned to an id" : "the model's id is not known";
    return fmt::format("the model is {}, not {}", in_words(*facts.model_id), all_in_words(ids));
  });
}

}  // namespace

std::string_view truth_name(Truth truth) {
  return truth == Truth::kYes ? "yes" : truth == Truth::kNo ? "no" : "unknown";
}

Truth is_approved(const Policy& policy, const Facts& facts) {
  if (!facts.n_approvers) return Truth::kUnknown;
  return truth_of(*facts.n_approvers >= std::max(1, policy.approvals.approvers_min));
}

Finding evaluate(const Conditions& conditions, Reading reading, const Policy& policy,
                 const Facts& facts) {
  Conjunction all;
  all.one("user", conditions.users, facts.user);
  all.any("group", conditions.groups, facts.groups);
  all.any("key", conditions.keys, facts.keys);
  all.one("program", conditions.programs, facts.program);
  add_identity(conditions, reading, facts, all);
  all.one("licence", conditions.licences, facts.licence);
  all.one("architecture", conditions.architectures, facts.architecture);
  all.one("publisher", conditions.publishers, facts.publisher);
  all.any("signer", conditions.signers, facts.signers);
  all.one("state", conditions.states, facts.state);
  all.boolean("catalog", conditions.in_catalog,
              facts.in_catalog ? truth_of(*facts.in_catalog) : Truth::kUnknown);
  all.boolean("approved", conditions.approved, is_approved(policy, facts));
  all.at_least("advisory_severity", conditions.advisory_severity_min, facts.advisory_severity);
  if (reading == Reading::kGrants)
    all.all("label", conditions.labels, facts.labels);
  else
    all.any("label", conditions.labels, facts.labels);
  all.below("tokens_a_day", conditions.tokens_a_day, facts.tokens_today);
  all.below("requests_a_minute", conditions.requests_a_minute, facts.requests_this_minute);
  return all.take();
}

bool lies_within(const std::string& path, const std::string& folder) {
  const std::filesystem::path normal = std::filesystem::path(path).lexically_normal();
  if (!normal.is_absolute() || normal != path || path.starts_with("//")) return false;
  if (folder == "/" || path == folder) return true;
  return path.starts_with(folder) && path[folder.size()] == '/';
}

}  // namespace lantern::policy
