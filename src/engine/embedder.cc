#include "engine/embedder.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "engine/answer.h"
#include "engine/engine_impl.h"

namespace lantern::engine {
namespace {

/// `sum` over `n` states as a vector of length 1; of zeros where there is no direction.
std::vector<float> unit_vector(std::span<const double> sum, int64_t n) {
  double squares = 0;
  for (double x : sum) {
    const double mean = x / static_cast<double>(n);
    squares += mean * mean;
  }
  const double length = std::sqrt(squares);
  std::vector<float> out(sum.size());
  for (size_t i = 0; i < out.size() && length > 0; ++i)
    out[i] = static_cast<float>(sum[i] / static_cast<double>(n) / length);
  return out;
}

}  // namespace

Status shorten(std::vector<std::vector<float>>& vectors, int64_t n) {
  for (std::vector<float>& vector : vectors) {
    if (n < 1 || n > std::ssize(vector))
      return make_error(ErrorCode::kInvalidArgument,
                        "dimensions: {} is not from 1 to the model's {}", n, vector.size());
    const std::vector<double> first(vector.begin(), vector.begin() + n);
    vector = unit_vector(first, 1);
  }
  return {};
}

/// A job; its texts run in order, several in one step where they fit.
struct Embedder::Job {
  EmbedJob job;
  FairShares::Share* share = nullptr;
  size_t next = 0;                     // text that is planned next
  std::unique_ptr<Sequence> sequence;  // of that text, where a piece of it ran already
  std::vector<double> sum;             // of its states so far [n_embd]
  bool is_full = false;                // nothing more of it fits the step being made
  size_t n_finished = 0;
  EmbedResult result;
  Stopwatch watch;
};

struct Embedder::Piece {
  Job* job = nullptr;
  size_t text = 0;
  int64_t first = 0, n = 0;  // positions
  std::unique_ptr<Sequence> sequence = {};
  std::vector<double> sum = {};
  const float* states = nullptr;  // [n, n_embd], or the last one's alone
  arch::LogitsWanted wanted = arch::LogitsWanted::kNone;

