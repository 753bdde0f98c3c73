// What a ModelHost is made of; for model_host*.cc alone.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "gate/caller_decision.h"
#include "gate/model_host.h"
#include "gate/resolve.h"

namespace lantern::gate {

using SteadyClock = std::chrono::steady_clock;
using Then = std::function<void(Result<ModelUse>)>;

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

enum class Phase { kAbsent, kLoading, kLoaded, kUnloading };

struct Waiter {
  ModelHost::UseOptions options;
  Then then;
  SteadyClock::time_point came = SteadyClock::now();
};

/// What was loaded.
struct Origin {
  Composition files = {};
  std::optional<Composition> base = {};  // of an adapter: its model's
};

/// A model that is loaded or wanted.
struct Slot {
  Target target = {};
  bool named = false;
  Phase phase = Phase::kAbsent;
  std::unique_ptr<ServedModel> model = {};
  bool ending = false;  // goes as soon as nobody uses it
  int64_t uses = 0;
  SteadyClock::time_point last_used = {};
  std::chrono::system_clock::time_point since = {}, last_used_at = {};
  std::chrono::seconds keep_alive{};
  std::vector<Waiter> waiters = {};  // whom the door let in
  // Since it was loaded for the first time:
  std::optional<ServableModel> shown = {};
  Origin origin = {};

  [[nodiscard]] bool is_adapter_of(const std::string& key) const {
    return target.base && target.base->key == key;
  }

  [[nodiscard]] bool is_usable() const {
    return phase == Phase::kLoaded && !ending && !model->withdrawn();
  }
  [[nodiscard]] bool is_due(SteadyClock::time_point now) const {
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

/// Whether the store has no model of this id any more.
bool is_missing(const supply::Store& store, const base::Digest& id);
/// Whether something of the store was removed since it was loaded.
bool is_removed(const supply::Store& store, const Origin& origin);
/// What a fault on the way to a model means to who asked for it: a model that was removed meanwhile
/// is not there, whichever of its files was missed first.
Error as_asked(const Target& target, Error fault);
/// Of all its files.
uint64_t bytes_of(const Composition& model);

struct ModelHost::Impl {
  Impl(HostOptions given, Governance governance)
      : options(std::move(given)), decisions(std::move(governance)) {}

  [[nodiscard]] uint64_t available() const {
    return options.available_memory ? options.available_memory() : base::available_memory();
  }
  Result<Target> target(std::string_view name) const;
  void describe_header(const supply::StoredModel& stored, ServableModel& out) const;
  ModelUse hold(const SlotPtr& slot);
  std::optional<ModelUse> hold_usable(const std::string& key);

  void run_door(const std::stop_token& stop);
  Result<Composition> composition(const Target& target, const std::stop_token& stop);
  void let_in(const Target& target, Waiter waiter);

  void tell(Then then, Result<ModelUse> use);
  void run_teller(const std::stop_token& stop);

  using Lock = std::unique_lock<std::mutex>;
  void run_keeper(const std::stop_token& stop);
  void see_to_memory(SteadyClock::time_point now);
  void let_removed_go(Lock& lock) const;
  SlotPtr next_to_unload(SteadyClock::time_point now) const;
  SlotPtr next_to_load() const;
  SlotPtr longest_idle(bool named_too) const;
  void unload(const SlotPtr& slot, Lock& lock);
  void load_wanted(const SlotPtr& slot, Lock& lock, const std::stop_token& stop);
  Result<std::unique_ptr<ServedModel>> load_model(const Target& target, const LoadOptions& how);
  Result<std::unique_ptr<ServedModel>> load_adapter(const Target& target, const LoadOptions& how);
  Result<ModelUse> load_named(const Target& target, const LoadOptions& how);
  Result<ModelUse> use_base(const Target& target, const LoadOptions& how);
  Result<bool> allows(const Origin& origin, const Caller& caller) const;
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
  SteadyClock::time_point look_at_memory = {};
  bool has_trimmed = false;      // as of the last look
  bool memory_is_short = false;  // though all gave back what they kept

  // The door's thread alone:
  std::map<std::string, std::pair<Composition, SteadyClock::time_point>> composed;

  std::mutex teller_mutex;
  std::condition_variable_any heard;
  std::deque<std::pair<Then, Result<ModelUse>>> to_tell;  // under its mutex

  std::jthread door, keeper, teller;
};

}  // namespace lantern::gate
