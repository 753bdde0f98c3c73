#include "engine/engine.h"

#include <algorithm>
#include <chrono>
#include <future>
#include <utility>

#include "base/check.h"
#include "base/checked.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/progress.h"
#include "engine/engine_impl.h"
#include "engine/memory_plan.h"

namespace lantern::engine {
namespace {

constexpr int kThreadsMax = 1024;
constexpr int64_t kContextMax = int64_t{1} << 30;

Status check(const EngineOptions& options) {
  if (options.threads < 0 || options.threads > kThreadsMax)
    return make_error(ErrorCode::kInvalidArgument, "threads: {} is not from 0 to {}",
                      options.threads, kThreadsMax);
  if (options.context < 0 || options.context > kContextMax)
    return make_error(ErrorCode::kInvalidArgument, "context: {} is not from 0 to {}",
                      options.context, kContextMax);
  return {};
}

uint64_t tensor_bytes(const format::Checkpoint& checkpoint) {
  uint64_t bytes = 0;  // each lies in a file, so their sum does too
  for (const format::Tensor& tensor : checkpoint.tensors()) bytes += tensor.bytes;
  return bytes;
}

/// A fault of the model's names it, as a reader's own already does.
Error about(Error error, std::string_view model) {
  if (error.message.starts_with(model)) return error;
  return std::move(error).within(model);
}

}  // namespace

Engine::Engine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Engine::Engine(Engine&&) noexcept = default;
Engine& Engine::operator=(Engine&&) noexcept = default;
Engine::~Engine() = default;

Result<Engine> Engine::load(format::AdmittedModel model, EngineOptions options) {
  const auto begin = std::chrono::steady_clock::now();
  LANTERN_TRY(check(options));
  LANTERN_ASSIGN(kernels::Isa isa, kernels::isa_from_environment());
  const uint64_t weights = tensor_bytes(model.checkpoint());
  const Status fits =
      check_weights_fit(weights, std::min(base::available_memory(), options.memory));
  if (!fits.ok()) return about(fits.error(), model.name());

  auto impl = std::make_unique<Impl>();
  impl->admitted.emplace(std::move(model));
  const format::Checkpoint& checkpoint = impl->admitted->checkpoint();
  const int threads = options.threads > 0 ? options.threads : base::usable_physical_cores();
  impl->pool = options.pool ? std::move(options.pool) : std::make_shared<base::SharedPool>(threads);
  // Others run on shared threads meanwhile.
  std::optional<base::ThreadPool> loading;
  if (impl->pool.use_count() > 1) loading.emplace(threads);
  const kernels::Context load_context{.isa = isa,
                                      .pool = loading ? &*loading : &impl->pool->threads()};
  impl->context = {.isa = isa, .pool = &impl->pool->threads()};

  // A vocabulary takes as long to build as a small model's weights to read. Deferred too: where no
  // further thread may be had, it is built afterwards instead.
  auto text = std::async(std::launch::async | std::launch::deferred,
                         [&] { return TextIo::load(checkpoint); });
  auto loaded = arch::Model::load(
      *impl->admitted, {.context = &load_context, .progress = std::move(options.progress)});
  auto text_loaded = text.get();
  if (!loaded.ok()) return about(std::move(loaded).error(), impl->admitted->name());
  if (!text_loaded.ok() && options.text == TextSide::kNeeded)
    return about(std::move(text_loaded).error(), impl->admitted->name());
  impl->model.emplace(std::move(loaded).value());
  if (text_loaded.ok()) impl->text.emplace(std::move(text_loaded).value());

  EngineInfo& info = impl->info;
  info.model = impl->model->info();
  info.notices = info.model.notices;
  if (impl->text) {
    const auto& of_text = impl->text->notices();
    info.notices.insert(info.notices.end(), of_text.begin(), of_text.end());
  }
  uint64_t left = base::available_memory();
  if (!options.memory_left) options.memory_left = [] { return base::available_memory(); };
  if (options.memory != UINT64_MAX) left = std::min(left, options.memory - weights);
  left -= std::min(left, kScratchBytes);
  if (info.model.is_encoder) {
    // Keys and values live for one step, so nothing is gained by rounding them.
    options.kv_type = kernels::KvType::kF32;
    options.context = std::min(options.context, info.model.n_context_train);
  }
  LANTERN_ASSIGN(KvPool pool,
                 KvPool::create(info.model.layers, {.type = options.kv_type,
                                                    .bytes_max = left,
                                                    .machine_left = options.memory_left}));
  LANTERN_ASSIGN(ContextPlan plan, plan_context(pool, {.wanted = options.context,
                                                       .trained = info.model.n_context_train,
                                                       .available = left}));
  impl->kv.emplace(std::move(pool));
  if (plan.notice) info.notices.push_back(std::move(*plan.notice));

  impl->length_unlimited = options.context > 0 ? options.context : info.model.n_context_train;
  info.name = impl->admitted->name();
  info.id = impl->admitted->id();
  info.context = plan.context;
  info.kv_type = options.kv_type;
  info.kv_bytes_per_position =
      impl->kv->bytes_for(kernels::kKvPagePositions) / kernels::kKvPagePositions;
  info.isa = isa;
  info.threads = impl->pool->threads().n_threads();
  info.load_seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return Engine(std::move(impl));
}

const EngineInfo& Engine::info() const { return impl_->info; }
const TextIo& Engine::text() const {
  LANTERN_CHECK(impl_->text.has_value());
  return *impl_->text;
}

Status Engine::use_draft(Engine draft) {
  LANTERN_CHECK(impl_->text.has_value());
  auto differs = [&](std::string_view how) {
    return make_error(ErrorCode::kInvalidArgument,
                      "{} cannot guess for {}: {}; a draft model needs the same vocabulary",
                      draft.info().name, info().name, how);
  };
  if (!draft.impl_->text) return differs("it has no tokenizer");
  const int64_t n_vocab = info().model.n_vocab;
  if (draft.info().model.n_vocab != n_vocab)
    return differs(fmt::format("it has {} tokens, not {}", draft.info().model.n_vocab, n_vocab));
  const text::Tokenizer &ours = text().tokenizer(), &its = draft.text().tokenizer();
  for (int32_t id = 0; id < n_vocab; ++id)
    if (ours.piece(id) != its.piece(id))
      return differs(fmt::format("token {} is another there", id));
  impl_->draft.emplace(std::move(draft));
  return {};
}

Result<AdapterPtr> Engine::load_adapter(const format::AdmittedModel& adapter, double scale) const {
  // As float32, whatever the file has them as.
  base::CheckedSize bytes(0);
  for (const format::Tensor& tensor : adapter.checkpoint().tensors()) {
    base::CheckedSize values(sizeof(float));
    for (int64_t size : tensor.shape) values = values * static_cast<uint64_t>(size);
    bytes = bytes + values;
  }
  const uint64_t left = base::available_memory();
  if (!bytes.value() || *bytes.value() > left)
    return make_error(ErrorCode::kExhausted, "{}: the adapter does not fit the {} of memory left",
                      adapter.name(), base::format_bytes(left));
  LANTERN_ASSIGN(arch::Adapter weights, impl_->model->load_adapter(adapter, scale));
  std::string key = "lantern-adapter-v1\n";
  key.append(reinterpret_cast<const char*>(adapter.id().data()), adapter.id().size());
  key.append(reinterpret_cast<const char*>(&scale), sizeof scale);
  return std::make_shared<const Adapter>(Adapter{.name = adapter.name(),
                                                 .id = adapter.id(),
                                                 .scale = scale,
                                                 .key = base::sha256(key),
                                                 .weights = std::move(weights)});
}

Result<Prompt> Engine::raw_prompt(std::string_view text) const {
  Prompt prompt;
  prompt.ids = impl_->text->encode_raw(text);
  prompt.text = text;
  return prompt;
}

Result<Prompt> Engine::user_prompt(std::string_view user, std::string_view system) const {
  if (impl_->text->chat_template() == nullptr) {
    std::string text(system);
    if (!text.empty()) text += "\n\n";
    text += user;
    LANTERN_ASSIGN(Prompt prompt, raw_prompt(text));
    prompt.notices.emplace_back(kNoTemplateNotice);
    return prompt;
  }
  text::RenderInput input;
  if (!system.empty()) input.messages.push_back({{"role", "system"}, {"content", system}});
  input.messages.push_back({{"role", "user"}, {"content", user}});
  input.date = local_time_now();
  return chat_prompt(std::move(input));
}

Result<Prompt> Engine::chat_prompt(text::RenderInput input) const {
  LANTERN_ASSIGN(auto spans, impl_->text->render(std::move(input)));
  Prompt prompt;
  prompt.ids = impl_->text->encode(spans);
  prompt.text = text::to_text(spans);
  prompt.answer = text::StreamStart::kText;
  return prompt;
}

}  // namespace lantern::engine
