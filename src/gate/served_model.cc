#include "gate/served_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "gate/resolve.h"
#include "gate/usage.h"

namespace lantern::gate {

namespace {

/// What is digested of a text that came as ids: others may say the same.
std::string text_of_ids(const std::vector<int32_t>& ids) {
  return fmt::format("ids {}\n", fmt::join(ids, ","));
}

}  // namespace

/// What a request counts of its caller's tokens: of who has a budget as much as it may use, until
/// what it did use is known.
class ServedModel::Count {
 public:
  /// `known` tokens for certain, `most` at most. Errors: Usage::reserve()'s.
  static Result<Count> begin(CallerDecisions& decisions, const Caller& caller, int64_t known,
                             int64_t most) {
    Count count;
    if (caller.usage == nullptr) return count;
    caller.usage->count_request(caller);
    if (decisions.has_budget(caller)) {
      LANTERN_ASSIGN(count.reserved_, caller.usage->reserve(caller, most));
    } else {
      caller.usage->add_tokens(caller, known);
      count.counted_ = known;
    }
    return count;
  }
  void settle(const Caller& caller, int64_t used) const {
    if (caller.usage == nullptr) return;
    if (reserved_)
      caller.usage->settle(caller, *reserved_, used);
    else
      caller.usage->add_tokens(caller, used - counted_);
  }

 private:
  std::optional<Usage::Reservation> reserved_;
  int64_t counted_ = 0;
};

/// A request that the scheduler has: collects its choices, then has it recorded and told.
class ServedModel::UnderWay : public std::enable_shared_from_this<UnderWay> {
 public:
  UnderWay(ServedModel& model, AnswerRequest request, Count count, policy::Decision decision,
           engine::Prompt prompt, std::shared_ptr<AnswerSink> sink)
      : model_(model),
        request_(std::move(request)),
        count_(count),
        decision_(std::move(decision)),
        prompt_(std::move(prompt)),
        sink_(std::move(sink)),
        results_(request_.n_choices),
        open_(request_.n_choices),
        outside_(request_.options.cancel, [this] { cancel_.request_stop(); }),
        all_(model_.all_.get_token(), [this] { cancel_.request_stop(); }) {}

  void submit() {
    sink_->on_prompt(prompt_.text);
    sink_->on_accepted(static_cast<int64_t>(prompt_.ids.size()));
    for (uint32_t choice = 0; choice < request_.n_choices; ++choice) {
      Status submitted = model_.scheduler().submit(serve_request(choice));
      if (submitted.ok()) continue;
      cancel_.request_stop();
      for (uint32_t rest = choice; rest < request_.n_choices; ++rest)
        finished(rest, submitted.error());
      return;
    }
  }

 private:
  engine::ServeRequest serve_request(uint32_t choice) {
    engine::ServeRequest out{.prompt = prompt_, .options = request_.options};
    out.options.adapter = model_.adapter_;
    out.options.sampler.choice = request_.options.sampler.choice + choice;
    out.options.cancel = cancel_.get_token();
    // The scheduler lets go of a request once it is done, so this circle ends.
    out.options.on_text = [self = shared_from_this(), choice](std::string_view piece) {
      self->sink_->on_text(choice, piece);
    };
    if (!request_.options.markers.empty())
      out.options.on_marker = [self = shared_from_this(), choice](std::string_view spelling) {
        self->sink_->on_marker(choice, spelling);
      };
    if (request_.options.logprobs >= 0)
      out.options.on_token = [self = shared_from_this(), choice](const engine::TokenEvent& token) {
        self->sink_->on_token(choice, token);
      };
    out.user = request_.caller.user;
    out.cache_scope = cache_scope();
    out.priority = decision_.priority == policy::Priority::kHigh  ? 1
                   : decision_.priority == policy::Priority::kLow ? -1
                                                                  : 0;
    out.on_done = [self = shared_from_this(), choice](Result<engine::GenerateResult> result) {
      self->finished(choice, std::move(result));
    };
    return out;
  }

  /// Nobody knows who else an unknown caller is: he shares with nobody.
  [[nodiscard]] std::string cache_scope() const {
    if (request_.caller.user.empty()) return {};
    const std::string& group = decision_.prefix_group;
    return group.empty() ? "user:" + request_.caller.user : "group:" + group;
  }

