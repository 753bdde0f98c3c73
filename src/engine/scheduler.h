// Many requests through one model at once: continuous batching.
//
// One thread owns the engine. Each step carries the next token of every answer under way and, as
// far as `step_tokens` and `step_time_max` go, pieces of prompts that are not through yet; a
// request enters as soon as there is a place and its pages fit, and leaves when it ends. Places and
// prompt tokens are shared out by user: the one who was served least so far is next (FairShares; a
// higher priority goes first), so no user starves another. Who holds every place does not keep it:
// a request that has waited for `patience` takes one from the user with the most places, where that
// one has two more than its own user, or from one who has as good as its own and was served a
// slice of tokens more. Where the cache's memory ends in the middle of answers, the youngest of the
// lowest priority makes room. What lost its place goes back to the queue and its ids are run again
// later, as far as the prefix cache does not have them.
//
// An answer has the bits that it would have alone (invariant 3).
//
// THREADS. submit(), drain(), trim(), stats(), info() and text() may be called from any thread.
// What a request calls is called from the scheduler's thread, never after its on_done; it must
// neither block, nor throw, nor call the scheduler.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "engine/embedder.h"
#include "engine/engine.h"

namespace lantern::engine {

struct SchedulerOptions {
  int64_t sequences_max = 16;  // answers under way at once, 1 to 256
  int64_t queue_max = 256;     // requests that wait; more are refused
  int64_t step_tokens = 512;   // tokens of a step at most (decoding first, then prompts)
  /// What a piece of a prompt may hold up the others' next tokens.
  std::chrono::milliseconds step_time_max{150};
  /// How long a request waits before it takes the place of one of a user who has more.
  std::chrono::milliseconds patience{1000};
  /// How long a request waits for others of a higher priority before it counts as one of them, to
  /// its end; one at a time.
  std::chrono::milliseconds starving{10'000};
  /// Of prefixes kept for requests to come, within what the engine's cache has; 0: none are.
  uint64_t cache_bytes = uint64_t{1} << 30;
  Speculation speculation = Speculation::kAuto;  // of requests that do not say another
};

struct ServeRequest {
  Prompt prompt = {};
  GenerateOptions options = {};  // chunk and beside are not read; cancel ends it within a step
  std::string user = {};         // fairness goes by it
  int priority = 0;              // higher first
  /// Requests of the same scope, a user's or a group's, may share the cache of a prefix that they
  /// have in common; those of different ones never do. Empty: with nobody.
  std::string cache_scope = {};
  /// Called once: generate()'s result, or an error that came up on the way (memory for the cache
  /// though nothing else runs, logits that are not finite, a model that was withdrawn).
  std::function<void(Result<GenerateResult>)> on_done = {};
};

struct SchedulerStats {
  int64_t running = 0;
  int64_t waiting = 0;
  uint64_t kv_bytes_in_use = 0;
  uint64_t cache_bytes = 0;  // of these, in the prefix cache; sequences that run may share them
  // Since the start:
  uint64_t requests = 0;   // taken
  uint64_t refused = 0;    // for a full queue, or while draining
  uint64_t ended = 0;      // answered, errors and cancelled ones too
  uint64_t preempted = 0;  // times that an answer made room for another
  uint64_t steps = 0;
  uint64_t prompt_tokens = 0;  // run; those run again after making room too
  uint64_t cached_tokens = 0;  // of prompts, not run
  uint64_t generated_tokens = 0;
  uint64_t guessed_tokens = 0;  // run before they were drawn
  uint64_t kept_tokens = 0;     // of these, those that were drawn then
};

class Scheduler {
 public:
  /// kInvalidArgument for options out of bounds, kExhausted memory or threads.
  static Result<std::unique_ptr<Scheduler>> start(Engine engine, const SchedulerOptions& options);
  /// Ends what runs and waits: each gets its answer so far, kCancelled.
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  [[nodiscard]] const EngineInfo& info() const;
  [[nodiscard]] const TextIo& text() const;
  /// Prompts for submit(); safe from any thread as the engine's own raw_prompt(), user_prompt() and
  /// chat_prompt() are, which use the text side alone.
  [[nodiscard]] const Engine& engine() const;

  /// Errors at once, without on_done: generate()'s for options and prompt, kExhausted where the
  /// queue is full or drain() was called.
  Status submit(ServeRequest request);
  /// Embeddings, between the answers' steps. Errors at once, without on_done: Engine::embed()'s for
  /// the inputs, kExhausted as above. on_done's: Engine::embed()'s others.
  Status submit(EmbedJob job);
  /// Takes no more requests and waits until all that were taken have ended, at most `limit`. True:
  /// they have.
  bool drain(std::chrono::milliseconds limit);
  /// Gives the machine back, soon, what only requests to come would use: kept prefixes and pages.
  void trim();
  [[nodiscard]] SchedulerStats stats() const;

 private:
  struct Impl;
  explicit Scheduler(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::engine
