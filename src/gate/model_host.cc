#include "gate/model_host.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/memory.h"
#include "base/printable.h"
#include "base/shared_pool.h"
#include "base/thread.h"
#include "gate/caller_decision.h"
#include "gate/resolve.h"

namespace lantern::gate {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::system_clock;
using Then = std::function<void(Result<ModelUse>)>;

constexpr auto kTick = std::chrono::seconds(1);  // withdrawn models and short memory are seen
constexpr size_t kAtTheDoorMax = 1024;
/// A composition that the door found out is good for so long: it reads headers.
constexpr auto kComposedAnew = std::chrono::seconds(1);
/// The context for which there must be room, where a model may have less than its own.
constexpr int64_t kContextUsual = 4096;
/// Less than this left, and what idles goes.
constexpr uint64_t kMemoryLeast = uint64_t{256} << 20;

/// What a name leads to.
struct Target {
  std::string key = {};        // the id's digits of a stored model, or "path:" and the reference
  std::string reference = {};  // for locate()
  std::string name = {};
  std::optional<supply::StoredModel> stored = {};
  /// Of an adapter: what it is, and where its model leads. Then the key is "lora:" and the name.
  std::optional<AdapterSpec> adapter = {};
  std::shared_ptr<const Target> base = {};
};

Target target_of(supply::StoredModel stored) {
  std::string id = base::to_hex(stored.manifest.id);
  std::string name = stored.name();
  return {.key = id, .reference = id, .name = std::move(name), .stored = std::move(stored)};
}

Result<Target> target_of_reference(const std::string& reference) {
  LANTERN_ASSIGN(Located located, locate(reference));
  if (located.stored) return target_of(std::move(*located.stored));
  return Target{.key = "path:" + reference, .reference = reference, .name = located.name};
}

enum class Phase { kAbsent, kLoading, kLoaded, kUnloading };

struct Waiter {
  ModelHost::UseOptions options;
  Then then;
  Clock::time_point came = Clock::now();
};

/// A model that is loaded or wanted.
struct Slot {
  Target target = {};
  bool named = false;
  Phase phase = Phase::kAbsent;
  std::unique_ptr<ServedModel> model = {};
  bool ending = false;  // goes as soon as nobody uses it
  int64_t uses = 0;
  Clock::time_point last_used = {};
  system_clock::time_point since = {}, last_used_at = {};
  std::chrono::seconds keep_alive{};
  std::vector<Waiter> waiters = {};  // whom the door let in
  // Since it was loaded for the first time:
  std::optional<ServableModel> shown = {};
  Composition composition = {};
  std::optional<Composition> base_composition = {};  // of an adapter

  [[nodiscard]] bool is_adapter_of(const std::string& key) const {
    return target.base && target.base->key == key;
  }

  [[nodiscard]] bool is_usable() const {
    return phase == Phase::kLoaded && !ending && !model->withdrawn();
  }
  [[nodiscard]] bool is_due(Clock::time_point now) const {
    if (phase != Phase::kLoaded || uses > 0) return false;
    if (ending || model->withdrawn()) return true;
    return keep_alive != kForever && now - last_used >= keep_alive;
  }
};
using SlotPtr = std::shared_ptr<Slot>;

/// What those who use models hold on to, also past the host's end.
struct Shared {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::map<std::string, SlotPtr> slots;  // by key; under the mutex, as all of a slot is
};

std::string_view without_tag(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  return name;
}

Error cancelled() {
  return make_error(ErrorCode::kCancelled, "the service ended before the model was loaded");
}

uint64_t bytes_of(const Composition& model) {
  uint64_t bytes = 0;
  for (const ComposedFile& file : model.paths) bytes += file.size;
  return bytes;
}

ServableModel described(const ServedModel& model) {
  return {.name = model.name(),
          .parent = model.base() != nullptr ? model.base()->name() : std::string(),
          .id = model.composition().id,
          .file_bytes = bytes_of(model.composition()),
          .architecture = model.info().model.architecture,
          .licence = model.composition().licence,
          .context = model.info().context,
          .is_made_to_embed = model.is_made_to_embed(),
          .at = system_clock::now()};
}

bool is_adapter_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '/';
  });
}

/// As the store alone knows it.
Result<std::pair<ServableModel, Composition>> described(const supply::StoredModel& stored) {
  LANTERN_ASSIGN(Composition model, composition_of(stored));
  if (const auto tier = expected_tier(stored); tier.ok()) model.tier = *tier;
  ServableModel out{.name = stored.name(),
                    .id = model.id,
                    .file_bytes = bytes_of(model),
                    .licence = model.licence};
  if (const auto at = base::parse_utc(stored.manifest.pulled_at)) out.at = *at;
  return std::pair(std::move(out), std::move(model));
}

}  // namespace

