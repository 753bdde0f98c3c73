// A model that answers others: the way from an endpoint to tokens (invariant 1), for any number of
// requests at once. (server/ includes gate/, text/ and base/ alone; the engine's types come along.)
//
// A request is decided on (policy, with the caller's facts), rendered, given to the scheduler, and
// recorded; an answer's end is told only once its record is in the log. The record holds counts and
// keyed digests, never content.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine/estimate.h"
#include "engine/scheduler.h"
#include "engine/text_io.h"
#include "gate/admission.h"
#include "gate/caller.h"
#include "gate/caller_decision.h"
#include "gate/recorder.h"
#include "text/chat_template.h"
#include "text/grammar_cache.h"

namespace lantern::gate {

struct AnswerRequest {
  Caller caller = {};
  policy::Action action = policy::Action::kChat;
  std::string id = {};  // of the request, for the record
  /// A conversation through the chat template, text that is completed as it stands, or the ids of
  /// one, which are run as they are.
  std::variant<text::RenderInput, std::string, std::vector<int32_t>> prompt = {};
  /// `cancel` ends every choice; `on_text` is the sink's; `sampler.choice` is the first choice's.
  engine::GenerateOptions options = {};
  uint32_t n_choices = 1;
  int64_t context = 0;  // positions that prompt and answer may have; 0: as many as the model has
};

struct Answer {
  std::vector<engine::GenerateResult> choices;  // n_choices of them
};

/// Where an answer goes. None of these may block or throw.
class AnswerSink {
 public:
  virtual ~AnswerSink() = default;
  /// The prompt as the model will see it; before on_accepted.
  virtual void on_prompt(std::string_view text) { (void)text; }
  /// The request was taken: before any text, from the thread of answer().
  virtual void on_accepted(int64_t n_prompt_tokens) { (void)n_prompt_tokens; }
  /// The text of a choice as it grows; from the scheduler's thread.
  virtual void on_text(uint32_t choice, std::string_view piece) = 0;
  /// One of the request's markers among them.
  virtual void on_marker(uint32_t choice, std::string_view spelling) { on_text(choice, spelling); }
  /// Each token, before its text, where the request asks for log-probabilities; likewise.
  virtual void on_token(uint32_t choice, const engine::TokenEvent& token) {
    (void)choice;
    (void)token;
  }
  /// Last, exactly once, after the record is durable. An error: as ServedModel::answer() says, and
  /// what went wrong on the way (a model that was withdrawn is kDenied, an answer that was ended
  /// before it was complete kCancelled).
  virtual void on_done(Result<Answer> answer) = 0;
};

struct EmbedRequest {
  Caller caller = {};
  std::string id = {};  // of the request, for the record
  /// Each a text, or the ids of one, which are run as they are.
  std::vector<std::variant<std::string, std::vector<int32_t>>> inputs = {};
  bool truncate = false;  // a text that is longer than the context loses its end
  std::stop_token cancel = {};
};

/// A name that a service gives to an adapter of one of its models.
struct AdapterSpec {
  std::string name = {};       // 1 to 128 letters, digits, ".", "_", "-" and "/"
  std::string reference = {};  // for locate()
  double scale = 1.0;          // on top of the file's own
  std::string model = {};      // the reference of the model that it is for
};

/// A model that answers, or an adapter with the model it is for: that one is a ServedModel of its
/// own name, rules and records, and shares the model's scheduler, so that requests to both run in
/// the same steps.
class ServedModel {
 public:
  /// A model that may be served and is not loaded yet.
  struct Admitted {
    format::AdmittedModel model;
    Composition composition = {};
    engine::ModelCost cost = {};
  };
  /// Errors: Admission::admit()'s for Action::kServe, and engine::model_cost()'s.
  static Result<Admitted> admit(std::string_view reference, AdmitOptions options);
  struct StartOptions {
    engine::EngineOptions engine = {};
    engine::SchedulerOptions scheduler = {};
    /// A smaller model that guesses (Engine::use_draft()).
    std::optional<Admitted> draft = {};
    /// Told why the draft cannot guess for this model, which goes without; empty: an error.
    std::function<void(std::string_view)> without_draft = {};
  };
  /// Errors: Engine::load()'s, use_draft()'s, Scheduler::start()'s.
  static Result<std::unique_ptr<ServedModel>> start(Admitted admitted, StartOptions options);
  /// An adapter that may be served. Errors: Admission::admit()'s for Action::kServe.
  struct AdmittedAdapter {
    format::AdmittedModel adapter;
    Composition composition = {};
  };
  static Result<AdmittedAdapter> admit_adapter(const AdapterSpec& spec, AdmitOptions options);
  /// `base`, which is no adapter and stays in use while this lives, with the adapter. Errors:
  /// Engine::load_adapter()'s.
  static Result<std::unique_ptr<ServedModel>> adapt(std::shared_ptr<ServedModel> base,
                                                    AdmittedAdapter admitted,
                                                    const AdapterSpec& spec);
  ~ServedModel();
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  // Safe for any number of threads from here on.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// The files of this name: an adapter's own.
  [[nodiscard]] const Composition& composition() const { return composition_; }
  /// The model that an adapter is for; null for a model.
  [[nodiscard]] const ServedModel* base() const { return base_.get(); }
  /// What decides answers beside the request: the model's id, or one of model, adapter and scale.
  [[nodiscard]] base::Digest answers_by() const;
  [[nodiscard]] const engine::EngineInfo& info() const { return scheduler().info(); }
  [[nodiscard]] const engine::TextIo& text() const { return scheduler().text(); }
  /// Of the scheduler, which adapters share with their model.
  [[nodiscard]] engine::SchedulerStats stats() const { return scheduler().stats(); }
  /// What was compiled for its answers.
  [[nodiscard]] text::GrammarCache& grammars() { return grammars_; }

