// The loop: arrivals in, cancelled ones out, admission, one step, its tokens out.
#include "engine/scheduler.h"

#include <algorithm>
#include <climits>
#include <cmath>
#include <condition_variable>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "engine/answer.h"
#include "engine/engine_impl.h"
#include "engine/fair_shares.h"
#include "engine/prefix_cache.h"
#include "engine/step_pace.h"

namespace lantern::engine {
namespace {

constexpr int64_t kSequencesMax = 256;
constexpr int64_t kQueueMax = 1 << 20;
constexpr int64_t kStepTokensMax = 1 << 16;
/// Where users are more than places, one who has a place keeps it for so many tokens more than one
/// who has none: what is run again when it comes back is little beside them.
constexpr int64_t kSliceTokens = 256;
/// Whoever is told to come back later is told to within so long.
constexpr int64_t kRetryMax_s = 60;

/// A request from submit() to on_done.
struct Request {
  std::unique_ptr<Answer> answer;
  std::function<void(Result<GenerateResult>)> on_done;
  std::string user;
  PrefixCache::Scope scope;  // no name: none
  int priority = 0;
  int64_t planned_length = 0;
  uint64_t order = 0;                  // of submission
  FairShares::Share* share = nullptr;  // from when the scheduler's thread has seen it
  bool charged = false;                // its prompt, to the share
  Stopwatch waiting = {};              // since it came, or lost its place
  bool lifted = false;                 // its priority, because it had waited for too long
};

/// A request that has a place.
struct Running {
  Running(std::unique_ptr<Request> given, Engine::Impl& engine)
      : request(std::move(given)),
        sequence(*engine.kv),
        speculator(engine.speculator(*request->answer)) {}

  std::unique_ptr<Request> request;
  Sequence sequence;
  std::optional<Speculator> speculator;
  PrefixCache::Position position;
  int64_t n_cached = 0;     // of sequence.ids
  bool is_planned = false;  // in the step that is being made
  bool is_decoding = false;
  std::vector<int32_t> tokens;  // of it in that step: of missing(), and guesses of what follows
  int64_t n_guessed = 0;        // of these
  int64_t n_drawn = 0;          // with their logits
  float* logits = nullptr;      // [1 + n_guessed, n_vocab], where the step completes ids()

  [[nodiscard]] std::span<const int32_t> missing() const {
    return request->answer->ids().subspan(sequence.ids.size());
  }
  [[nodiscard]] std::span<const int32_t> guesses() const {
    return std::span(tokens).last(static_cast<size_t>(n_guessed));
  }
};

/// Higher priority first, then the older.
bool goes_before(const Request& a, const Request& b) {
  return a.priority != b.priority ? a.priority > b.priority : a.order < b.order;
}

/// Higher priority first, then whoever was served least, then the older.
bool is_next(const Request& a, const Request& b) {
  if (a.priority != b.priority) return a.priority > b.priority;
  if (a.share->time() != b.share->time()) return a.share->time() < b.share->time();
  return a.order < b.order;
}

Status check(const SchedulerOptions& o) {
  auto outside = [](std::string_view option, int64_t value, int64_t most) {
    return make_error(ErrorCode::kInvalidArgument, "{}: {} is not from 1 to {}", option, value,
                      most);
  };
  if (o.sequences_max < 1 || o.sequences_max > kSequencesMax)
    return outside("sequences_max", o.sequences_max, kSequencesMax);
  if (o.queue_max < 1 || o.queue_max > kQueueMax)
    return outside("queue_max", o.queue_max, kQueueMax);
  if (o.step_tokens < 1 || o.step_tokens > kStepTokensMax)
    return outside("step_tokens", o.step_tokens, kStepTokensMax);
  if (o.step_time_max.count() < 1)
    return make_error(ErrorCode::kInvalidArgument, "step_time_max: {} ms is not 1 or more",
                      o.step_time_max.count());
  return {};
}

}  // namespace

struct Scheduler::Impl {
  Impl(Engine made, const SchedulerOptions& given)
      : engine(std::move(made)),
        impl(*engine.impl_),
        options(given),
        pace(given.step_tokens, given.step_time_max),
        cache(given.cache_bytes),
        embedder(impl, shares),
        logits(static_cast<size_t>((given.sequences_max + kGuessesMax) * impl.info.model.n_vocab)) {
  }