struct ModelHost::Impl {
  Impl(HostOptions given, Governance governance)
      : options(std::move(given)), decisions(std::move(governance)) {}

  [[nodiscard]] uint64_t available() const {
    return options.available_memory ? options.available_memory() : base::available_memory();
  }
  Result<Target> target(std::string_view name) const;
  void describe_header(const supply::StoredModel& stored, ServableModel& out) const;
  ModelUse hold(const SlotPtr& slot, const UseOptions& use);
  std::optional<ModelUse> hold_usable(const std::string& key, const UseOptions& use);

  void run_door(const std::stop_token& stop);
  Result<Composition> composition(const Target& target, const std::stop_token& stop);
  void let_in(const Target& target, Waiter waiter);

  void tell(Then then, Result<ModelUse> use);
  void run_teller(const std::stop_token& stop);

  using Lock = std::unique_lock<std::mutex>;
  void run_keeper(const std::stop_token& stop);
  void see_to_memory(Clock::time_point now);
  SlotPtr next_to_unload(Clock::time_point now) const;
  SlotPtr next_to_load() const;
  SlotPtr longest_idle(bool named_too) const;
  void unload(const SlotPtr& slot, Lock& lock);
  void load_wanted(const SlotPtr& slot, Lock& lock, const std::stop_token& stop);
  Result<std::unique_ptr<ServedModel>> load_model(const Target& target, const LoadOptions& how);
  Result<std::unique_ptr<ServedModel>> load_adapter(const Target& target, const LoadOptions& how);
  Result<ModelUse> load_named(const Target& target, const LoadOptions& how);
  Result<ModelUse> use_base(const Target& target, const LoadOptions& how);
  Result<bool> allows(const Composition& model, const std::optional<Composition>& base,
                      const Caller& caller) const;
  [[nodiscard]] GuessOptions guess_of(const Target& target, bool& own_draft) const;
  [[nodiscard]] Result<uint64_t> bytes_needed(const engine::ModelCost& cost) const;
  Status make_room(const Target& target, uint64_t need, const std::stop_token& stop);
  void put(const SlotPtr& slot, std::unique_ptr<ServedModel> model);
  void end();

  const HostOptions options;
  mutable CallerDecisions decisions;
  const std::shared_ptr<Shared> shared = std::make_shared<Shared>();
  std::mutex loading;  // one load at a time; taken before the shared mutex

  /// What headers of the store's models say, each read once, by a confined child.
  struct Header {
    std::string architecture = {};
    bool is_made_to_embed = false;
  };
  mutable std::mutex headers_mutex;
  mutable std::map<base::Digest, Header> headers;  // under its mutex

  std::mutex door_mutex;
  std::condition_variable_any knocked;
  std::deque<std::pair<Target, Waiter>> at_the_door;  // under its mutex
  // The keeper's thread alone:
  Clock::time_point look_at_memory = {};
  bool has_trimmed = false;      // as of the last look
  bool memory_is_short = false;  // though all gave back what they kept

  // The door's thread alone:
  std::map<std::string, std::pair<Composition, Clock::time_point>> composed;

  std::mutex teller_mutex;
  std::condition_variable_any heard;
  std::deque<std::pair<Then, Result<ModelUse>>> to_tell;  // under its mutex

  std::jthread door, keeper, teller;
};

Result<Target> ModelHost::Impl::target(std::string_view name) const {
  const std::string_view bare = without_tag(name);
  {
    const std::lock_guard lock(shared->mutex);
    for (const auto& [key, slot] : shared->slots)
      if (slot->named && (slot->target.name == name || slot->target.name == bare ||
                          (!slot->target.adapter && slot->target.reference == bare)))
        return slot->target;
  }
  if (!options.named_only) {
    LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
    auto stored = store.find(bare);
    if (stored.ok()) return target_of(std::move(*stored));
    if (stored.error().code != ErrorCode::kNotFound) return std::move(stored).error();
  }
  return make_error(ErrorCode::kNotFound,
                    "model \"{}\" is not served here; the list of models has those that are",
                    base::printable(name));
}

/// A header that cannot be read says nothing; whoever asks for the model hears of it.
void ModelHost::Impl::describe_header(const supply::StoredModel& stored, ServableModel& out) const {
  const std::lock_guard lock(headers_mutex);
  auto found = headers.find(out.id);
  if (found == headers.end()) {
    Header header;
    if (const auto checkpoint = inspect(base::to_hex(stored.manifest.id)); checkpoint.ok())
      if (const auto cost = engine::model_cost(**checkpoint); cost.ok())
        header = {.architecture = cost->architecture, .is_made_to_embed = cost->is_made_to_embed};
    found = headers.emplace(out.id, std::move(header)).first;
  }
  out.architecture = found->second.architecture;
  out.is_made_to_embed = found->second.is_made_to_embed;
}