  [[nodiscard]] std::span<const int32_t> ids() const { return job->job.inputs[text]; }
  [[nodiscard]] bool is_last() const { return first + n == std::ssize(ids()); }
};

Embedder::Embedder(Engine::Impl& engine, FairShares& shares)
    : engine_(engine), shares_(shares), pooling_(pooling(engine.info)) {}

Embedder::~Embedder() { end_all(); }

arch::Pooling Embedder::pooling(const EngineInfo& info) {
  return info.model.pooling == arch::Pooling::kNone ? arch::Pooling::kMean : info.model.pooling;
}

Status Embedder::check(const Engine::Impl& engine, const EmbedJob& job) {
  if (job.inputs.empty()) return make_error(ErrorCode::kInvalidArgument, "input: a text is needed");
  for (size_t i = 0; i < job.inputs.size(); ++i) {
    const auto n = std::ssize(job.inputs[i]);
    if (n == 0) return make_error(ErrorCode::kInvalidArgument, "input[{}]: the text is empty", i);
    if (n > engine.info.context)
      return make_error(ErrorCode::kInvalidArgument,
                        "input[{}]: {} tokens are more than the context of {}; shorten the text", i,
                        n, engine.info.context);
    LANTERN_TRY(engine.check_ids(job.inputs[i]));
  }
  return {};
}

void Embedder::add(EmbedJob job) {
  auto made = std::make_unique<Job>();
  made->share = &shares_.join(job.user);
  made->result.vectors.resize(job.inputs.size());
  for (const auto& ids : job.inputs) made->result.n_tokens += std::ssize(ids);
  made->job = std::move(job);
  jobs_.push_back(std::move(made));
}

void Embedder::end(Job& ending, Result<EmbedResult> result) {
  const auto found = std::ranges::find(jobs_, &ending, &std::unique_ptr<Job>::get);
  const std::unique_ptr<Job> job = std::move(*found);
  jobs_.erase(found);
  shares_.leave(*job->share);
  job->job.on_done(std::move(result));
}

void Embedder::end_cancelled() {
  for (size_t i = jobs_.size(); i-- > 0;)
    if (jobs_[i]->job.cancel.stop_requested())
      end(*jobs_[i], make_error(ErrorCode::kCancelled, "the request was cancelled"));
}

void Embedder::end_all() {
  while (!jobs_.empty())
    end(*jobs_.back(), make_error(ErrorCode::kCancelled, "the service is ending"));
}

/// Whoever was served least, of those who have something left to plan; then the older.
Embedder::Job* Embedder::next_job() {
  Job* next = nullptr;
  for (const auto& job : jobs_) {
    if (job->is_full || job->next == job->job.inputs.size()) continue;
    if (next == nullptr || job->share->time() < next->share->time()) next = job.get();
  }
  return next;
}

/// Takes back what the youngest job after `job` has of a text under way; it is run again later.
bool Embedder::drop_younger(const Job& job) {
  for (size_t i = jobs_.size(); i-- > 0 && jobs_[i].get() != &job;) {
    if (jobs_[i]->sequence == nullptr) continue;
    jobs_[i]->sequence.reset();
    jobs_[i]->sum.clear();
    return true;
  }
  return false;
}

/// Plans the next piece of `job`, `left` tokens long where it can be cut. False: none fits; the job
/// is gone where none ever will.
bool Embedder::add_piece(Job& job, int64_t left, const StepOptions& options) {
  Piece piece{.job = &job, .text = job.next};
  const bool is_new = job.sequence == nullptr;
  if (is_new) job.sequence = std::make_unique<Sequence>(*engine_.kv);
  Sequence& sequence = *job.sequence;
  piece.first = std::ssize(sequence.ids);
  const int64_t missing = std::ssize(piece.ids()) - piece.first;
  const bool whole = engine_.info.model.is_encoder;
  if (whole && missing > left && !pieces_.empty()) {
    job.sequence.reset();
    job.is_full = true;
    return false;
  }
  piece.n = whole ? missing : std::min(missing, left);
  sequence.kv.release_passed(piece.first);
  Status reserved = sequence.kv.reserve(piece.first + piece.n);
  while (!reserved.ok() && ((options.make_room && options.make_room()) || drop_younger(job)))
    reserved = sequence.kv.reserve(piece.first + piece.n);
  if (!reserved.ok()) {
    if (is_new) job.sequence.reset();
    job.is_full = true;
    // The oldest goes on as soon as others have ended; alone it never will.
    if (pieces_.empty() && !options.may_wait && &job == jobs_.front().get())
      end(job, std::move(reserved).error());
    return false;
  }
  job.share->charge(piece.n);
  piece.sequence = std::move(job.sequence);
  piece.sum = std::exchange(job.sum, {});
  if (piece.is_last()) {
    ++job.next;
  } else {
    job.is_full = true;  // its next piece needs this one's keys
  }
  switch (pooling_) {
    case arch::Pooling::kNone:
    case arch::Pooling::kMean:
      piece.wanted = arch::LogitsWanted::kAll;
      break;
    case arch::Pooling::kCls:
      if (piece.first == 0) piece.wanted = arch::LogitsWanted::kAll;
      break;
    case arch::Pooling::kLast:
      if (piece.is_last()) piece.wanted = arch::LogitsWanted::kLast;
      break;
  }
  pieces_.push_back(std::move(piece));
  return true;
}

Status Embedder::forward(std::vector<Piece>& pieces) {
  std::vector<arch::SequenceStep> steps;
  const auto n_embd = engine_.info.model.n_embd;
  int64_t n_tokens = 0;
  for (const Piece& piece : pieces) n_tokens += piece.n;
  if (std::ssize(states_) < n_tokens * n_embd)
    states_.resize(static_cast<size_t>(n_tokens * n_embd));
  float* states = states_.data();
  for (Piece& piece : pieces) {
    piece.states = states;
    steps.push_back({.tokens = piece.ids().subspan(static_cast<size_t>(piece.first),
                                                   static_cast<size_t>(piece.n)),
                     .first_position = piece.first,
                     .kv = piece.sequence->kv.views(),
                     .planned_length = std::ssize(piece.ids()),
                     .adapter = weights_of(piece.job->job.adapter.get()),
                     .wanted = piece.wanted,
                     .states = states});
    states += piece.n * n_embd;
  }
  return engine_.model->forward(engine_.context, steps, engine_.workspace);
}

/// The piece ran: its states into the sum, in the order of positions.
void Embedder::take_in(Piece& piece) {
  const auto n_embd = static_cast<size_t>(engine_.info.model.n_embd);
  piece.sum.resize(n_embd);
  int64_t n_rows = 0;
  if (piece.wanted == arch::LogitsWanted::kLast || pooling_ == arch::Pooling::kCls)
    n_rows = piece.wanted == arch::LogitsWanted::kNone ? 0 : 1;
  else if (piece.wanted == arch::LogitsWanted::kAll)
    n_rows = piece.n;
  for (int64_t row = 0; row < n_rows; ++row) {
    const float* state = piece.states + static_cast<size_t>(row) * n_embd;
    for (size_t i = 0; i < n_embd; ++i) piece.sum[i] += static_cast<double>(state[i]);
  }
  Job& job = *piece.job;
  if (!piece.is_last()) {
    const auto ran =
        piece.ids().subspan(static_cast<size_t>(piece.first), static_cast<size_t>(piece.n));
    piece.sequence->ids.insert(piece.sequence->ids.end(), ran.begin(), ran.end());
    job.sequence = std::move(piece.sequence);
    job.sum = std::move(piece.sum);
    return;
  }
  const int64_t n = pooling_ == arch::Pooling::kMean ? std::ssize(piece.ids()) : 1;
  job.result.vectors[piece.text] = unit_vector(piece.sum, n);
  ++job.n_finished;
}

int64_t Embedder::step(const StepOptions& options) {
  pieces_.clear();
  for (const auto& job : jobs_) job->is_full = false;
  int64_t n_tokens = 0;
  while (pieces_.size() < kTextsAtOnce && n_tokens < options.tokens) {
    Job* job = next_job();
    if (job == nullptr) break;
    if (add_piece(*job, options.tokens - n_tokens, options)) n_tokens += pieces_.back().n;
  }
  if (pieces_.empty()) return 0;
  Status status = forward(pieces_);
  std::vector<std::pair<Job*, Error>> faults;
  if (status.ok()) {
    for (Piece& piece : pieces_) take_in(piece);
  } else {
    // For one text's sake perhaps: each alone, so that the others go on.
    for (Piece& piece : std::exchange(pieces_, {})) {
      std::vector<Piece> alone;
      alone.push_back(std::move(piece));
      Status own = forward(alone);
      if (own.ok())
        take_in(alone.front());
      else
        faults.emplace_back(alone.front().job, std::move(own).error());
    }
  }
  pieces_.clear();
  for (auto& [job, fault] : faults)
    if (std::ranges::find(jobs_, job, &std::unique_ptr<Job>::get) != jobs_.end())
      end(*job, std::move(fault));
  for (size_t i = jobs_.size(); i-- > 0;) {
    Job& job = *jobs_[i];
    if (job.n_finished < job.job.inputs.size()) continue;
    job.result.seconds = job.watch.seconds();
    end(job, std::move(job.result));
  }
  return n_tokens;
}

Result<EmbedResult> Engine::embed(std::vector<std::vector<int32_t>> inputs,
                                  const EmbedOptions& options) {
  EmbedJob job{.inputs = std::move(inputs), .cancel = options.cancel};
  LANTERN_TRY(Embedder::check(*impl_, job));
  std::optional<Result<EmbedResult>> result;
  job.on_done = [&](Result<EmbedResult> done) { result.emplace(std::move(done)); };
  FairShares shares;
  Embedder embedder(*impl_, shares);
  embedder.add(std::move(job));
  while (!embedder.idle()) {
    embedder.end_cancelled();
    embedder.step({.tokens = options.chunk > 0 ? options.chunk : kUsualChunk});
  }
  return std::move(*result);
}

}  // namespace lantern::engine