  void finished(uint32_t choice, Result<engine::GenerateResult> result) {
    {
      const std::lock_guard lock(mutex_);
      if (result.ok())
        results_[choice] = std::move(result).value();
      else if (!fault_ || fault_->code == ErrorCode::kCancelled)
        fault_ = std::move(result).error();
      if (--open_ > 0) return;
    }
    // Whoever still listens must not take a part for the whole.
    if (!fault_ && std::any_of(results_.begin(), results_.end(), is_cut)) fault_ = cut_short();
    if (fault_) cancel_.request_stop();
    count_.settle(request_.caller, std::ssize(prompt_.ids) + n_tokens());
    model_.recorder_->record(
        event(), [self = shared_from_this()](Status recorded) { self->tell(std::move(recorded)); });
  }

  static bool is_cut(const engine::GenerateResult& result) {
    return result.finish == engine::FinishReason::kCancelled;
  }
  [[nodiscard]] Error cut_short() const {
    if (model_.all_.stop_requested())
      return make_error(ErrorCode::kCancelled,
                        "{} was stopped before the answer was complete; ask again", model_.name_);
    return make_error(ErrorCode::kCancelled, "the answer was ended before it was complete");
  }

  /// Of all choices, once they are done.
  [[nodiscard]] int64_t n_tokens() const {
    int64_t n = 0;
    for (const engine::GenerateResult& result : results_)
      n += static_cast<int64_t>(result.ids.size());
    return n;
  }

  [[nodiscard]] audit::Event event() const {
    audit::Event event{.action = audit_action(request_.action),
                       .decision = fault_ ? audit::Decision::kError : audit::Decision::kAllow,
                       .actor = actor_of(request_.caller),
                       .rule = decision_.rule};
    if (fault_) event.reason = error_code_name(fault_->code);
    const auto* ids = std::get_if<std::vector<int32_t>>(&request_.prompt);
    event.digests.push_back(
        model_.log_.digest("request", ids != nullptr ? text_of_ids(*ids) : prompt_.text));
    for (const engine::GenerateResult& result : results_) {
      event.digests.push_back(model_.log_.digest("answer", result.text));
    }
    event.facts = {{.name = "request_id", .value = request_.id},
                   {.name = "prompt_tokens", .value = static_cast<int64_t>(prompt_.ids.size())},
                   {.name = "completion_tokens", .value = n_tokens()},
                   {.name = "choices", .value = static_cast<int64_t>(results_.size())},
                   {.name = "seed", .value = std::to_string(request_.options.sampler.seed)}};
    model_.identify(event);
    return event;
  }

  void tell(Status recorded) {
    if (!recorded.ok()) {
      sink_->on_done(std::move(recorded).error().within(
          "the audit log cannot be written, so the answer is withheld"));
    } else if (fault_) {
      sink_->on_done(*fault_);
    } else {
      sink_->on_done(Answer{std::move(results_)});
    }
  }

  ServedModel& model_;
  AnswerRequest request_;
  const Count count_;
  policy::Decision decision_;
  engine::Prompt prompt_;
  std::shared_ptr<AnswerSink> sink_;
  std::mutex mutex_;
  std::vector<engine::GenerateResult> results_;  // under the mutex until open_ is 0, as fault_ is
  std::optional<Error> fault_;
  uint32_t open_;
  std::stop_source cancel_;
  std::stop_callback<std::function<void()>> outside_, all_;
};

/// An embedding under way: its record, then its vectors.
class ServedModel::EmbedUnderWay : public std::enable_shared_from_this<EmbedUnderWay> {
 public:
  EmbedUnderWay(ServedModel& model, EmbedRequest request, policy::Decision decision,
                std::function<void(Result<engine::EmbedResult>)> done)
      : model_(model),
        request_(std::move(request)),
        decision_(std::move(decision)),
        done_(std::move(done)),
        outside_(request_.cancel, [this] { cancel_.request_stop(); }),
        all_(model_.all_.get_token(), [this] { cancel_.request_stop(); }) {}

  void submit() {
    engine::EmbedJob job{
        .user = request_.caller.user, .adapter = model_.adapter_, .cancel = cancel_.get_token()};
    int64_t n_tokens = 0;
    for (const auto& input : request_.inputs) {
      const auto* text = std::get_if<std::string>(&input);
      job.inputs.push_back(text == nullptr ? std::get<std::vector<int32_t>>(input) : encode(*text));
      n_tokens += std::ssize(job.inputs.back());
    }
    auto count = Count::begin(model_.decisions_, request_.caller, 0, n_tokens);
    if (!count.ok()) return finished(std::move(count).error());
    count_ = *count;
    job.on_done = [self = shared_from_this()](Result<engine::EmbedResult> result) {
      self->finished(std::move(result));
    };
    if (Status submitted = model_.scheduler().submit(std::move(job)); !submitted.ok())
      finished(std::move(submitted).error());
  }