/// Under the shared mutex.
ModelUse ModelHost::Impl::hold(const SlotPtr& slot, const UseOptions& use) {
  ++slot->uses;
  slot->keep_alive = use.keep_alive.value_or(slot->named ? kForever : options.keep_alive);
  return ModelUse(
      std::shared_ptr<ServedModel>(slot->model.get(), [slot, shared = shared](ServedModel*) {
        const std::lock_guard lock(shared->mutex);
        slot->last_used = Clock::now();
        slot->last_used_at = system_clock::now();
        if (--slot->uses == 0) shared->changed.notify_all();
      }));
}

std::optional<ModelUse> ModelHost::Impl::hold_usable(const std::string& key,
                                                     const UseOptions& use) {
  const std::lock_guard lock(shared->mutex);
  const auto found = shared->slots.find(key);
  if (found == shared->slots.end() || !found->second->is_usable()) return std::nullopt;
  return hold(found->second, use);
}

// The door.

void ModelHost::Impl::run_door(const std::stop_token& stop) {
  for (;;) {
    std::pair<Target, Waiter> next;
    {
      std::unique_lock lock(door_mutex);
      knocked.wait(lock, stop, [&] { return !at_the_door.empty(); });
      if (stop.stop_requested()) return;
      next = std::move(at_the_door.front());
      at_the_door.pop_front();
    }
    auto& [target, waiter] = next;
    if (waiter.options.gone.stop_requested()) {
      tell(std::move(waiter.then), make_error(ErrorCode::kCancelled, "the client has gone"));
      continue;
    }
    const Result<Composition> model = composition(target, stop);
    if (!model.ok()) {
      tell(std::move(waiter.then), model.error());
      continue;
    }
    const auto decision = decisions.decide(*model, waiter.options.caller, waiter.options.action);
    if (!decision.ok()) {
      tell(std::move(waiter.then), decision.error());
    } else if (!decision->allowed()) {
      tell(std::move(waiter.then), decision->status().error());
    } else {
      let_in(target, std::move(waiter));
    }
  }
}

Result<Composition> ModelHost::Impl::composition(const Target& target,
                                                 const std::stop_token& stop) {
  const auto now = Clock::now();
  std::erase_if(composed, [&](const auto& one) { return now - one.second.second > kComposedAnew; });
  if (const auto found = composed.find(target.key); found != composed.end())
    return found->second.first;
  LANTERN_ASSIGN(Resolved resolved,
                 resolve(target.reference, {.stop = stop, .paranoid = options.paranoid}));
  if (target.adapter) resolved.model.name = target.name;
  composed[target.key] = {resolved.model, now};
  return std::move(resolved.model);
}

void ModelHost::Impl::let_in(const Target& target, Waiter waiter) {
  const std::lock_guard lock(shared->mutex);
  SlotPtr& slot = shared->slots[target.key];
  if (!slot) slot = std::make_shared<Slot>(Slot{.target = target});
  if (slot->is_usable()) {
    return tell(std::move(waiter.then), hold(slot, waiter.options));
  }
  if (std::ssize(slot->waiters) >= options.scheduler.queue_max) {
    return tell(
        std::move(waiter.then),
        make_error(ErrorCode::kExhausted,
                   "{}: too many requests wait for it to be loaded; try again later", target.name));
  }
  slot->waiters.push_back(std::move(waiter));
  shared->changed.notify_all();
}

// The teller: what is done with a model may take its time (a prompt, a grammar), for which neither
// decisions nor loads wait.

void ModelHost::Impl::tell(Then then, Result<ModelUse> use) {
  {
    const std::lock_guard lock(teller_mutex);
    to_tell.emplace_back(std::move(then), std::move(use));
  }
  heard.notify_one();
}

void ModelHost::Impl::run_teller(const std::stop_token& stop) {
  for (;;) {
    std::unique_lock lock(teller_mutex);
    heard.wait(lock, stop, [&] { return !to_tell.empty(); });
    if (stop.stop_requested()) return;
    auto [then, use] = std::move(to_tell.front());
    to_tell.pop_front();
    lock.unlock();
    then(std::move(use));
  }
}

// The keeper.

void ModelHost::Impl::run_keeper(const std::stop_token& stop) {
  Lock lock(shared->mutex);
  while (!stop.stop_requested()) {
    const auto now = Clock::now();
    if (now >= look_at_memory) see_to_memory(now);
    if (const SlotPtr due = next_to_unload(now)) {
      unload(due, lock);
      memory_is_short = false;
      continue;
    }
    if (const SlotPtr wanted = next_to_load()) {
      load_wanted(wanted, lock, stop);
      continue;
    }
    auto wake = now + kTick;
    for (const auto& [key, slot] : shared->slots)
      if (slot->phase == Phase::kLoaded && slot->uses == 0 && slot->keep_alive != kForever)
        wake = std::min(wake, slot->last_used + slot->keep_alive);
    shared->changed.wait_until(lock, stop, wake, [&] {
      return next_to_load() != nullptr || next_to_unload(Clock::now()) != nullptr;
    });
  }
}

