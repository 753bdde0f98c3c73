// Texts to vectors: a model's states of a text, pooled into one vector and brought to length 1.
//
// A step carries pieces of as many texts as its tokens allow; a decoder's long text comes in
// pieces, an encoder's whole, since its tokens see later ones. Which texts share a step, and where
// a text is cut, changes no bit of a vector (invariant 3): every row of a step stands by itself,
// and pooling adds the states in the order of positions.
//
// An Embedder belongs to one thread at a time: the Scheduler's, or whoever called Engine::embed().
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "arch/pooling.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/fair_shares.h"

namespace lantern::engine {

struct EmbedJob {
  std::vector<std::vector<int32_t>> inputs = {};  // ids of each text, framing tokens included
  std::string user = {};                          // fairness goes by it
  AdapterPtr adapter = {};
  std::stop_token cancel = {};
  /// Called once.
  std::function<void(Result<EmbedResult>)> on_done = {};
};

/// The first `n` numbers of each vector, brought to length 1 again (models of the Matryoshka kind
/// are trained so that they mean much the same). kInvalidArgument where there are fewer.
Status shorten(std::vector<std::vector<float>>& vectors, int64_t n);

class Embedder {
 public:
  /// Texts that are in one step at most: each takes a page of the cache in every layer.
  static constexpr size_t kTextsAtOnce = 16;

  Embedder(Engine::Impl& engine, FairShares& shares);
  ~Embedder();
  Embedder(const Embedder&) = delete;
  Embedder& operator=(const Embedder&) = delete;

  /// kInvalidArgument: no text, an empty one, one that is longer than the context, ids outside the
  /// vocabulary. Safe from any thread.
  static Status check(const Engine::Impl& engine, const EmbedJob& job);
  /// How texts become vectors: as the model says, else by the mean.
  static arch::Pooling pooling(const EngineInfo& info);

  void add(EmbedJob job);
  [[nodiscard]] bool idle() const { return jobs_.empty(); }
  [[nodiscard]] int64_t n_jobs() const { return static_cast<int64_t>(jobs_.size()); }
  void end_cancelled();
  /// Ends all with kCancelled.
  void end_all();

  struct StepOptions {
    int64_t tokens = 0;  // about so many; at least one text, or a piece of one
    /// Frees memory that the cache could do without; false: there is none. May be empty.
    std::function<bool()> make_room = {};
    /// Whether others hold memory that they will give back: what does not fit now waits for it.
    bool may_wait = false;
  };
  /// Gives the tokens that were run.
  int64_t step(const StepOptions& options);

 private:
  struct Job;
  struct Piece;
  Job* next_job();
  bool drop_younger(const Job& job);
  bool add_piece(Job& job, int64_t left, const StepOptions& options);
  Status forward(std::vector<Piece>& pieces);
  void take_in(Piece& piece);
  void end(Job& job, Result<EmbedResult> result);

  Engine::Impl& engine_;
  FairShares& shares_;
  const arch::Pooling pooling_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Piece> pieces_;  // of the step that is being made
  std::vector<float> states_;  // [tokens of the step, n_embd]
};

}  // namespace lantern::engine