 private:
  [[nodiscard]] std::vector<int32_t> encode(std::string_view text) const {
    return model_.text().encode_to_embed(text, request_.truncate ? model_.info().context : 0);
  }

  void finished(Result<engine::EmbedResult> result) {
    count_.settle(request_.caller, result.ok() ? result->n_tokens : 0);
    audit::Event event = event_of(result);
    auto shared = std::make_shared<Result<engine::EmbedResult>>(std::move(result));
    model_.recorder_->record(
        std::move(event), [self = shared_from_this(), shared](Status recorded) {
          if (!recorded.ok())
            self->done_(std::move(recorded).error().within(
                "the audit log cannot be written, so the embeddings are withheld"));
          else
            self->done_(std::move(*shared));
        });
  }

  [[nodiscard]] audit::Event event_of(const Result<engine::EmbedResult>& result) const {
    audit::Event event{.action = audit::Action::kEmbed,
                       .decision = result.ok() ? audit::Decision::kAllow : audit::Decision::kError,
                       .actor = actor_of(request_.caller),
                       .rule = decision_.rule};
    if (!result.ok()) event.reason = error_code_name(result.error().code);
    // One digest over all of a request: lengths keep texts apart, so no two requests have the same.
    std::string texts, vectors;
    for (const auto& input : request_.inputs) {
      const auto* text = std::get_if<std::string>(&input);
      const auto* ids = std::get_if<std::vector<int32_t>>(&input);
      texts += text != nullptr ? fmt::format("text {} {}", text->size(), *text) : text_of_ids(*ids);
    }
    event.digests.push_back(model_.log_.digest("request", texts));
    event.facts = {{.name = "request_id", .value = request_.id},
                   {.name = "texts", .value = static_cast<int64_t>(request_.inputs.size())}};
    model_.identify(event);
    if (!result.ok()) return event;
    for (const std::vector<float>& vector : result->vectors)
      vectors.append(reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float));
    event.digests.push_back(model_.log_.digest("answer", vectors));
    event.facts.push_back({.name = "prompt_tokens", .value = result->n_tokens});
    return event;
  }

  ServedModel& model_;
  const EmbedRequest request_;
  Count count_;
  const policy::Decision decision_;
  const std::function<void(Result<engine::EmbedResult>)> done_;
  std::stop_source cancel_;
  std::stop_callback<std::function<void()>> outside_, all_;
};

struct ServedModel::Parts {
  Governance governance;
  Composition composition;
  uint64_t weight_bytes = 0;
  std::shared_ptr<const format::Standing> standing;
  std::unique_ptr<Recorder> recorder;
  std::unique_ptr<engine::Scheduler> scheduler = {};
  // An adapter's, instead:
  std::shared_ptr<ServedModel> base = {};
  engine::AdapterPtr adapter = {};
};

ServedModel::ServedModel(Parts parts)
    : base_(std::move(parts.base)),
      adapter_(std::move(parts.adapter)),
      name_(base_ ? parts.composition.name : parts.scheduler->info().name),
      composition_(std::move(parts.composition)),
      weight_bytes_(parts.weight_bytes),
      standing_(std::move(parts.standing)),
      decisions_(std::move(parts.governance)),
      log_(decisions_.log()),
      recorder_(std::move(parts.recorder)),
      scheduler_(std::move(parts.scheduler)) {}

ServedModel::~ServedModel() = default;

Result<ServedModel::Admitted> ServedModel::admit(std::string_view reference, AdmitOptions options) {
  options.action = policy::Action::kServe;
  LANTERN_ASSIGN(format::AdmittedModel admitted, Admission::admit(reference, options));
  LANTERN_ASSIGN(Resolved resolved, resolve(reference, {.stop = options.stop,
                                                        .progress = base::ProgressOutput::none()}));
  if (resolved.model.id != admitted.id())
    return make_error(ErrorCode::kCorrupt, "{}: the model changed while it was loaded", reference);
  LANTERN_ASSIGN(engine::ModelCost cost, engine::model_cost(admitted.checkpoint()));
  return Admitted{.model = std::move(admitted),
                  .composition = std::move(resolved.model),
                  .cost = std::move(cost)};
}