SlotPtr ModelHost::Impl::next_to_unload(Clock::time_point now) const {
  for (const auto& [key, slot] : shared->slots)
    if (slot->is_due(now)) return slot;
  const SlotPtr idle = memory_is_short ? longest_idle(false) : nullptr;
  return idle && now - idle->last_used > kTick ? idle : nullptr;
}

/// Where memory is short all first give back what they keep for requests to come; where it still is
/// a tick later, what idles goes. Under the shared mutex.
void ModelHost::Impl::see_to_memory(Clock::time_point now) {
  look_at_memory = now + kTick;
  const bool is_short = available() < kMemoryLeast;
  memory_is_short = is_short && has_trimmed;
  has_trimmed = is_short;
  if (!is_short) return;
  for (const auto& [key, slot] : shared->slots)
    if (slot->phase == Phase::kLoaded) slot->model->trim();
}

/// First come, first served: otherwise models that are asked for again and again, and take the room
/// from each other, keep one waiting that is not.
SlotPtr ModelHost::Impl::next_to_load() const {
  SlotPtr found;
  for (const auto& [key, slot] : shared->slots)
    if (slot->phase == Phase::kAbsent && !slot->waiters.empty() &&
        (!found || slot->waiters.front().came < found->waiters.front().came))
      found = slot;
  return found;
}

SlotPtr ModelHost::Impl::longest_idle(bool named_too) const {
  SlotPtr found;
  for (const auto& [key, slot] : shared->slots) {
    if (slot->phase != Phase::kLoaded || slot->uses > 0 || (slot->named && !named_too)) continue;
    if (!found ||
        std::pair(slot->named, slot->last_used) < std::pair(found->named, found->last_used))
      found = slot;
  }
  return found;
}

/// Gives the lock back meanwhile.
void ModelHost::Impl::unload(const SlotPtr& slot, Lock& lock) {
  slot->phase = Phase::kUnloading;
  std::unique_ptr<ServedModel> model = std::move(slot->model);
  lock.unlock();
  model.reset();
  base::release_free_memory();
  lock.lock();
  slot->phase = Phase::kAbsent;
  slot->ending = false;
  if (slot->waiters.empty() && !slot->named) shared->slots.erase(slot->target.key);
  shared->changed.notify_all();
}

/// Likewise.
void ModelHost::Impl::load_wanted(const SlotPtr& slot, Lock& lock, const std::stop_token& stop) {
  slot->phase = Phase::kLoading;
  const auto is_gone = [](const Waiter& waiter) { return waiter.options.gone.stop_requested(); };
  const bool is_wanted = !std::all_of(slot->waiters.begin(), slot->waiters.end(), is_gone);
  lock.unlock();
  auto model = [&]() -> Result<std::unique_ptr<ServedModel>> {
    if (!is_wanted) return make_error(ErrorCode::kCancelled, "the client has gone");
    const std::lock_guard one(loading);
    return load_model(slot->target, {.stop = stop});
  }();
  lock.lock();
  std::vector<Waiter> waiters = std::exchange(slot->waiters, {});
  std::vector<Result<ModelUse>> uses;
  uses.reserve(waiters.size());
  if (model.ok()) {
    put(slot, std::move(*model));
    for (const Waiter& waiter : waiters) uses.emplace_back(hold(slot, waiter.options));
  } else {
    slot->phase = Phase::kAbsent;
    if (!slot->named) shared->slots.erase(slot->target.key);
    for (size_t i = 0; i < waiters.size(); ++i) uses.emplace_back(model.error());
  }
  for (size_t i = 0; i < waiters.size(); ++i) tell(std::move(waiters[i].then), std::move(uses[i]));
}

/// Under the shared mutex.
void ModelHost::Impl::put(const SlotPtr& slot, std::unique_ptr<ServedModel> model) {
  slot->shown = described(*model);
  slot->composition = model->composition();
  if (model->base() != nullptr) slot->base_composition = model->base()->composition();
  slot->model = std::move(model);
  slot->phase = Phase::kLoaded;
  slot->ending = false;
  slot->last_used = Clock::now();
  slot->since = slot->last_used_at = system_clock::now();
  slot->keep_alive = slot->named ? kForever : options.keep_alive;
  shared->changed.notify_all();
}

