// Several models behind one service: loaded when somebody who may use them asks, unloaded when they
// are idle or when memory is short.
//
//   door     one thread finds out what a model is and whether this caller may use it
//   keeper   one thread loads and unloads; what waits for a load waits for one load
//   teller   one thread calls those who waited
//
// An adapter has a slot of its own beside its model's and uses that while it is loaded: it comes
// after its model and goes before it.
//
// A model that somebody uses is never unloaded: its user holds a ModelUse. Where memory (or
// `models_max`) is short the one that has been idle the longest goes, those that were named at
// the start last; where all are in use, the load waits for a while, then is refused.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gate/admission.h"
#include "gate/served_model.h"

namespace lantern::gate {

inline constexpr std::chrono::seconds kForever{-1};

/// How a model guesses ahead (engine/speculation.h), which changes no answer.
struct GuessOptions {
  std::optional<engine::Speculation> speculation = {};  // absent: as the host's other models
  /// The model that guesses, any reference; empty: none but what the text repeats.
  std::optional<std::string> draft = {};  // absent: as the host's other models

  bool operator==(const GuessOptions&) const = default;
};

struct HostOptions {
  engine::EngineOptions engine = {};  // of each model; its progress is not called
  engine::SchedulerOptions scheduler = {};
  GuessOptions guess = {};
  /// By the reference, the name or the id of a model. A draft that is named here must fit.
  std::map<std::string, GuessOptions, std::less<>> guess_of = {};
  bool paranoid = false;  // as in AdmitOptions
  /// How long a model stays that nobody uses; kForever.
  std::chrono::seconds keep_alive{300};
  int64_t models_max = 0;   // loaded at once; 0: as many as memory has room for
  bool named_only = false;  // those of load() alone, not the others of the store
  /// How long a load waits for a model in use to become idle.
  std::chrono::seconds room_wait_max{30};
  /// Bytes that may still be taken; empty: base::available_memory().
  std::function<uint64_t()> available_memory = {};
};

/// Keeps a model loaded while it, or a copy of it, lives.
class ModelUse {
 public:
  ServedModel& operator*() const { return *model_; }
  ServedModel* operator->() const { return model_.get(); }

 private:
  friend class ModelHost;
  explicit ModelUse(std::shared_ptr<ServedModel> model) : model_(std::move(model)) {}
  std::shared_ptr<ServedModel> model_;  // ends the use, not the model
};

/// A model that is loaded, or on its way; or an adapter of one, whose `stats` are empty: it shares
/// its model's scheduler.
struct LoadedModel {
  std::string name = {};
  std::string parent = {};  // of an adapter: its model's name
  base::Digest id{};
  uint64_t file_bytes = 0;
  uint64_t memory_bytes = 0;  // weights, and the cache that is in use
  int64_t context = 0;
  std::string architecture = {};
  bool is_loading = false;
  bool is_ending = false;
  int64_t uses = 0;  // requests that hold it
  engine::SchedulerStats stats = {};
  std::chrono::system_clock::time_point since = {};
  std::optional<std::chrono::system_clock::time_point> expires = {};  // absent: stays
};

/// A model or an adapter that a caller may ask for, loaded or not.
struct ServableModel {
  std::string name = {};
  std::string parent = {};  // of an adapter: its model's name
  base::Digest id{};
  uint64_t file_bytes = 0;
  std::string architecture = {};  // empty: not known before it is loaded
  std::string licence = {};
  std::optional<int64_t> context = {};  // of a loaded one
  bool is_made_to_embed = false;        // rather than to write
  std::chrono::system_clock::time_point at = {};
};

enum class UnloadWhen { kIdle, kNow };

class ModelHost {
 public:
  /// Errors: Governance::open()'s.
  static Result<std::unique_ptr<ModelHost>> create(HostOptions options);
  /// Ends what the models still run and unloads them; who waits for a load gets kCancelled.
  ~ModelHost();
  ModelHost(const ModelHost&) = delete;
  ModelHost& operator=(const ModelHost&) = delete;

  struct LoadOptions {
    Consent consent = {};
    std::stop_token stop = {};
    base::ProgressOutput hashing = base::ProgressOutput::none();
    std::function<void(std::string_view)> warn = {};  // as in AdmitOptions
    std::function<bool(uint64_t done, uint64_t total)> progress = {};
  };
  /// Loads a model now; any reference (see locate()), which requests may not give. It stays when
  /// idle, and goes last when memory is short. Errors: ServedModel's.
  Result<ModelUse> load(const std::string& reference, const LoadOptions& options);

  /// Likewise an adapter, and its model where that is not loaded; requests may then ask for it by
  /// spec.name. It is loaded again when its model is. Errors: those of load(), and
  /// ServedModel::adapt()'s; kInvalidArgument for a name that is not one, or that something else
  /// has here.
  Result<ModelUse> load_adapter(const AdapterSpec& spec, const LoadOptions& options);

  struct UseOptions {
    Caller caller = {};
    policy::Action action = policy::Action::kChat;
    std::stop_token gone = {};  // whoever asked is not there any more
  };
  /// A model by the name of one that was load()ed, or by name or digits in the store; ":latest" may
  /// follow. Calls `then` once: at once for a model that is loaded, else later from the host's
  /// teller. Errors: kNotFound, kDenied with the rule (recorded), kExhausted where too many wait or
  /// all that is loaded is in use, kCancelled, and those of the load.
  void use(std::string_view name, UseOptions options, std::function<void(Result<ModelUse>)> then);
  /// Only if it is loaded: what is asked of it must not load it.
  [[nodiscard]] std::optional<ModelUse> use_loaded(std::string_view name);
  /// How long the model stays loaded once nobody uses it, instead of what the host says; kForever.
  /// False: it was load()ed, and stays whatever is said.
  bool keep_for(const ModelUse& use, std::chrono::seconds idle);

  [[nodiscard]] std::vector<LoadedModel> loaded() const;
  /// What `caller` may chat with, the named ones first.
  [[nodiscard]] Result<std::vector<ServableModel>> servable(const Caller& caller) const;
  /// One of servable(). kNotFound.
  [[nodiscard]] Result<ServableModel> find(std::string_view name, const Caller& caller) const;
  struct Described {
    ServableModel model = {};
    std::string chat_template = {};
    int64_t n_context_train = 0;
    int64_t n_vocab = 0;
  };
  /// find(), and what the model's header says. Errors: find()'s and inspect()'s.
  [[nodiscard]] Result<Described> describe(std::string_view name, const Caller& caller);
  /// Unloads once nobody uses it, or ends what it answers first. Returns at once; the model comes
  /// back when somebody asks for it. kNotFound: it is not loaded.
  Status unload(std::string_view name, UnloadWhen when);
  /// As unload(kIdle), of a model that has lost its name.
  void let_go(const ModelUse& use);

 private:
  struct Impl;
  explicit ModelHost(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::gate