  void loop();
  bool take_arrivals();
  void end_cancelled();
  void end_all();
  void admit();
  void lift_who_starves();
  [[nodiscard]] bool fits(const Request& request) const;
  Running* must_yield_to(const Request& request);
  void embed();
  [[nodiscard]] Status check_queue();
  void step();
  void plan(std::vector<Running*>& planned);
  void guess(std::span<Running* const> decoding);
  bool reserve(Running& running, int64_t n_tokens);
  void look_up(Running& running);
  Running* last_to_keep();
  void make_room(Running& victim);
  Status forward(std::span<Running* const> planned);
  void run_alone(std::span<Running* const> planned);
  void take_in(std::span<Running* const> planned);
  bool deliver(Running& running);
  void end(std::unique_ptr<Request> request, Result<GenerateResult> result);
  void end(Running& running, Result<GenerateResult> result);
  void trim();
  void publish();

  Engine engine;
  Engine::Impl& impl;
  SchedulerOptions options;

  // The scheduler's thread alone:
  StepPace pace;
  FairShares shares;
  PrefixCache cache;
  Embedder embedder;
  std::vector<std::unique_ptr<Request>> waiting;
  std::vector<std::unique_ptr<Running>> running;
  std::vector<float> logits;  // [sequences_max + kGuessesMax, n_vocab]
  std::vector<arch::SequenceStep> steps;
  SchedulerStats counted;                   // by this thread
  std::optional<Stopwatch> since_last_end;  // since there was something to do without a pause
  double seconds_between_ends = 0;          // of late

  mutable std::mutex mutex;
  std::condition_variable arrived;
  std::condition_variable emptied;
  // Under the mutex:
  std::vector<std::unique_ptr<Request>> arrivals;
  std::vector<EmbedJob> embed_arrivals;
  SchedulerStats shown;
  int64_t retry_after_s = 1;
  uint64_t submitted = 0;
  uint64_t refused = 0;
  bool draining = false;
  bool stopping = false;
  bool trim_wanted = false;