  /// Bytes of its weights, an adapter's alone.
  [[nodiscard]] uint64_t weight_bytes() const { return weight_bytes_; }
  /// Whether the gate withdrew it: it answers nothing any more, ever.
  [[nodiscard]] bool withdrawn() const {
    return !standing_->check().ok() || (base_ && base_->withdrawn());
  }
  /// As Scheduler::trim().
  void trim() const { scheduler().trim(); }
  /// Ends every answer under way, as if its client had gone.
  void end_answers() { all_.request_stop(); }

  /// Decides, renders and submits; every outcome, refusals too, reaches `sink`. Blocks for the
  /// decision and the rendering only. Errors that the sink sees: kDenied with the rule (recorded
  /// before), kExhausted where the queue is full, kInvalidArgument and the template's own for the
  /// request, kCancelled, kIo where the log cannot be written.
  void answer(AnswerRequest request, std::shared_ptr<AnswerSink> sink);

  /// Decides, tokenizes and submits; `done` is called once, after the record is durable, from any
  /// thread. Errors: as answer()'s, and kInvalidArgument for what Engine::embed() does not take.
  void embed(EmbedRequest request, std::function<void(Result<engine::EmbedResult>)> done);
  /// Whether the model was made for embeddings; of others they are the mean of the states.
  [[nodiscard]] bool is_made_to_embed() const {
    return info().model.pooling != arch::Pooling::kNone || info().model.is_encoder;
  }

  /// Whether `caller` may, as answer() would decide. Errors: kDenied with the rule (recorded), kIo.
  Status decide_on(const Caller& caller, policy::Action action);
  /// The prompt's tokens, as answer() would count them; decided on and recorded as far as a
  /// refusal goes.
  Result<int64_t> count_tokens(AnswerRequest request);

 private:
  class Count;
  class UnderWay;
  class EmbedUnderWay;
  struct Parts;
  explicit ServedModel(Parts parts);
  [[nodiscard]] engine::Scheduler& scheduler() const {
    return base_ ? *base_->scheduler_ : *scheduler_;
  }
  /// The policy's word, an adapter's model's included.
  Result<policy::Decision> decide(const Caller& caller, policy::Action action);
  /// What a record says of who answered.
  void identify(audit::Event& event) const;
  Result<engine::Prompt> prompt_of(AnswerRequest& request) const;
  Status limit(AnswerRequest& request, int64_t n_prompt) const;

  std::shared_ptr<ServedModel> base_;  // of an adapter
  engine::AdapterPtr adapter_;         // likewise
  std::string name_;
  Composition composition_;
  uint64_t weight_bytes_;
  std::shared_ptr<const format::Standing> standing_;
  std::stop_source all_;
  CallerDecisions decisions_;
  AuditLog log_;
  std::unique_ptr<Recorder> recorder_;
  text::GrammarCache grammars_;
  /// A model's. Ends first: what it runs tells the recorder.
  std::unique_ptr<engine::Scheduler> scheduler_;
};

}  // namespace lantern::gate
