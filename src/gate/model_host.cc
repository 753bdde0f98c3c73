#include "gate/model_host.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "base/memory.h"
#include "base/printable.h"
#include "base/shared_pool.h"
#include "base/thread.h"
#include "gate/model_host_impl.h"

namespace lantern::gate {
namespace {

using std::chrono::system_clock;

constexpr auto kTick = std::chrono::seconds(1);  // withdrawn models and short memory are seen
constexpr size_t kAtTheDoorMax = 1024;
/// A composition that the door found out is good for so long: it reads headers.
constexpr auto kComposedAnew = std::chrono::seconds(1);
/// The context for which there must be room, where a model may have less than its own.
constexpr int64_t kContextUsual = 4096;
/// Less than this left, and what idles goes.
constexpr uint64_t kMemoryLeast = uint64_t{256} << 20;

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

std::string_view without_tag(std::string_view name) {
  constexpr std::string_view kLatest = ":latest";
  if (name.ends_with(kLatest)) name.remove_suffix(kLatest.size());
  return name;
}

Error cancelled() {
  return make_error(ErrorCode::kCancelled, "the service ended before the model was loaded");
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

Error not_served(std::string_view name) {
  return make_error(ErrorCode::kNotFound,
                    "model \"{}\" is not served here; the list of models has those that are",
                    base::printable(name));
}

bool is_adapter_name(std::string_view name) {
  return !name.empty() && name.size() <= 128 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-' || c == '/';
  });
}

}  // namespace

bool is_missing(const supply::Store& store, const base::Digest& id) {
  const auto found = store.find_id(id);
  return found.ok() && !found->has_value();
}

bool is_removed(const supply::Store& store, const Origin& origin) {
  const auto is_gone = [&](const Composition& files) {
    return files.in_place.empty() && is_missing(store, files.id);
  };
  return is_gone(origin.files) || (origin.base && is_gone(*origin.base));
}

Error as_asked(const Target& target, Error fault) {
  const Target& of = target.base ? *target.base : target;
  if (!of.stored) return fault;
  const auto store = supply::Store::of_user();
  const bool is_gone = store.ok() && is_missing(*store, of.stored->manifest.id);
  return is_gone ? not_served(target.name) : std::move(fault);
}

uint64_t bytes_of(const Composition& model) {
  uint64_t bytes = 0;
  for (const ComposedFile& file : model.paths) bytes += file.size;
  return bytes;
}

Result<Target> ModelHost::Impl::target(std::string_view name) const {
  const std::string_view bare = without_tag(name);
  LANTERN_ASSIGN(const supply::Store store, supply::Store::of_user());
  std::optional<std::pair<Target, Origin>> named;
  {
    const std::lock_guard lock(shared->mutex);
    for (const auto& [key, slot] : shared->slots) {
      if (!slot->named || (slot->target.name != name && slot->target.name != bare &&
                           (slot->target.adapter || slot->target.reference != bare)))
        continue;
      if (!slot->shown) return slot->target;  // on its way
      named.emplace(slot->target, slot->origin);
      break;
    }
  }
  if (named && !is_removed(store, named->second)) return std::move(named->first);
  if (!options.named_only) {
    auto stored = store.find(bare);
    if (stored.ok()) return target_of(std::move(*stored));
    if (stored.error().code != ErrorCode::kNotFound) return std::move(stored).error();
  }
  return not_served(name);
}

/// Under the shared mutex.
ModelUse ModelHost::Impl::hold(const SlotPtr& slot) {
  ++slot->uses;
  return ModelUse(
      std::shared_ptr<ServedModel>(slot->model.get(), [slot, shared = shared](ServedModel*) {
        const std::lock_guard lock(shared->mutex);
        slot->last_used = SteadyClock::now();
        slot->last_used_at = system_clock::now();
        if (--slot->uses == 0) shared->changed.notify_all();
      }));
}

std::optional<ModelUse> ModelHost::Impl::hold_usable(const std::string& key) {
  const std::lock_guard lock(shared->mutex);
  const auto found = shared->slots.find(key);
  if (found == shared->slots.end() || !found->second->is_usable()) return std::nullopt;
  return hold(found->second);
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
      tell(std::move(waiter.then), as_asked(target, model.error()));
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
  const auto now = SteadyClock::now();
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
    return tell(std::move(waiter.then), hold(slot));
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
    const auto now = SteadyClock::now();
    if (now >= look_at_memory) {
      see_to_memory(now);
      let_removed_go(lock);
    }
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
      return next_to_load() != nullptr || next_to_unload(SteadyClock::now()) != nullptr;
    });
  }
}