  std::thread thread;
};

void Scheduler::Impl::loop() {
  while (take_arrivals()) {
    trim();
    end_cancelled();
    admit();
    publish();
    embed();
    step();
    publish();
  }
  end_all();
  publish();
}

/// Waits where there is nothing to do. False: the end.
bool Scheduler::Impl::take_arrivals() {
  std::vector<std::unique_ptr<Request>> taken;
  std::vector<EmbedJob> jobs;
  {
    std::unique_lock lock(mutex);
    arrived.wait(lock, [&] {
      return stopping || trim_wanted || !arrivals.empty() || !embed_arrivals.empty() ||
             !waiting.empty() || !running.empty() || !embedder.idle();
    });
    if (waiting.empty() && running.empty() && embedder.idle()) since_last_end.emplace();
    taken.swap(arrivals);
    jobs.swap(embed_arrivals);
    shown.waiting += std::ssize(taken) + std::ssize(jobs);
    if (stopping) {
      for (auto& request : taken) waiting.push_back(std::move(request));
      for (auto& job : jobs) embedder.add(std::move(job));
      return false;
    }
  }
  for (auto& job : jobs) embedder.add(std::move(job));
  for (auto& request : taken) {
    request->share = &shares.join(request->user);
    waiting.push_back(std::move(request));
  }
  return true;
}

void Scheduler::Impl::trim() {
  {
    const std::lock_guard lock(mutex);
    if (!std::exchange(trim_wanted, false)) return;
  }
  while (cache.evict()) {
  }
  uint64_t bytes = impl.kv->release_kept();
  if (impl.draft) bytes += impl.draft->impl_->kv->release_kept();
  if (bytes > 0) base::release_free_memory();
}

void Scheduler::Impl::publish() {
  std::lock_guard lock(mutex);
  shown = counted;
  shown.running = std::ssize(running);
  shown.waiting = std::ssize(waiting) + embedder.n_jobs();
  shown.kv_bytes_in_use = impl.kv->bytes_in_use();
  shown.cache_bytes = cache.bytes();
  retry_after_s =
      std::clamp(static_cast<int64_t>(std::ceil(seconds_between_ends)), int64_t{1}, kRetryMax_s);
  if (running.empty() && shown.waiting == 0 && arrivals.empty() && embed_arrivals.empty())
    emptied.notify_all();
}

void Scheduler::Impl::end(std::unique_ptr<Request> request, Result<GenerateResult> result) {
  if (request->share != nullptr) shares.leave(*request->share);
  ++counted.ended;
  if (since_last_end) {
    const double seconds = since_last_end->seconds();
    seconds_between_ends += (seconds - seconds_between_ends) / (seconds_between_ends == 0 ? 1 : 4);
  }
  since_last_end.emplace();
  request->on_done(std::move(result));
}

/// `running` is gone afterwards, its pages given back.
void Scheduler::Impl::end(Running& ending, Result<GenerateResult> result) {
  auto request = std::move(ending.request);
  cache.leave(ending.position, ending.sequence);
  std::erase_if(running, [&](const auto& r) { return r.get() == &ending; });
  end(std::move(request), std::move(result));
}

void Scheduler::Impl::end_cancelled() {
  embedder.end_cancelled();
  for (size_t i = running.size(); i-- > 0;) {
    Answer& answer = *running[i]->request->answer;
    if (!answer.cancel_wanted()) continue;
    answer.cancel();
    end(*running[i], answer.take());
  }
  std::vector<std::unique_ptr<Request>> cancelled;
  std::erase_if(waiting, [&](auto& request) {
    if (!request->answer->cancel_wanted()) return false;
    cancelled.push_back(std::move(request));
    return true;
  });
  for (auto& request : cancelled) {
    request->answer->cancel();
    auto result = request->answer->take();
    end(std::move(request), std::move(result));
  }
}

void Scheduler::Impl::end_all() {
  embedder.end_all();
  while (!running.empty()) {
    Answer& answer = *running.back()->request->answer;
    answer.cancel();
    end(*running.back(), answer.take());
  }
  for (auto& request : std::exchange(waiting, {})) {
    request->answer->cancel();
    auto result = request->answer->take();
    end(std::move(request), std::move(result));
  }
}

/// Whether all that run and `request` have memory for what they have to run and a page more each,
/// so that none must make room at once. Alone anything may try.
bool Scheduler::Impl::fits(const Request& request) const {
  if (running.empty()) return true;
  auto needed = [&](const Request& r) {
    return impl.kv->bytes_for(std::ssize(r.answer->ids()) + kernels::kKvPagePositions);
  };
  uint64_t bytes = needed(request);
  for (const auto& r : running) bytes += needed(*r->request);
  return impl.kv->may_hold(bytes);
}

/// Priorities are strict, so others of a higher one could keep a request waiting for ever: one at a
/// time, the one that has waited longest and for too long, goes on as of the highest, to its end.
void Scheduler::Impl::lift_who_starves() {
  int highest = INT_MIN;
  for (const auto& r : running) {
    if (r->request->lifted) return;
    highest = std::max(highest, r->request->priority);
  }
  for (const auto& request : waiting) {
    if (request->lifted) return;
    highest = std::max(highest, request->priority);
  }
  const double too_long = std::chrono::duration<double>(options.starving).count();
  Request* longest = nullptr;
  for (const auto& request : waiting) {
    const double seconds = request->waiting.seconds();
    if (request->priority < highest && seconds >= too_long &&
        (longest == nullptr || seconds > longest->waiting.seconds()))
      longest = request.get();
  }
  if (longest == nullptr) return;
  longest->lifted = true;
  longest->priority = highest;
}

void Scheduler::Impl::admit() {
  lift_who_starves();
  while (!waiting.empty()) {
    const auto next = std::ranges::min_element(
        waiting, [](const auto& a, const auto& b) { return is_next(*a, *b); });
    // Nobody overtakes it for being shorter, or it might wait for ever.
    if (std::ssize(running) >= options.sequences_max || !fits(**next)) {
      Running* const victim = must_yield_to(**next);
      if (victim == nullptr) return;
      make_room(*victim);
      continue;
    }
    auto request = std::move(*next);
    waiting.erase(next);
    request->answer->begin();
    running.push_back(std::make_unique<Running>(std::move(request), impl));
    Running& entered = *running.back();
    Request& of = *entered.request;
    if (!of.scope.name.empty() && options.cache_bytes > 0) {
      entered.position = cache.enter(of.scope);
      look_up(entered);
    }
    if (!std::exchange(of.charged, true)) of.share->charge(std::ssize(entered.missing()));
  }
}

/// Whose place `request`, the next of those that wait, may take: its user is the one who has the
/// most, and the request the youngest of the lowest priority. Null: it waits on. Whoever loses a
/// place comes after it, and has no claim to take it back, so places do not go to and fro.
Running* Scheduler::Impl::must_yield_to(const Request& request) {
  if (request.waiting.seconds() < std::chrono::duration<double>(options.patience).count())
    return nullptr;
  const auto places = [&](const FairShares::Share* share) {
    return std::ranges::count_if(running,
                                 [&](const auto& r) { return r->request->share == share; });
  };
  Running* found = nullptr;
  for (const auto& r : running) {
    const Request& other = *r->request;
    if (other.priority > request.priority || !is_next(request, other)) continue;
    if (other.priority == request.priority) {
      const auto own = places(request.share), its = places(other.share);
      const bool has_slice = own == 0 && other.share != request.share &&
                             other.share->time() - request.share->time() >= kSliceTokens;
      if (its < own + 2 && !has_slice) continue;
    }
    const auto rank = [&](const Request& of) {
      return std::tuple(-of.priority, places(of.share), of.order);
    };
    if (found == nullptr || rank(other) > rank(*found->request)) found = r.get();
  }
  return found;
}

/// What the cache has of its prompt; more may have come since the last time, from one that has the
/// same prefix and was first.
void Scheduler::Impl::look_up(Running& r) {
  if (std::ssize(r.sequence.ids) % kernels::kKvPagePositions != 0) return;
  const int64_t gained = cache.advance(r.position, r.request->answer->ids(), r.sequence);
  r.n_cached = r.sequence.ids.empty() ? 0 : r.n_cached + gained;
  r.request->answer->set_cached(r.n_cached);
  counted.cached_tokens += static_cast<uint64_t>(gained);
}

/// The one whose place is given up first.
Running* Scheduler::Impl::last_to_keep() {
  Running* last = running.front().get();
  for (const auto& r : running)
    if (goes_before(*last->request, *r->request)) last = r.get();
  return last;
}

/// Back to the queue; its pages become free, or the cache's to evict. It keeps its age, and what it
/// has drawn.
void Scheduler::Impl::make_room(Running& victim) {
  ++counted.preempted;
  cache.leave(victim.position, victim.sequence);
  victim.request->waiting = {};
  waiting.push_back(std::move(victim.request));
  std::erase_if(running, [&](const auto& r) { return r.get() == &victim; });
}

/// Pages for its next tokens. False: it is not running any more.
bool Scheduler::Impl::reserve(Running& wanting, int64_t n_tokens) {
  const auto first = std::ssize(wanting.sequence.ids);
  wanting.sequence.kv.release_passed(first);
  for (;;) {
    Status reserved = wanting.sequence.kv.reserve(first + n_tokens);
    if (reserved.ok()) return true;
    if (cache.evict() || cache.drop_windowed()) continue;
    if (running.size() == 1) {
      end(wanting, std::move(reserved).error());
      return false;
    }
    Running* victim = last_to_keep();
    const bool itself = victim == &wanting;
    make_room(*victim);
    if (itself) return false;
  }
}

/// What the step carries: all that are decoding, then prompts, those served least first.
void Scheduler::Impl::plan(std::vector<Running*>& planned) {
  std::vector<Running*> decoding, prompts;
  for (const auto& r : running) {
    r->is_planned = false;
    r->is_decoding = r->missing().size() == 1 && r->request->answer->n_drawn() > 0;
    (r->is_decoding ? decoding : prompts).push_back(r.get());
  }
  auto by = [](auto less) {
    return [less](const Running* a, const Running* b) { return less(*a->request, *b->request); };
  };
  std::ranges::sort(decoding, by(goes_before));
  std::ranges::sort(prompts, by(is_next));
  auto is_running = [&](const Running* r) {
    return std::ranges::any_of(running, [&](const auto& other) { return other.get() == r; });
  };
  auto add = [&](Running* r, int64_t n) {
    if (!reserve(*r, n)) return;
    const auto tokens = r->missing().first(static_cast<size_t>(n));
    r->tokens.assign(tokens.begin(), tokens.end());
    r->n_guessed = 0;
    r->is_planned = true;
  };
  for (Running* r : decoding)
    if (is_running(r)) add(r, 1);
  int64_t left = pace.prompt_tokens(std::ssize(decoding));
  for (Running* r : prompts) {
    if (left == 0) break;
    if (!is_running(r)) continue;
    look_up(*r);
    const int64_t n = std::min({left, std::ssize(r->missing()), kUsualChunk});
    left -= n;
    add(r, n);
  }
  for (const auto& r : running)
    if (r->is_planned) planned.push_back(r.get());
  // With a piece of a prompt the step's arithmetic is what takes its time: no token is for nothing.
  if (std::ranges::all_of(planned, [](const Running* r) { return r->is_decoding; })) guess(planned);
}

/// Guesses behind the tokens of answers that are decoding, as far as rows of logits are left and
/// without taking a page for them.
void Scheduler::Impl::guess(std::span<Running* const> decoding) {
  std::vector<Offer> offers;
  std::vector<int64_t> always(decoding.size(), 0);
  int64_t n_rows = options.sequences_max + kGuessesMax - std::ssize(decoding);
  const double alone = impl.costs.seconds(std::ssize(decoding));
  const double ids_per_second = alone > 0 ? static_cast<double>(decoding.size()) / alone : 0;
  for (size_t i = 0; i < decoding.size(); ++i) {
    Running& r = *decoding[i];
    offers.push_back({});
    if (!r.speculator) continue;
    const Answer& answer = *r.request->answer;
    const int64_t n_max = std::min({kGuessesMax, n_rows, answer.left() - 1,
                                    r.sequence.kv.positions() - std::ssize(answer.ids())});
    offers.back() = r.speculator->offer(answer.ids(), n_max, ids_per_second);
    if (answer.options().speculation != Speculation::kAlways) continue;
    always[i] = std::exchange(offers.back().n, 0);
    n_rows -= always[i];
  }
  const auto chosen = choose_guesses(impl.costs, offers, n_rows);
  bool one_catches_up = false;
  for (size_t i = 0; i < decoding.size(); ++i) {
    Running& r = *decoding[i];
    if (!r.speculator) continue;
    // One at a time takes in a prompt, so that the others wait for no more than a piece of it.
    const int64_t n = always[i] + chosen[i];
    if (n > 0 && r.speculator->is_behind() && std::exchange(one_catches_up, true)) continue;
    const auto guessed = r.speculator->guess(n);
    r.tokens.insert(r.tokens.end(), guessed.begin(), guessed.end());
    r.n_guessed = std::ssize(guessed);
  }
}

Status Scheduler::Impl::forward(std::span<Running* const> planned) {
  steps.clear();
  float* rows = logits.data();
  for (Running* r : planned) {
    const bool last = std::ssize(r->missing()) <= std::ssize(r->tokens);
    const int64_t n_rows = last ? 1 + r->n_guessed : 0;
    r->logits = last ? std::exchange(rows, rows + n_rows * impl.info.model.n_vocab) : nullptr;
    steps.push_back({.tokens = r->tokens,
                     .first_position = std::ssize(r->sequence.ids),
                     .kv = r->sequence.kv.views(),
                     .planned_length = r->request->planned_length,
                     .adapter = weights_of(r->request->answer->options().adapter.get()),
                     .wanted = !last              ? arch::LogitsWanted::kNone
                               : r->n_guessed > 0 ? arch::LogitsWanted::kAll
                                                  : arch::LogitsWanted::kLast,
                     .logits = r->logits});
  }
  return impl.model->forward(impl.context, steps, impl.workspace);
}

/// A step failed, for one sequence's sake perhaps: each alone, so that the others go on. What was
/// written already is written again with the same bits.
void Scheduler::Impl::run_alone(std::span<Running* const> planned) {
  for (Running* r : planned) {
    Status status = forward(std::span(&r, 1));
    if (status.ok()) {
      take_in(std::span(&r, 1));
    } else {
      end(*r, std::move(status).error());
    }
  }
}

/// The step is done: ids into the sequences, the next ones drawn and delivered, as many as were
/// guessed right and one.
void Scheduler::Impl::take_in(std::span<Running* const> planned) {
  std::vector<Running*> drawing;
  for (Running* r : planned) {
    const auto run =
        std::span(r->tokens).first(r->tokens.size() - static_cast<size_t>(r->n_guessed));
    r->sequence.ids.insert(r->sequence.ids.end(), run.begin(), run.end());
    r->n_drawn = 0;
    if (r->logits != nullptr) {
      drawing.push_back(r);
    } else {
      cache.extend(r->position, r->sequence);
    }
  }
  const auto n_vocab = static_cast<size_t>(impl.info.model.n_vocab);
  while (!drawing.empty()) {
    impl.pool->threads().parallel_for(std::ssize(drawing), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Running& r = *drawing[static_cast<size_t>(i)];
        const float* row = r.logits + static_cast<size_t>(r.n_drawn) * n_vocab;
        r.request->answer->draw(std::span(row, n_vocab));
      }
    });
    std::erase_if(drawing, [&](Running* r) { return !deliver(*r); });
  }
}