/// What is said of this model alone, then of all.
GuessOptions ModelHost::Impl::guess_of(const Target& target, bool& own_draft) const {
  GuessOptions out = options.guess;
  own_draft = false;
  for (const std::string& by : {target.reference, target.key, target.name}) {
    const auto found = options.guess_of.find(by);
    if (found == options.guess_of.end()) continue;
    if (found->second.speculation) out.speculation = found->second.speculation;
    if (found->second.draft) out.draft = found->second.draft;
    own_draft = found->second.draft.has_value();
    break;
  }
  return out;
}

Result<std::unique_ptr<ServedModel>> ModelHost::Impl::load_model(const Target& target,
                                                                 const LoadOptions& how) {
  if (target.adapter) return load_adapter(target, how);
  const AdmitOptions admit{.consent = how.consent,
                           .stop = how.stop,
                           .progress = how.hashing,
                           .paranoid = options.paranoid,
                           .warn = how.warn};
  bool own_draft = false;
  const GuessOptions guess = guess_of(target, own_draft);
  LANTERN_ASSIGN(ServedModel::Admitted admitted, ServedModel::admit(target.reference, admit));
  LANTERN_ASSIGN(uint64_t need, bytes_needed(admitted.cost));
  ServedModel::StartOptions start{.engine = options.engine, .scheduler = options.scheduler};
  start.scheduler.speculation = guess.speculation.value_or(engine::Speculation::kAuto);
  if (guess.draft && !guess.draft->empty() &&
      guess.speculation.value_or(engine::Speculation::kAuto) != engine::Speculation::kOff) {
    LANTERN_ASSIGN(const Target draft, target_of_reference(*guess.draft));
    if (draft.key != target.key) {  // nothing guesses for itself
      LANTERN_ASSIGN(start.draft, ServedModel::admit(draft.reference, admit));
      LANTERN_ASSIGN(const uint64_t more, bytes_needed(start.draft->cost));
      need += more;
    }
  }
  if (!own_draft)
    start.without_draft = [&how](std::string_view why) {
      if (how.warn) how.warn(why);
    };
  LANTERN_TRY(make_room(target, need, how.stop));
  start.engine.progress = [&](uint64_t done, uint64_t total) {
    return !how.stop.stop_requested() && (!how.progress || how.progress(done, total));
  };
  auto model = ServedModel::start(std::move(admitted), std::move(start));
  // To come again later would not help.
  if (!model.ok() && model.error().code == ErrorCode::kExhausted)
    return make_error(ErrorCode::kUnsupported, "{}: {}", target.name, model.error().message);
  return model;
}

/// The adapter's own rules are asked before its model is loaded for it.
Result<std::unique_ptr<ServedModel>> ModelHost::Impl::load_adapter(const Target& target,
                                                                   const LoadOptions& how) {
  LANTERN_ASSIGN(ServedModel::AdmittedAdapter admitted,
                 ServedModel::admit_adapter(*target.adapter, {.consent = how.consent,
                                                              .stop = how.stop,
                                                              .progress = how.hashing,
                                                              .paranoid = options.paranoid,
                                                              .warn = how.warn}));
  LANTERN_ASSIGN(ModelUse base, use_base(*target.base, how));
  return ServedModel::adapt(std::move(base.model_), std::move(admitted), *target.adapter);
}

/// Loads it where it is not loaded; whoever calls holds `loading`.
Result<ModelUse> ModelHost::Impl::use_base(const Target& target, const LoadOptions& how) {
  SlotPtr slot;
  {
    const std::lock_guard lock(shared->mutex);
    SlotPtr& there = shared->slots[target.key];
    if (!there) there = std::make_shared<Slot>(Slot{.target = target});
    slot = there;
    if (slot->is_usable()) return hold(slot, {.keep_alive = slot->keep_alive});
    if (slot->phase != Phase::kAbsent)
      return make_error(ErrorCode::kExhausted, "{}: it is being unloaded; try again later",
                        target.name);
    slot->phase = Phase::kLoading;
  }
  auto model = load_model(target, how);
  Lock lock(shared->mutex);
  if (!model.ok()) {
    slot->phase = Phase::kAbsent;
    if (!slot->named && slot->waiters.empty()) shared->slots.erase(target.key);
    shared->changed.notify_all();
    return std::move(model).error();
  }
  put(slot, std::move(*model));
  Result<ModelUse> use = hold(slot, {});
  // Who asked for it meanwhile has waited for this load.
  const std::vector<Waiter> waiters = std::exchange(slot->waiters, {});
  std::vector<Result<ModelUse>> uses;
  uses.reserve(waiters.size());
  for (const Waiter& waiter : waiters) uses.emplace_back(hold(slot, waiter.options));
  lock.unlock();
  for (size_t w = 0; w < waiters.size(); ++w) waiters[w].then(std::move(uses[w]));
  return use;
}

