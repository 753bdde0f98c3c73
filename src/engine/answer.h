// One answer under way: everything of a request but its cache. Engine::generate() and the
// Scheduler drive it alike, so there is one way of generating:
//
//   until all of ids() is in the cache: run what is missing, with the last one's logits
//   draw(logits)   the next id; touches this answer alone, so that a pool may draw many at once
//   deliver()      its text to the caller, and whether the answer ends here
//   take()         the result, once ended()
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "engine/logprobs.h"
#include "engine/sampler.h"
#include "engine/stop_strings.h"
#include "kernels/matrix.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

namespace lantern::engine {

class Stopwatch {
 public:
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

class Answer {
 public:
  /// Engine::generate()'s errors for prompt and options. `context` is what sampling runs on; its
  /// pool and `engine` are borrowed. Safe from any thread.
  static Result<std::unique_ptr<Answer>> create(const Engine::Impl& engine,
                                                const kernels::Context& context,
                                                const Prompt& prompt, GenerateOptions options);

  /// The prompt's ids and those drawn.
  [[nodiscard]] std::span<const int32_t> ids() const { return ids_; }
  [[nodiscard]] int64_t n_drawn() const { return std::ssize(result_.ids); }
  [[nodiscard]] const GenerateOptions& options() const { return options_; }
  /// Ids that may be drawn yet.
  [[nodiscard]] int64_t left() const { return wanted_ - n_drawn(); }
  [[nodiscard]] bool cancel_wanted() const { return options_.cancel.stop_requested(); }

  /// The prompt's turn has come; the first time counts.
  void begin();
  /// So many of the prompt's ids need no computation. Nothing after the first draw().
  void set_cached(int64_t n);
  /// A step carried so many guesses of what comes next, and so many of them came.
  void count_guesses(int64_t n_guessed, int64_t n_kept);
  /// `logits`[n_vocab] of the last of ids().
  void draw(std::span<const float> logits);
  /// After draw(): calls the caller's functions.
  void deliver();
  /// After deliver(): the answer goes on, and with guess `n` of a step, so that the logits behind
  /// that one are what is drawn from next.
  [[nodiscard]] bool follows(std::span<const int32_t> guesses, int64_t n) const {
    return !ended_ && n < std::ssize(guesses) && ids_.back() == guesses[static_cast<size_t>(n)];
  }
  /// Ends it where it stands.
  void cancel();

  [[nodiscard]] bool ended() const { return ended_; }
  /// Once, after the end. An error where the grammar could not go on (GrammarMatcher::mask()'s).
  [[nodiscard]] Result<GenerateResult> take();

 private:
  Answer(const Engine::Impl& engine, const kernels::Context& context, const Prompt& prompt,
         GenerateOptions options, Sampler sampler, StopStrings stop);
  void end(FinishReason reason);
  int32_t next_id(std::span<const float> logits, const text::TokenMask* mask);
  void follow_reasoning(int32_t id);
  void show(const std::string& piece);
  void show_marker(int32_t id);
  void tell_token(int32_t id);

  const TextIo& text_;
  GenerateOptions options_;
  Sampler sampler_;
  StopStrings stop_;
  text::StreamDecoder decoder_;
  std::optional<text::GrammarMatcher> grammar_;
  std::optional<Error> fault_;  // set by draw()
  bool in_reasoning_ = false;
  bool may_reason_ = false;  // once, at the beginning
  int64_t n_reasoned_ = 0;   // ids since it began
  size_t n_closing_ = 0;     // ids of the closing tag that were set
  std::string tail_;         // of the text, as long as a tag may begin there
  std::optional<Logprobs> logprobs_;
  float logprob_ = 0;         // of the last id drawn
  std::vector<int32_t> ids_;  // prompt and answer
  int64_t room_ = 0;          // ids that the context has left for the answer
  int64_t wanted_ = 0;        // ids of the answer at most
  bool begun_ = false;
  bool ended_ = false;
  double begin_seconds_ = 0;  // by watch_
  Stopwatch watch_;
  GenerateResult result_;
};

}  // namespace lantern::engine