SlotPtr ModelHost::Impl::next_to_unload(SteadyClock::time_point now) const {
  for (const auto& [key, slot] : shared->slots)
    if (slot->is_due(now)) return slot;
  const SlotPtr idle = memory_is_short ? longest_idle(false) : nullptr;
  return idle && now - idle->last_used > kTick ? idle : nullptr;
}

/// Where memory is short all first give back what they keep for requests to come; where it still is
/// a tick later, what idles goes. Under the shared mutex.
void ModelHost::Impl::see_to_memory(SteadyClock::time_point now) {
  look_at_memory = now + kTick;
  const bool is_short = available() < kMemoryLeast;
  memory_is_short = is_short && has_trimmed;
  has_trimmed = is_short;
  if (!is_short) return;
  for (const auto& [key, slot] : shared->slots)
    if (slot->phase == Phase::kLoaded) slot->model->trim();
}

/// What has left the store goes once nobody uses it. Gives the lock back meanwhile.
void ModelHost::Impl::let_removed_go(Lock& lock) const {
  std::vector<std::pair<SlotPtr, Origin>> loaded;
  for (const auto& [key, slot] : shared->slots)
    if (slot->phase == Phase::kLoaded && !slot->ending) loaded.emplace_back(slot, slot->origin);
  lock.unlock();
  const auto store = supply::Store::of_user();
  std::erase_if(loaded,
                [&](const auto& one) { return !store.ok() || !is_removed(*store, one.second); });
  lock.lock();
  for (const auto& [slot, origin] : loaded) slot->ending = true;
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
    auto loaded = load_model(slot->target, {.stop = stop});
    if (!loaded.ok()) return as_asked(slot->target, std::move(loaded).error());
    return loaded;
  }();
  lock.lock();
  std::vector<Waiter> waiters = std::exchange(slot->waiters, {});
  std::vector<Result<ModelUse>> uses;
  uses.reserve(waiters.size());
  if (model.ok()) {
    put(slot, std::move(*model));
    for (size_t i = 0; i < waiters.size(); ++i) uses.emplace_back(hold(slot));
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
  slot->origin = {.files = model->composition()};
  if (model->base() != nullptr) slot->origin.base = model->base()->composition();
  slot->model = std::move(model);
  slot->phase = Phase::kLoaded;
  slot->ending = false;
  slot->last_used = SteadyClock::now();
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
    if (slot->is_usable()) return hold(slot);
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
  Result<ModelUse> use = hold(slot);
  // Who asked for it meanwhile has waited for this load.
  const std::vector<Waiter> waiters = std::exchange(slot->waiters, {});
  std::vector<Result<ModelUse>> uses;
  uses.reserve(waiters.size());
  for (size_t w = 0; w < waiters.size(); ++w) uses.emplace_back(hold(slot));
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
  const auto deadline = SteadyClock::now() + options.room_wait_max;
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
    if (SteadyClock::now() >= deadline)
      return make_error(ErrorCode::kExhausted,
                        "{}: there is no room to load it ({} of memory are needed, {} are left), "
                        "and every loaded model is in use; try again later",
                        target.name, base::format_bytes(need), base::format_bytes(available()));
    shared->changed.wait_until(lock, stop, std::min(deadline, SteadyClock::now() + kTick),
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
    slot->keep_alive = kForever;
    if (slot->is_usable()) return hold(slot);
    slot->phase = Phase::kLoading;
  }
  auto model = load_model(target, how);
  const std::lock_guard lock(shared->mutex);
  if (!model.ok()) {
    shared->slots.erase(target.key);
    return std::move(model).error();
  }
  put(slot, std::move(*model));
  return hold(slot);
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
  if (auto use = impl_->hold_usable(target->key)) return then(std::move(*use));
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
  return impl_->hold_usable(target->key);
}

bool ModelHost::keep_for(const ModelUse& use, std::chrono::seconds idle) {
  const std::lock_guard lock(impl_->shared->mutex);
  for (const auto& [key, slot] : impl_->shared->slots) {
    if (slot->model.get() != &*use || slot->named) continue;
    slot->keep_alive = idle;
    return true;
  }
  return false;
}

void ModelHost::let_go(const ModelUse& use) {
  const std::lock_guard lock(impl_->shared->mutex);
  std::string of;
  for (const auto& [key, slot] : impl_->shared->slots)
    if (slot->model.get() == &*use) of = key;
  for (const auto& [key, slot] : impl_->shared->slots)
    if (!of.empty() && (key == of || slot->is_adapter_of(of))) slot->ending = true;
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