Result<std::unique_ptr<ServedModel>> ServedModel::start(Admitted admitted, StartOptions options) {
  auto standing = admitted.model.standing();
  uint64_t weight_bytes = admitted.cost.weight_bytes;
  engine::EngineOptions of_draft = options.engine;
  auto loaded = engine::Engine::load(std::move(admitted.model), std::move(options.engine));
  if (!loaded.ok()) {
    // One that was revoked and removed meanwhile: its files are not what is wrong.
    LANTERN_TRY(standing->check());
    return std::move(loaded).error();
  }
  if (options.draft) {
    of_draft.context = std::min(loaded->info().context, options.draft->cost.n_context_train);
    LANTERN_ASSIGN(engine::Engine draft,
                   engine::Engine::load(std::move(options.draft->model), std::move(of_draft)));
    const Status given = loaded->use_draft(std::move(draft));
    if (!given.ok() && !options.without_draft) return given.error();
    if (!given.ok()) options.without_draft(given.error().message);
    if (given.ok()) weight_bytes += options.draft->cost.weight_bytes;
  }
  LANTERN_ASSIGN(auto started, engine::Scheduler::start(std::move(*loaded), options.scheduler));
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(auto recorder, Recorder::start(governance.log()));
  return std::unique_ptr<ServedModel>(
      new ServedModel({.governance = std::move(governance),
                       .composition = std::move(admitted.composition),
                       .weight_bytes = weight_bytes,
                       .standing = std::move(standing),
                       .recorder = std::move(recorder),
                       .scheduler = std::move(started)}));
}

Result<ServedModel::AdmittedAdapter> ServedModel::admit_adapter(const AdapterSpec& spec,
                                                                AdmitOptions options) {
  options.action = policy::Action::kServe;
  auto admitted = Admission::admit(spec.reference, options);
  if (!admitted.ok())
    return std::move(admitted).error().within(fmt::format("adapter {}", spec.name));
  LANTERN_ASSIGN(
      Resolved resolved,
      resolve(spec.reference, {.stop = options.stop, .progress = base::ProgressOutput::none()}));
  if (resolved.model.id != admitted->id())
    return make_error(ErrorCode::kCorrupt, "{}: the adapter changed while it was loaded",
                      spec.reference);
  resolved.model.name = spec.name;
  return AdmittedAdapter{.adapter = std::move(*admitted), .composition = std::move(resolved.model)};
}

Result<std::unique_ptr<ServedModel>> ServedModel::adapt(std::shared_ptr<ServedModel> base,
                                                        AdmittedAdapter admitted,
                                                        const AdapterSpec& spec) {
  LANTERN_CHECK(base->base_ == nullptr);
  LANTERN_ASSIGN(engine::AdapterPtr adapter,
                 base->scheduler_->engine().load_adapter(admitted.adapter, spec.scale));
  LANTERN_ASSIGN(Governance governance, Governance::open());
  LANTERN_ASSIGN(auto recorder, Recorder::start(governance.log()));
  const uint64_t bytes = adapter->weights.bytes();
  return std::unique_ptr<ServedModel>(
      new ServedModel({.governance = std::move(governance),
                       .composition = std::move(admitted.composition),
                       .weight_bytes = bytes,
                       .standing = admitted.adapter.standing(),
                       .recorder = std::move(recorder),
                       .base = std::move(base),
                       .adapter = std::move(adapter)}));
}

base::Digest ServedModel::answers_by() const {
  if (!base_) return composition_.id;
  std::string both(reinterpret_cast<const char*>(base_->composition_.id.data()),
                   base_->composition_.id.size());
  both.append(reinterpret_cast<const char*>(adapter_->key.data()), adapter_->key.size());
  return base::sha256(both);
}

Result<policy::Decision> ServedModel::decide(const Caller& caller, policy::Action action) {
  LANTERN_ASSIGN(policy::Decision decision, decisions_.decide(composition_, caller, action));
  if (!decision.allowed() || !base_) return decision;
  // A key that may ask for this name alone may do so; all other rules of the model hold.
  Caller without_key_limits = caller;
  without_key_limits.grant = nullptr;
  LANTERN_ASSIGN(const policy::Decision of_base,
                 decisions_.decide(base_->composition_, without_key_limits, action));
  return of_base.allowed() ? decision : of_base;
}