Result<uint64_t> ModelHost::Impl::bytes_needed(const engine::ModelCost& cost) const {
  const int64_t context = options.engine.context > 0
                              ? options.engine.context
                              : std::min(cost.n_context_train, kContextUsual);
  return cost.memory_bytes(options.engine.kv_type, context);
}

Status ModelHost::Impl::make_room(const Target& target, uint64_t need,
                                  const std::stop_token& stop) {
  const auto deadline = Clock::now() + options.room_wait_max;
  Lock lock(shared->mutex);
  for (;;) {
    if (stop.stop_requested()) return cancelled();
    const auto n_loaded =
        std::count_if(shared->slots.begin(), shared->slots.end(), [](const auto& one) {
          return one.second->phase == Phase::kLoaded && !one.second->target.adapter;
        });
    const bool full = options.models_max > 0 && n_loaded >= options.models_max;
    // Alone it may try: the engine has the words for what does not fit.
    if (n_loaded == 0 || (!full && available() >= need)) return {};
    if (const SlotPtr idle = longest_idle(true)) {
      unload(idle, lock);
      continue;
    }
    if (Clock::now() >= deadline)
      return make_error(ErrorCode::kExhausted,
                        "{}: there is no room to load it ({} of memory are needed, {} are left), "
                        "and every loaded model is in use; try again later",
                        target.name, base::format_bytes(need), base::format_bytes(available()));
    shared->changed.wait_until(lock, stop, std::min(deadline, Clock::now() + kTick),
                               [&] { return longest_idle(true) != nullptr; });
  }
}

void ModelHost::Impl::end() {
  for (std::jthread* thread : {&door, &keeper, &teller}) thread->request_stop();
  for (std::jthread* thread : {&door, &keeper, &teller})
    if (thread->joinable()) thread->join();
  std::vector<Waiter> waiters;
  for (auto& [target, waiter] : std::exchange(at_the_door, {}))
    waiters.push_back(std::move(waiter));
  std::vector<std::unique_ptr<ServedModel>> models;
  {
    const std::lock_guard lock(shared->mutex);
    for (auto& [key, slot] : shared->slots) {
      for (Waiter& waiter : slot->waiters) waiters.push_back(std::move(waiter));
      slot->waiters.clear();
      slot->phase = Phase::kAbsent;
      if (slot->model) models.push_back(std::move(slot->model));
    }
    shared->slots.clear();
  }
  // A model ends what its scheduler runs, its adapters' requests too: they must still be there.
  std::ranges::stable_partition(models, [](const auto& model) { return model->base() == nullptr; });
  for (auto& model : models) model.reset();
  for (Waiter& waiter : waiters) waiter.then(cancelled());
  for (auto& [then, use] : std::exchange(to_tell, {})) then(cancelled());
}

// The host.

