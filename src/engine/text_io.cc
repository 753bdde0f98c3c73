#include "engine/text_io.h"

#include <algorithm>
#include <ctime>
#include <mutex>
#include <utility>

#include "engine/text_sources.h"
#include "text/tokenizer.h"

namespace lantern::engine {

using text::TokenId;

text::LocalTime local_time_now() {
  const std::time_t now = std::time(nullptr);
  std::tm broken{};
  if (localtime_r(&now, &broken) == nullptr) return {};
  return {.year = broken.tm_year + 1900,
          .month = broken.tm_mon + 1,
          .day = broken.tm_mday,
          .hour = broken.tm_hour,
          .minute = broken.tm_min,
          .second = broken.tm_sec};
}

struct TextIo::Impl {
  explicit Impl(text::Tokenizer made) : tokenizer(std::move(made)) {}

  void parse_templates(decltype(TextSources::templates) sources);
  Status collect_end_ids(std::vector<TokenId> ids);
  void fill_special_tokens(text::RenderInput& input) const;
  void find_message_syntax();
  [[nodiscard]] bool is_special_word(std::string_view word) const;
  [[nodiscard]] std::optional<std::string> spelling(std::optional<TokenId> id) const;

  text::Tokenizer tokenizer;
  std::map<std::string, text::ChatTemplate, std::less<>> templates;
  std::vector<TokenId> end_ids;
  std::vector<std::string> notices;
  text::MessageSyntax message_syntax;
  std::vector<TokenId> message_markers;
  std::once_flag grammar_once;
  std::shared_ptr<const text::GrammarVocabulary> grammar_vocabulary;
};

std::optional<std::string> TextIo::Impl::spelling(std::optional<TokenId> id) const {
  if (!id) return std::nullopt;
  return std::string(tokenizer.piece(*id));
}

void TextIo::Impl::fill_special_tokens(text::RenderInput& input) const {
  if (!input.bos_token) input.bos_token = spelling(tokenizer.bos());
  if (!input.eos_token) input.eos_token = spelling(tokenizer.eos());
  if (auto unk = spelling(tokenizer.unk())) input.special_tokens.try_emplace("unk_token", *unk);
  if (auto pad = spelling(tokenizer.pad())) input.special_tokens.try_emplace("pad_token", *pad);
}

void TextIo::Impl::parse_templates(decltype(TextSources::templates) sources) {
  for (auto& [name, source] : sources) {
    auto parsed = text::ChatTemplate::parse(std::move(source));
    if (parsed.ok()) {
      templates.emplace(name, std::move(parsed).value());
    } else {
      notices.push_back(fmt::format("the model's chat template{}{} is not usable: {}",
                                    name.empty() ? "" : " ", name, parsed.error().message));
    }
  }
}

Status TextIo::Impl::collect_end_ids(std::vector<TokenId> ids) {
  for (auto id : {tokenizer.eos(), tokenizer.eot(), tokenizer.eom()})
    if (id) ids.push_back(*id);
  for (TokenId id : ids)
    if (id < 0 || id >= tokenizer.size())
      return make_error(ErrorCode::kCorrupt, "end id {} is outside the vocabulary of {} tokens", id,
                        tokenizer.size());

  // The first special token after an assistant's content is what ends its turn; what follows
  // may already belong to the next one.
  if (auto found = templates.find(""); found != templates.end()) {
    text::RenderInput input;
    fill_special_tokens(input);
    if (auto end = found->second.turn_end(input); end.ok()) {
      for (TokenId id : tokenizer.encode(*end, {.special = true})) {
        if (!tokenizer.is_special(id)) continue;
        if (id != tokenizer.bos()) ids.push_back(id);
        break;
      }
    }
  }
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  end_ids = std::move(ids);
  return {};
}

bool TextIo::Impl::is_special_word(std::string_view word) const {
  const auto id = tokenizer.find(word);
  return id && tokenizer.is_special(*id);
}

void TextIo::Impl::find_message_syntax() {
  const auto found = templates.find("");
  if (found == templates.end()) {
    message_syntax.no_calls = "it has no chat template";
    return;
  }
  text::RenderInput input;
  fill_special_tokens(input);
  message_syntax = text::find_message_syntax(
      found->second, input, [this](std::string_view word) { return is_special_word(word); });
  const auto add = [&](std::string_view word) {
    if (is_special_word(word)) message_markers.push_back(*tokenizer.find(word));
  };
  if (message_syntax.reasoning != nullptr) {
    add(message_syntax.reasoning->open);
    add(message_syntax.reasoning->close);
  }
  if (message_syntax.calls != nullptr)
    for (std::string_view word : message_syntax.calls->tokens) add(word);
  std::sort(message_markers.begin(), message_markers.end());
}

TextIo::TextIo(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TextIo::TextIo(TextIo&&) noexcept = default;
TextIo& TextIo::operator=(TextIo&&) noexcept = default;
TextIo::~TextIo() = default;

Result<TextIo> TextIo::load(const format::Checkpoint& checkpoint) {
  LANTERN_ASSIGN(TextSources sources, read_text_sources(checkpoint));
  LANTERN_ASSIGN(auto tokenizer, text::Tokenizer::create(std::move(sources.spec)));
  auto impl = std::make_unique<Impl>(std::move(tokenizer));
  impl->parse_templates(std::move(sources.templates));
  LANTERN_TRY(impl->collect_end_ids(std::move(sources.end_ids)));
  impl->find_message_syntax();
  return TextIo(std::move(impl));
}

const text::Tokenizer& TextIo::tokenizer() const { return impl_->tokenizer; }

const text::ChatTemplate* TextIo::chat_template(std::string_view name) const {
  auto found = impl_->templates.find(name);
  return found == impl_->templates.end() ? nullptr : &found->second;
}

std::vector<std::string> TextIo::template_names() const {
  std::vector<std::string> names;
  for (const auto& [name, parsed] : impl_->templates) names.push_back(name);
  return names;
}

const std::vector<TokenId>& TextIo::end_ids() const { return impl_->end_ids; }

bool TextIo::is_end(TokenId id) const {
  return std::binary_search(impl_->end_ids.begin(), impl_->end_ids.end(), id);
}

const text::MessageSyntax& TextIo::message_syntax() const { return impl_->message_syntax; }

const std::vector<TokenId>& TextIo::message_markers() const { return impl_->message_markers; }

bool TextIo::is_special_word(std::string_view word) const { return impl_->is_special_word(word); }

std::shared_ptr<const text::GrammarVocabulary> TextIo::grammar_vocabulary() const {
  std::call_once(impl_->grammar_once, [this] {
    impl_->grammar_vocabulary = text::GrammarVocabulary::create(impl_->tokenizer, impl_->end_ids);
  });
  return impl_->grammar_vocabulary;
}

Result<std::vector<text::Span>> TextIo::render(text::RenderInput input,
                                               std::string_view name) const {
  const text::ChatTemplate* found = chat_template(name);
  if (found == nullptr)
    return make_error(ErrorCode::kUnsupported, "the model has no {}chat template{}{}",
                      name.empty() ? "" : "such ", name.empty() ? "" : ": ", name);
  impl_->fill_special_tokens(input);
  return found->render(input);
}

std::vector<TokenId> TextIo::encode(const std::vector<text::Span>& spans) const {
  return impl_->tokenizer.encode(spans, {.add_bos = impl_->tokenizer.add_bos()});
}

std::vector<TokenId> TextIo::encode_raw(std::string_view text) const {
  return impl_->tokenizer.encode(text, {.add_bos = impl_->tokenizer.add_bos()});
}

std::vector<TokenId> TextIo::encode_to_embed(std::string_view text, int64_t length_max) const {
  const text::Tokenizer& tokenizer = impl_->tokenizer;
  const bool ends = tokenizer.add_eos() && tokenizer.eos();
  std::vector<TokenId> ids =
      tokenizer.encode(text, {.add_bos = tokenizer.add_bos(), .add_eos = ends});
  if (length_max > 0 && std::ssize(ids) > length_max) {
    ids.resize(static_cast<size_t>(length_max));
    if (ends) ids.back() = *tokenizer.eos();
  }
  return ids;
}

const std::vector<std::string>& TextIo::notices() const { return impl_->notices; }

}  // namespace lantern::engine
