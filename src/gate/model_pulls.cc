#include "gate/model_pulls.h"

#include <unistd.h>

#include <utility>

#include "base/printable.h"
#include "base/thread.h"
#include "gate/caller_decision.h"
#include "gate/store.h"
#include "supply/reference.h"

namespace lantern::gate {
namespace {

constexpr size_t kPullsMax = 2;

/// As pull takes it. kInvalidArgument.
Result<std::string> source_of(std::string_view name) {
  std::string source(name);
  for (const std::string_view host : {"hf.co/", "huggingface.co/"})
    if (name.starts_with(host)) source = "hf:" + std::string(name.substr(host.size()));
  constexpr std::string_view kLatest = ":latest";
  if (source.ends_with(kLatest)) source.resize(source.size() - kLatest.size());
  LANTERN_ASSIGN(const supply::Reference reference, supply::parse_reference(source));
  if (reference.kind == supply::Reference::Kind::kPath ||
      reference.kind == supply::Reference::Kind::kUrl)
    return make_error(ErrorCode::kInvalidArgument,
                      "model: a name of the catalog, hf.co/ORG/REPO or pypi:PACKAGE==VERSION is "
                      "needed; files and addresses are for `lantern pull`");
  return source;
}

/// A key speaks for its user, whoever's program sends it: one of another user, or one that is held
/// to some models, is not the owner's.
bool is_owner(const Caller& caller) {
  if (!caller.uid || (*caller.uid != ::geteuid() && *caller.uid != 0)) return false;
  return !caller.grant ||
         (caller.grant->models.empty() && caller.grant->user == user_name(*caller.uid));
}

}  // namespace

Status allow_owner(const Caller& caller, audit::Action action, std::string_view what) {
  if (is_owner(caller)) return {};
  LANTERN_ASSIGN(const Governance governance, Governance::open());
  constexpr std::string_view kRule = "lantern.owner";
  audit::Event event{.action = action,
                     .decision = audit::Decision::kDeny,
                     .actor = actor_of(caller),
                     .rule = std::string(kRule),
                     .reason = "not the service's own account"};
  event.facts.push_back({.name = "model", .value = base::printable(what).substr(0, 512)});
  if (auto recorded = governance.log().append(event); !recorded.ok())
    return std::move(recorded).error();
  return make_error(
      ErrorCode::kDenied,
      "denied by rule {}: only the account that the service runs under, or a key of its "
      "own for all models, may pull and remove models through it; ask whoever runs it",
      kRule);
}

Status remove_model(std::string_view name, const Caller& caller) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  LANTERN_TRY(allow_owner(caller, audit::Action::kRemove, name));
  LANTERN_ASSIGN(const supply::Store::Removed removed, remove_stored(name, actor_of(caller)));
  (void)removed;
  return {};
}

ModelPulls::~ModelPulls() {
  std::list<Pull> ending;
  {
    const std::lock_guard lock(mutex_);
    for (Pull& pull : pulls_) pull.stop.request_stop();
    ending.swap(pulls_);
  }
}

Status ModelPulls::start(std::string_view name, const Caller& caller, const std::stop_token& gone,
                         Follower follower) {
  LANTERN_TRY(allow_owner(caller, audit::Action::kPull, name));
  LANTERN_ASSIGN(std::string source, source_of(name));
  const std::lock_guard lock(mutex_);
  pulls_.remove_if([](const Pull& pull) { return pull.done; });
  if (pulls_.size() >= kPullsMax)
    return make_error(ErrorCode::kExhausted, "{} pulls are under way already; try again later",
                      pulls_.size());
  Pull& pull = pulls_.emplace_back();
  pull.gone = std::make_unique<std::stop_callback<std::function<void()>>>(
      gone, [stop = pull.stop]() mutable { stop.request_stop(); });
  auto started = base::start_thread(
      "pull", [this, &pull, source = std::move(source), follower = std::move(follower)] {
        const auto say = [&](std::string_view line) {
          while (line.ends_with('\n')) line.remove_suffix(1);
          if (follower.on_line && !line.empty()) follower.on_line(line);
        };
        base::ProgressOutput progress = base::ProgressOutput::none();
        progress.write = say;
        auto pulled = pull_model(
            source, {.stop = pull.stop.get_token(), .progress = std::move(progress), .notice = say},
            {}, {});
        if (pulled.ok() && !pulled->taken.approved) {
          follower.on_done(make_error(ErrorCode::kDenied, "{}; {} is here, in quarantine",
                                      pulled->taken.why_not, pulled->pulled.alias));
        } else {
          follower.on_done(std::move(pulled));
        }
        const std::lock_guard ended(mutex_);
        pull.done = true;
      });
  if (!started.ok()) {
    pulls_.pop_back();
    return std::move(started).error();
  }
  pull.thread = std::move(*started);
  return {};
}

}  // namespace lantern::gate