/// The id drawn last. True: it was guessed, so that the next row of logits holds too.
bool Scheduler::Impl::deliver(Running& r) {
  Answer& answer = *r.request->answer;
  r.request->share->charge(1);
  ++counted.generated_tokens;
  answer.deliver();
  if (answer.follows(r.guesses(), r.n_drawn)) {
    r.sequence.ids.push_back(answer.ids().back());
    ++r.n_drawn;
    return true;
  }
  cache.extend(r.position, r.sequence);
  answer.count_guesses(r.n_guessed, r.n_drawn);
  counted.guessed_tokens += static_cast<uint64_t>(r.n_guessed);
  counted.kept_tokens += static_cast<uint64_t>(r.n_drawn);
  if (r.speculator && r.is_decoding) r.speculator->record(r.n_guessed, r.n_drawn);
  if (answer.ended()) end(r, answer.take());
  return false;
}

/// A step of embeddings, as short as a piece of a prompt where answers are under way.
void Scheduler::Impl::embed() {
  if (embedder.idle()) return;
  const auto turn = impl.pool->take_turn();
  const int64_t before = embedder.n_jobs();
  const int64_t n_tokens = embedder.step(
      {.tokens = running.empty() ? options.step_tokens : pace.prompt_tokens(std::ssize(running)),
       .make_room = [&] { return cache.evict() || cache.drop_windowed(); },
       .may_wait = !running.empty()});
  counted.prompt_tokens += static_cast<uint64_t>(n_tokens);
  counted.ended += static_cast<uint64_t>(before - embedder.n_jobs());
  if (n_tokens > 0) ++counted.steps;
}

