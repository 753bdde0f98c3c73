// Turns of one dialogue over one cache.
//
// After each answer the text of all so far and its ids are remembered as a checkpoint. When the
// next turn's rendering begins with a checkpoint's text, those ids are used as they are and only
// the rest is tokenized: what the model drew stays what it drew, though the tokenizer might spell
// the same text otherwise. Templates that rewrite earlier turns (reasoning left out, white
// space trimmed) fall back to an older checkpoint or to none; then ids in common with the cache
// still need no computation.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/hash.h"
#include "engine/engine_impl.h"
#include "engine/session.h"

namespace lantern::engine {

struct Conversation::Impl {
  struct Checkpoint {
    size_t text_bytes = 0;
    size_t n_ids = 0;
  };

  Impl(Engine::Impl& made, AdapterPtr with)
      : engine(made), adapter(std::move(with)), sequence(*made.kv) {}

  [[nodiscard]] base::OrderedJson all_messages() const;
  [[nodiscard]] Result<std::vector<text::Span>> render();
  [[nodiscard]] Prompt tokenize(const std::vector<text::Span>& spans);
  void remember(Prompt prompt, const std::vector<int32_t>& answer);

  /// What its cache was made by: the model, or the model and the adapter.
  [[nodiscard]] base::Digest made_by() const {
    if (!adapter) return engine.info.id;
    std::string both(reinterpret_cast<const char*>(engine.info.id.data()), engine.info.id.size());
    both.append(reinterpret_cast<const char*>(adapter->key.data()), adapter->key.size());
    return base::sha256(both);
  }

  Engine::Impl& engine;
  const AdapterPtr adapter;
  Sequence sequence;
  std::string system;
  base::OrderedJson turns = base::OrderedJson::array();
  std::vector<std::string> notices;