ModelHost::ModelHost(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ModelHost>> ModelHost::create(HostOptions options) {
  LANTERN_ASSIGN(Governance governance, Governance::open());
  const int threads =
      options.engine.threads > 0 ? options.engine.threads : base::usable_physical_cores();
  options.engine.pool = std::make_shared<base::SharedPool>(threads);
  options.engine.memory_left = options.available_memory;
  auto impl = std::make_unique<Impl>(std::move(options), std::move(governance));
  Impl* raw = impl.get();
  LANTERN_ASSIGN(impl->door,
                 base::start_thread("decide who may use a model",
                                    [raw](const std::stop_token& stop) { raw->run_door(stop); }));
  LANTERN_ASSIGN(impl->keeper,
                 base::start_thread("load models",
                                    [raw](const std::stop_token& stop) { raw->run_keeper(stop); }));
  LANTERN_ASSIGN(impl->teller,
                 base::start_thread("answer those who waited for a model",
                                    [raw](const std::stop_token& stop) { raw->run_teller(stop); }));
  return std::unique_ptr<ModelHost>(new ModelHost(std::move(impl)));
}

ModelHost::~ModelHost() { impl_->end(); }

Result<ModelUse> ModelHost::Impl::load_named(const Target& target, const LoadOptions& how) {
  const std::lock_guard one(loading);
  SlotPtr slot;
  {
    const std::lock_guard lock(shared->mutex);
    SlotPtr& there = shared->slots[target.key];
    if (!there) there = std::make_shared<Slot>(Slot{.target = target});
    slot = there;
    slot->named = true;
    if (slot->is_usable()) return hold(slot, {});
    slot->phase = Phase::kLoading;
  }
  auto model = load_model(target, how);
  const std::lock_guard lock(shared->mutex);
  if (!model.ok()) {
    shared->slots.erase(target.key);
    return std::move(model).error();
  }
  put(slot, std::move(*model));
  return hold(slot, {});
}

Result<ModelUse> ModelHost::load(const std::string& reference, const LoadOptions& options) {
  LANTERN_ASSIGN(const Target target, target_of_reference(reference));
  return impl_->load_named(target, options);
}

Result<ModelUse> ModelHost::load_adapter(const AdapterSpec& spec, const LoadOptions& options) {
  if (!is_adapter_name(spec.name))
    return make_error(ErrorCode::kInvalidArgument,
                      "adapter name \"{}\": 1 to 128 letters, digits, \".\", \"_\", \"-\" and "
                      "\"/\" are needed",
                      base::printable(spec.name));
  LANTERN_ASSIGN(Target base, target_of_reference(spec.model));
  if (const auto other = impl_->target(spec.name); other.ok())
    return make_error(ErrorCode::kInvalidArgument,
                      "adapter name {}: another model or adapter is served under it", spec.name);
  const Target target{.key = "lora:" + spec.name,
                      .reference = spec.reference,
                      .name = spec.name,
                      .adapter = spec,
                      .base = std::make_shared<const Target>(std::move(base))};
  return impl_->load_named(target, options);
}

void ModelHost::use(std::string_view name, UseOptions options, Then then) {
  Result<Target> target = impl_->target(name);
  if (!target.ok()) return then(std::move(target).error());
  if (auto use = impl_->hold_usable(target->key, options)) return then(std::move(*use));
  {
    const std::lock_guard lock(impl_->door_mutex);
    if (impl_->at_the_door.size() < kAtTheDoorMax) {
      impl_->at_the_door.emplace_back(std::move(*target),
                                      Waiter{std::move(options), std::move(then)});
      impl_->knocked.notify_one();
      return;
    }
  }
  then(make_error(ErrorCode::kExhausted, "too many requests wait for models; try again later"));
}

std::optional<ModelUse> ModelHost::use_loaded(std::string_view name) {
  const Result<Target> target = impl_->target(name);
  if (!target.ok()) return std::nullopt;
  const std::lock_guard lock(impl_->shared->mutex);
  const auto found = impl_->shared->slots.find(target->key);
  if (found == impl_->shared->slots.end() || !found->second->is_usable()) return std::nullopt;
  return impl_->hold(found->second, {.keep_alive = found->second->keep_alive});
}

void ModelHost::let_go(const ModelUse& use) {
  const std::lock_guard lock(impl_->shared->mutex);
  std::string of;
  for (const auto& [key, slot] : impl_->shared->slots)
    if (slot->model.get() == &*use) of = key;
  for (const auto& [key, slot] : impl_->shared->slots)
    if (!of.empty() && (key == of || slot->is_adapter_of(of))) slot->ending = true;
}

std::vector<LoadedModel> ModelHost::loaded() const {
  std::vector<LoadedModel> out;
  const std::lock_guard lock(impl_->shared->mutex);
  for (const auto& [key, slot] : impl_->shared->slots) {
    if (slot->phase == Phase::kLoading)
      out.push_back({.name = slot->target.name, .is_loading = true});
    if (slot->phase != Phase::kLoaded) continue;
    const ServedModel& model = *slot->model;
    LoadedModel one{.name = model.name(),
                    .parent = model.base() != nullptr ? model.base()->name() : std::string(),
                    .id = model.composition().id,
                    .file_bytes = bytes_of(model.composition()),
                    .context = model.info().context,
                    .architecture = model.info().model.architecture,
                    .is_ending = slot->ending || model.withdrawn(),
                    .uses = slot->uses,
                    .since = slot->since};
    if (model.base() == nullptr) one.stats = model.stats();
    for (const auto& [other, adapter] : impl_->shared->slots)
      if (adapter->phase == Phase::kLoaded && adapter->is_adapter_of(key)) --one.uses;
    one.memory_bytes = model.weight_bytes() + one.stats.kv_bytes_in_use;
    if (slot->keep_alive != kForever) {
      const auto from = slot->uses > 0 ? system_clock::now() : slot->last_used_at;
      one.expires = from + slot->keep_alive;
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<ServableModel>> ModelHost::servable(const Caller& caller) const {
  struct One {
    ServableModel model;
    Composition composition;
    std::optional<Composition> base;
  };
  std::vector<One> all;
  std::map<base::Digest, supply::StoredModel> not_loaded;
  {
    const std::lock_guard lock(impl_->shared->mutex);
    for (const bool named : {true, false})
      for (const auto& [key, slot] : impl_->shared->slots)
        if (slot->shown && slot->named == named)
          all.push_back({*slot->shown, slot->composition, slot->base_composition});
  }
  if (!impl_->options.named_only) {
    LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
    LANTERN_ASSIGN(const auto listing, store.list());
    for (const supply::StoredModel& stored : listing.models) {
      const bool there = std::any_of(all.begin(), all.end(), [&](const auto& one) {
        return one.model.id == stored.manifest.id;
      });
      if (there) continue;
      LANTERN_ASSIGN(auto one, described(stored));
      not_loaded.emplace(one.first.id, stored);
      all.push_back({std::move(one.first), std::move(one.second), {}});
    }
  }
  std::vector<ServableModel> out;
  for (auto& [model, composition, base] : all) {
    LANTERN_ASSIGN(const bool allowed, impl_->allows(composition, base, caller));
    if (!allowed) continue;
    if (const auto stored = not_loaded.find(model.id); stored != not_loaded.end())
      impl_->describe_header(stored->second, model);
    out.push_back(std::move(model));
  }
  return out;
}

/// As ServedModel decides about an adapter, without a record.
Result<bool> ModelHost::Impl::allows(const Composition& model,
                                     const std::optional<Composition>& base,
                                     const Caller& caller) const {
  LANTERN_ASSIGN(const bool allowed, decisions.would_allow(model, caller, policy::Action::kChat));
  if (!allowed || !base) return allowed;
  Caller without_key_limits = caller;
  without_key_limits.grant = nullptr;
  return decisions.would_allow(*base, without_key_limits, policy::Action::kChat);
}

Result<ServableModel> ModelHost::find(std::string_view name, const Caller& caller) const {
  LANTERN_ASSIGN(const Target target, impl_->target(name));
  std::optional<std::pair<ServableModel, Composition>> found;
  std::optional<Composition> base;
  bool is_loaded = true;
  {
    const std::lock_guard lock(impl_->shared->mutex);
    const auto at = impl_->shared->slots.find(target.key);
    if (at != impl_->shared->slots.end() && at->second->shown) {
      found.emplace(*at->second->shown, at->second->composition);
      base = at->second->base_composition;
    }
  }
  if (!found && target.stored) {
    LANTERN_ASSIGN(found, described(*target.stored));
    is_loaded = false;
  }
  if (!found) return make_error(ErrorCode::kNotFound, "{}: not loaded at the moment", target.name);
  LANTERN_ASSIGN(const policy::Decision decision,
                 impl_->decisions.decide(found->second, caller, policy::Action::kChat));
  LANTERN_TRY(decision.status());
  if (base) {
    Caller without_key_limits = caller;
    without_key_limits.grant = nullptr;
    LANTERN_ASSIGN(const policy::Decision of_base,
                   impl_->decisions.decide(*base, without_key_limits, policy::Action::kChat));
    LANTERN_TRY(of_base.status());
  }
  if (!is_loaded) impl_->describe_header(*target.stored, found->first);
  return std::move(found->first);
}

Result<ModelHost::Described> ModelHost::describe(std::string_view name, const Caller& caller) {
  LANTERN_ASSIGN(ServableModel model, find(name, caller));
  Described out{.model = std::move(model)};
  if (const auto use = use_loaded(name)) {
    const text::ChatTemplate* chat = (*use)->text().chat_template();
    if (chat != nullptr) out.chat_template = chat->source();
    out.n_context_train = (*use)->info().model.n_context_train;
    out.n_vocab = (*use)->info().model.n_vocab;
    return out;
  }
  LANTERN_ASSIGN(const Target target, impl_->target(name));
  LANTERN_ASSIGN(const auto checkpoint,
                 inspect(target.base ? target.base->reference : target.reference));
  const format::Metadata& metadata = checkpoint->metadata();
  LANTERN_ASSIGN(out.model.architecture, metadata.get_string("general.architecture"));
  LANTERN_ASSIGN(out.chat_template, metadata.get_string_or("tokenizer.chat_template", {}));
  LANTERN_ASSIGN(const engine::ModelCost cost, engine::model_cost(*checkpoint));
  out.n_context_train = cost.n_context_train;
  for (const format::Tensor& tensor : checkpoint->tensors())
    if (tensor.name == "token_embd.weight" && !tensor.shape.empty()) out.n_vocab = tensor.shape[0];
  return out;
}

Status ModelHost::unload(std::string_view name, UnloadWhen when) {
  LANTERN_ASSIGN(const Target target, impl_->target(name));
  const std::lock_guard lock(impl_->shared->mutex);
  const auto found = impl_->shared->slots.find(target.key);
  if (found == impl_->shared->slots.end() || found->second->phase != Phase::kLoaded)
    return make_error(ErrorCode::kNotFound, "{}: not loaded", target.name);
  for (const auto& [key, slot] : impl_->shared->slots) {
    if (slot->phase != Phase::kLoaded || (key != target.key && !slot->is_adapter_of(target.key)))
      continue;
    slot->ending = true;
    if (when == UnloadWhen::kNow) slot->model->end_answers();
  }
  impl_->shared->changed.notify_all();
  return {};
}

}  // namespace lantern::gate