void Scheduler::Impl::step() {
  if (running.empty()) return;
  // Planning may run a draft model.
  const auto turn = impl.pool->take_turn();
  std::vector<Running*> planned;
  plan(planned);
  if (planned.empty()) return;
  const Stopwatch watch;
  Status status = forward(planned);
  const double seconds = watch.seconds();
  int64_t n_tokens = 0;
  bool only_decoding = true;
  for (const Running* r : planned) {
    n_tokens += std::ssize(r->tokens);
    only_decoding = only_decoding && r->is_decoding;
    if (!r->is_decoding) counted.prompt_tokens += r->tokens.size();
  }
  ++counted.steps;
  if (status.ok()) {
    pace.record(n_tokens, seconds);
    if (only_decoding) impl.costs.record(n_tokens, seconds);
    take_in(planned);
  } else if (planned.size() == 1) {
    end(*planned.front(), std::move(status).error());
  } else {
    run_alone(planned);
  }
}

Scheduler::Scheduler(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<Scheduler>> Scheduler::start(Engine engine,
                                                    const SchedulerOptions& options) {
  LANTERN_TRY(check(options));
  try {
    auto impl = std::make_unique<Impl>(std::move(engine), options);
    impl->thread = std::thread([raw = impl.get()] { raw->loop(); });
    return std::unique_ptr<Scheduler>(new Scheduler(std::move(impl)));
  } catch (const std::bad_alloc&) {
    return make_error(ErrorCode::kExhausted, "not enough memory for {} sequences at once",
                      options.sequences_max);
  } catch (const std::system_error& error) {
    return make_error(ErrorCode::kExhausted, "no thread for the scheduler: {}", error.what());
  }
}

Scheduler::~Scheduler() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  impl_->arrived.notify_all();
  impl_->thread.join();
}

