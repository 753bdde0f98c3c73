// What an Engine is made of; for the files of this room only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/shared_pool.h"
#include "engine/batch.h"
#include "engine/engine.h"
#include "engine/speculation.h"

namespace lantern::engine {

class Answer;

inline constexpr const char* kNoTemplateNotice =
    "the model has no chat template: the text is completed as it stands";

struct Engine::Impl {
  std::shared_ptr<base::SharedPool> pool;
  kernels::Context context;  // borrows its threads
  std::optional<format::AdmittedModel> admitted;
  std::optional<arch::Model> model;
  std::optional<TextIo> text;
  std::optional<KvPool> kv;
  arch::Workspace workspace;
  EngineInfo info;
  std::optional<Engine> draft;
  StepCosts costs;  // of steps that carry no prompts
  /// Length-dependent rope of answers without a limit of their own; does not depend on what fits
  /// this machine's memory.
  int64_t length_unlimited = 0;

  [[nodiscard]] Stepper stepper() { return {*model, context, workspace}; }
  [[nodiscard]] Companions companions(int64_t count) {
    return {*kv, {.count = count, .n_vocab = info.model.n_vocab, .context = info.context}};
  }

  /// kInvalidArgument for ids outside the vocabulary.
  [[nodiscard]] Status check_ids(std::span<const int32_t> ids) const;
  /// The bounds of options that generate() and logits() share.
  [[nodiscard]] static Status check_batch(int64_t chunk, int64_t beside);

  /// As Engine::generate(), on top of what `sequence` already holds of the prompt. Afterwards it
  /// holds all that was run. `planned_length`: see arch::SequenceStep.
  Result<GenerateResult> run(Sequence& sequence, const Prompt& prompt,
                             const GenerateOptions& options, int64_t planned_length);
  [[nodiscard]] Status check_prompt(const Prompt& prompt, const GenerateOptions& options) const;
  /// Runs the prompt's rest in pieces; logits[n_vocab] of its last id. False: cancelled.
  Result<bool> prefill(Sequence& sequence, const Answer& answer, int64_t planned_length,
                       Companions& others, std::vector<float>& logits);
  /// For the answer's guesses; none where it wants none.
  [[nodiscard]] std::optional<Speculator> speculator(const Answer& answer);
  /// Draws from rows[1 + guesses.size(), n_vocab] as far as the guesses are what is drawn. How many
  /// of them were.
  int64_t draw_rows(Answer& answer, std::span<const int32_t> guesses,
                    std::span<const float> rows) const;
  void append_guesses(const Answer& answer, const Sequence& sequence, Speculator& speculator,
                      std::vector<int32_t>& tokens);
  /// What Engine::generate() and the Scheduler run an answer with; see arch::SequenceStep.
  [[nodiscard]] int64_t planned_length(const Prompt& prompt, const GenerateOptions& options) const;
};

}  // namespace lantern::engine