void ServedModel::identify(audit::Event& event) const {
  event.model = Governance::model_ref(base_ ? base_->composition_ : composition_);
  if (!base_) return;
  event.facts.push_back({.name = "adapter", .value = name_});
  event.facts.push_back({.name = "adapter_id", .value = base::to_hex(composition_.id)});
  event.facts.push_back({.name = "adapter_scale", .value = fmt::format("{}", adapter_->scale)});
}

Result<engine::Prompt> ServedModel::prompt_of(AnswerRequest& request) const {
  engine::Prompt prompt;
  if (auto* raw = std::get_if<std::string>(&request.prompt)) {
    prompt.ids = text().encode_raw(*raw);
    prompt.text = std::move(*raw);
    return prompt;
  }
  if (const auto* ids = std::get_if<std::vector<int32_t>>(&request.prompt)) {
    prompt.ids = *ids;
    prompt.text = text().tokenizer().decode(*ids, {.special = true});
    return prompt;
  }
  LANTERN_ASSIGN(const auto spans,
                 text().render(std::move(std::get<text::RenderInput>(request.prompt))));
  prompt.ids = text().encode(spans);
  prompt.text = text::to_text(spans);
  prompt.answer = text::StreamStart::kText;
  return prompt;
}

/// Settles how long the answer may become.
Status ServedModel::limit(AnswerRequest& request, int64_t n_prompt) const {
  int64_t& wanted = request.options.max_tokens;
  if (request.context > info().context)
    return make_error(ErrorCode::kInvalidArgument,
                      "num_ctx: {} is more than the context of {} that {} has here (it was made "
                      "for {})",
                      request.context, info().context, name_, info().model.n_context_train);
  if (request.context > 0) {
    if (n_prompt >= request.context)
      return make_error(ErrorCode::kInvalidArgument,
                        "num_ctx: the prompt has {} tokens and {} were asked for, one at least for "
                        "the answer; nothing is cut off a prompt",
                        n_prompt, request.context);
    const int64_t room = request.context - n_prompt;
    wanted = wanted > 0 ? std::min(wanted, room) : room;
  }
  // More than the context holds is the same as no limit: the answer ends where the context does.
  if (wanted > info().context - n_prompt) wanted = 0;
  return {};
}

void ServedModel::answer(AnswerRequest request, std::shared_ptr<AnswerSink> sink) {
  Result<policy::Decision> decision = decide(request.caller, request.action);
  if (!decision.ok()) return sink->on_done(std::move(decision).error());
  if (!decision->allowed()) return sink->on_done(decision->status().error());
  Result<engine::Prompt> prompt = prompt_of(request);
  if (!prompt.ok()) return sink->on_done(std::move(prompt).error());
  const auto n_prompt = static_cast<int64_t>(prompt->ids.size());
  if (const Status fits = limit(request, n_prompt); !fits.ok()) return sink->on_done(fits.error());
  request.n_choices = std::max<uint32_t>(request.n_choices, 1);
  const int64_t wanted = request.options.max_tokens;
  const int64_t most = wanted > 0 ? wanted : std::max<int64_t>(info().context - n_prompt, 0);
  const auto count =
      Count::begin(decisions_, request.caller, n_prompt, n_prompt + request.n_choices * most);
  if (!count.ok()) return sink->on_done(count.error());
  std::make_shared<UnderWay>(*this, std::move(request), *count, std::move(*decision),
                             std::move(*prompt), std::move(sink))
      ->submit();
}

void ServedModel::embed(EmbedRequest request,
                        std::function<void(Result<engine::EmbedResult>)> done) {
  Result<policy::Decision> decision = decide(request.caller, policy::Action::kEmbed);
  if (!decision.ok()) return done(std::move(decision).error());
  if (!decision->allowed()) return done(decision->status().error());
  std::make_shared<EmbedUnderWay>(*this, std::move(request), std::move(*decision), std::move(done))
      ->submit();
}

Status ServedModel::decide_on(const Caller& caller, policy::Action action) {
  LANTERN_ASSIGN(const policy::Decision decision, decide(caller, action));
  return decision.status();
}

Result<int64_t> ServedModel::count_tokens(AnswerRequest request) {
  LANTERN_TRY(decide_on(request.caller, request.action));
  LANTERN_ASSIGN(const engine::Prompt prompt, prompt_of(request));
  return static_cast<int64_t>(prompt.ids.size());
}

}  // namespace lantern::gate