const EngineInfo& Scheduler::info() const { return impl_->engine.info(); }
const TextIo& Scheduler::text() const { return impl_->engine.text(); }
const Engine& Scheduler::engine() const { return impl_->engine; }

/// kExhausted where one more may not wait. Under the mutex.
Status Scheduler::Impl::check_queue() {
  const auto n_here = shown.waiting + std::ssize(arrivals) + std::ssize(embed_arrivals);
  // Of these, so many have a place as soon as this thread's next step is made.
  const int64_t n_free = std::max<int64_t>(0, options.sequences_max - shown.running);
  const int64_t n_waiting = std::max<int64_t>(0, n_here - n_free);
  if (!draining && n_here < options.queue_max + n_free) return {};
  ++refused;
  if (draining) return make_error(ErrorCode::kExhausted, "the service is ending and takes no more");
  return make_error(
      ErrorCode::kExhausted,
      "{} answers are under way and {} requests wait, as many as may; retry after {} s",
      shown.running + n_here - n_waiting, n_waiting, retry_after_s);
}

Status Scheduler::submit(EmbedJob job) {
  if (!job.on_done) return make_error(ErrorCode::kInvalidArgument, "a request has no on_done");
  LANTERN_TRY(Embedder::check(impl_->impl, job));
  {
    std::lock_guard lock(impl_->mutex);
    LANTERN_TRY(impl_->check_queue());
    ++impl_->submitted;
    impl_->embed_arrivals.push_back(std::move(job));
  }
  impl_->arrived.notify_one();
  return {};
}