  std::string text;  // of all so far
  std::vector<int32_t> ids;
  std::vector<Checkpoint> checkpoints;  // rising, into `text` and `ids`
};

base::OrderedJson Conversation::Impl::all_messages() const {
  base::OrderedJson messages = base::OrderedJson::array();
  if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  for (const auto& turn : turns) messages.push_back(turn);
  return messages;
}

Result<std::vector<text::Span>> Conversation::Impl::render() {
  notices.clear();
  if (engine.text->chat_template() != nullptr) {
    text::RenderInput input;
    input.messages = all_messages();
    input.date = local_time_now();
    return engine.text->render(std::move(input));
  }
  notices.emplace_back(kNoTemplateNotice);
  std::string joined;
  for (const auto& message : all_messages()) {
    if (!joined.empty()) joined += "\n\n";
    joined += message["content"].get_ref<const std::string&>();
  }
  return std::vector<text::Span>{{std::move(joined), text::SpanKind::kContent}};
}

// What is left of `spans` after their first `bytes` bytes.
std::vector<text::Span> after(const std::vector<text::Span>& spans, size_t bytes) {
  std::vector<text::Span> rest;
  for (const text::Span& span : spans) {
    const size_t skipped = std::min(bytes, span.text.size());
    bytes -= skipped;
    if (skipped < span.text.size()) rest.push_back({span.text.substr(skipped), span.kind});
  }
  return rest;
}

Prompt Conversation::Impl::tokenize(const std::vector<text::Span>& spans) {
  Prompt prompt;
  prompt.text = text::to_text(spans);
  prompt.answer = engine.text->chat_template() != nullptr ? text::StreamStart::kText
                                                          : text::StreamStart::kContinuation;
  const text::Tokenizer& tokenizer = engine.text->tokenizer();
  while (!checkpoints.empty()) {
    const Checkpoint& last = checkpoints.back();
    if (prompt.text.starts_with(std::string_view(text).substr(0, last.text_bytes))) {
      // Cut before a special token, text tokenizes as it would in one piece.
      const auto rest = tokenizer.encode(after(spans, last.text_bytes));
      if (!rest.empty() && tokenizer.is_special(rest.front())) {
        prompt.ids.assign(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(last.n_ids));
        prompt.ids.insert(prompt.ids.end(), rest.begin(), rest.end());
        return prompt;
      }
    }
    checkpoints.pop_back();
  }
  prompt.ids = engine.text->encode(spans);
  return prompt;
}

void Conversation::Impl::remember(Prompt prompt, const std::vector<int32_t>& answer) {
  text = std::move(prompt.text);
  ids = std::move(prompt.ids);
  text::StreamDecoder decoder(engine.text->tokenizer(), {}, text::StreamStart::kContinuation);
  for (int32_t id : answer) {
    if (engine.text->is_end(id)) break;
    text += decoder.push(id);
    ids.push_back(id);
  }
  text += decoder.flush();
  checkpoints.push_back({text.size(), ids.size()});
}

Conversation::Conversation(Engine& engine, AdapterPtr adapter)
    : impl_(std::make_unique<Impl>(*engine.impl_, std::move(adapter))) {}
Conversation::~Conversation() = default;
Conversation::Conversation(Conversation&&) noexcept = default;
Conversation& Conversation::operator=(Conversation&&) noexcept = default;

void Conversation::set_system(std::string text) { impl_->system = std::move(text); }

Result<GenerateResult> Conversation::say(std::string user, const GenerateOptions& given) {
  GenerateOptions options = given;
  options.adapter = impl_->adapter;
  impl_->turns.push_back({{"role", "user"}, {"content", std::move(user)}});
  auto answer = [&]() -> Result<GenerateResult> {
    LANTERN_ASSIGN(auto spans, impl_->render());
    Prompt prompt = impl_->tokenize(spans);
    // One length for all turns: what is in the cache holds for those that follow.
    LANTERN_ASSIGN(auto result, impl_->engine.run(impl_->sequence, prompt, options,
                                                  impl_->engine.length_unlimited));
    impl_->remember(std::move(prompt), result.ids);
    return result;
  }();
  if (!answer.ok() || (answer->finish == FinishReason::kCancelled && answer->text.empty())) {
    impl_->turns.erase(impl_->turns.size() - 1);
    return answer;
  }
  impl_->turns.push_back({{"role", "assistant"}, {"content", answer->text}});
  return answer;
}

void Conversation::clear() {
  impl_->turns.clear();
  impl_->sequence.kv.clear();
  impl_->sequence.ids.clear();
  impl_->text.clear();
  impl_->ids.clear();
  impl_->checkpoints.clear();
}

namespace {

Result<std::vector<Session::LayerBytes>> layer_bytes(const Engine::Impl& engine) {
  std::vector<Session::LayerBytes> out;
  for (const auto& layer : engine.info.model.layers) {
    const kernels::KvType type = engine.info.kv_type;
    Session::LayerBytes bytes;
    LANTERN_ASSIGN(bytes.keys, kernels::kv_page_bytes(type, layer.n_kv_heads, layer.head_dim));
    LANTERN_ASSIGN(bytes.values, kernels::kv_page_bytes(type, layer.n_kv_heads, layer.value_dim));
    out.push_back(bytes);
  }
  return out;
}

/// kInvalidArgument where `session` was made by something else.
Status check_same(const Session& session, const base::Digest& made_by, const Engine::Impl& engine) {
  auto differs = [](std::string_view what) {
    return make_error(ErrorCode::kInvalidArgument, "the session was saved with another {}", what);
  };
  if (session.model != made_by) return differs("model or adapter");
  if (session.arithmetic != static_cast<uint32_t>(kernels::kArithmeticVersion))
    return differs("version of the arithmetic; its text can be read with the Lantern that made it");
  if (session.kv_type != static_cast<uint32_t>(engine.info.kv_type))
    return differs("type of cache (--kv)");
  const int64_t long_after = engine.info.model.long_rope_after;
  if (long_after > 0 &&
      (session.planned_length > long_after) != (engine.length_unlimited > long_after))
    return differs("kind of rope (--context)");
  const auto n_ids = std::max(std::ssize(session.ids), std::ssize(session.cached));
  if (n_ids > engine.info.context)
    return make_error(ErrorCode::kInvalidArgument,
                      "the session has {} tokens, the context {}; give a longer --context", n_ids,
                      engine.info.context);
  LANTERN_TRY(engine.check_ids(session.ids));
  LANTERN_TRY(engine.check_ids(session.cached));
  LANTERN_ASSIGN(const auto layers, layer_bytes(engine));
  const bool same = std::ranges::equal(layers, session.layers, [](const auto& a, const auto& b) {
    return a.keys == b.keys && a.values == b.values;
  });
  if (!same) return make_error(ErrorCode::kCorrupt, "its pages are not this model's");
  return {};
}

/// Into an empty cache.
Status fill_pages(const Session& session, Sequence& sequence) {
  const auto n = std::ssize(session.cached);
  LANTERN_TRY(sequence.kv.reserve(n));
  const auto views = sequence.kv.views();
  for (size_t i = 0; i < session.pages.size(); ++i) {
    const Session::Pages& pages = session.pages[i];
    const kernels::KvView& view = views[i % views.size()];
    const size_t page = i / views.size();
    if (pages.keys.empty()) continue;
    std::memcpy(view.key_pages[page], pages.keys.data(), pages.keys.size());
    std::memcpy(view.value_pages[page], pages.values.data(), pages.values.size());
  }
  sequence.ids = session.cached;
  sequence.kv.release_passed(n);
  // What was not saved must be what no query sees any more.
  const auto after = sequence.kv.views();
  for (size_t i = 0; i < session.pages.size(); ++i)
    if (session.pages[i].keys.empty() &&
        after[i % after.size()].key_pages[i / after.size()] != nullptr)
      return make_error(ErrorCode::kCorrupt, "a page that is needed is missing");
  return {};
}

}  // namespace

std::string Conversation::save() const {
  const Engine::Impl& engine = impl_->engine;
  Session session{.arithmetic = static_cast<uint32_t>(kernels::kArithmeticVersion),
                  .kv_type = static_cast<uint32_t>(engine.info.kv_type),
                  .planned_length = engine.length_unlimited,
                  .model = impl_->made_by(),
                  .system = impl_->system,
                  .turns = impl_->turns,
                  .text = impl_->text,
                  .ids = impl_->ids,
                  .cached = impl_->sequence.ids};
  for (const Impl::Checkpoint& checkpoint : impl_->checkpoints)
    session.checkpoints.push_back({checkpoint.text_bytes, checkpoint.n_ids});
  auto layers = layer_bytes(engine);
  LANTERN_CHECK(layers.ok());  // the cache has such pages
  session.layers = std::move(*layers);
  const auto views = impl_->sequence.kv.views();
  const uint64_t n_pages = session_pages(session.cached.size());
  for (uint64_t page = 0; page < n_pages; ++page) {
    for (size_t l = 0; l < views.size(); ++l) {
      Session::Pages pages;
      if (const std::byte* keys = views[l].key_pages[page])
        pages = {.keys = {keys, session.layers[l].keys},
                 .values = {views[l].value_pages[page], session.layers[l].values}};
      session.pages.push_back(pages);
    }
  }
  return write_session(session);
}

Status Conversation::restore(std::string_view bytes, std::string_view what) {
  clear();
  LANTERN_ASSIGN(Session session, read_session(bytes, what));
  Status restored = check_same(session, impl_->made_by(), impl_->engine);
  if (restored.ok()) restored = fill_pages(session, impl_->sequence);
  if (!restored.ok()) {
    clear();
    return std::move(restored).error().within(what);
  }
  impl_->system = std::move(session.system);
  impl_->turns = std::move(session.turns);
  impl_->text = std::move(session.text);
  impl_->ids = std::move(session.ids);
  for (const Session::Checkpoint& checkpoint : session.checkpoints)
    impl_->checkpoints.push_back({.text_bytes = static_cast<size_t>(checkpoint.text_bytes),
                                  .n_ids = static_cast<size_t>(checkpoint.n_ids)});
  return {};
}

base::OrderedJson Conversation::messages() const { return impl_->all_messages(); }

int64_t Conversation::tokens() const { return static_cast<int64_t>(impl_->sequence.ids.size()); }

std::span<const std::string> Conversation::notices() const { return impl_->notices; }

}  // namespace lantern::engine