Status Scheduler::submit(ServeRequest request) {
  if (!request.on_done) return make_error(ErrorCode::kInvalidArgument, "a request has no on_done");
  // Samplers of a step run beside each other in the pool, so each by itself runs on one thread.
  const kernels::Context context{.isa = impl_->impl.context.isa, .pool = nullptr};
  if (request.options.speculation == Speculation::kAuto)
    request.options.speculation = impl_->options.speculation;
  auto made = std::make_unique<Request>();
  made->planned_length = impl_->impl.planned_length(request.prompt, request.options);
  LANTERN_ASSIGN(made->answer,
                 Answer::create(impl_->impl, context, request.prompt, std::move(request.options)));
  made->on_done = std::move(request.on_done);
  made->user = std::move(request.user);
  const int64_t long_after = impl_->impl.info.model.long_rope_after;
  const AdapterPtr& adapter = made->answer->options().adapter;
  made->scope = {.name = std::move(request.cache_scope),
                 .long_rope = long_after > 0 && made->planned_length > long_after,
                 .adapter = adapter ? adapter->key : base::Digest{}};
  made->priority = request.priority;
  {
    std::lock_guard lock(impl_->mutex);
    LANTERN_TRY(impl_->check_queue());
    made->order = impl_->submitted++;
    impl_->arrivals.push_back(std::move(made));
  }
  impl_->arrived.notify_one();
  return {};
}

void Scheduler::trim() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->trim_wanted = true;
  }
  impl_->arrived.notify_one();
}

bool Scheduler::drain(std::chrono::milliseconds limit) {
  std::unique_lock lock(impl_->mutex);
  impl_->draining = true;
  return impl_->emptied.wait_for(lock, limit, [&] {
    return impl_->arrivals.empty() && impl_->embed_arrivals.empty() && impl_->shown.waiting == 0 &&
           impl_->shown.running == 0;
  });
}

SchedulerStats Scheduler::stats() const {
  std::lock_guard lock(impl_->mutex);
  SchedulerStats stats = impl_->shown;
  stats.waiting += std::ssize(impl_->arrivals) + std::ssize(impl_->embed_arrivals);
  stats.requests = impl_->submitted;
  stats.refused = impl_->refused;
  return stats;
}

}  // namespace lantern::engine
