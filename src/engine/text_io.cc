#include "engine/text_io.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "base/file.h"
#include "base/json.h"
#include "engine/tokenizer_from_metadata.h"
#include "text/tokenizer_json.h"

namespace lantern::engine {
namespace {

namespace fs = std::filesystem;
using base::Json;
using format::Metadata;
using text::TokenId;

// Several times the largest published ones.
constexpr uint64_t kTokenizerJsonBytesMax = 128u << 20;
constexpr uint64_t kConfigBytesMax = 32u << 20;
constexpr uint64_t kTemplateBytesMax = 1u << 20;
constexpr size_t kNamedTemplatesMax = 32;

constexpr std::string_view kTokenizerModelKey = "tokenizer.ggml.model";
constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

using Templates = std::map<std::string, std::string, std::less<>>;  // name -> source

// What a model's files say, before anything is built from it.
struct Sources {
  text::TokenizerSpec spec;
  Templates templates;
  std::vector<TokenId> end_ids;
};

bool in_metadata(const format::Checkpoint& checkpoint) {
  return checkpoint.metadata().has(kTokenizerModelKey) || checkpoint.files().empty() ||
         checkpoint.files()[0].extension() == ".gguf";
}

Result<Sources> from_metadata(const Metadata& metadata) {
  Sources sources;
  LANTERN_ASSIGN(sources.spec, tokenizer_from_metadata(metadata));
  for (const auto& [key, entry] : metadata.all()) {
    if (!key.starts_with(kTemplateKey)) continue;
    std::string_view name = std::string_view(key).substr(kTemplateKey.size());
    if (!name.empty() && name[0] != '.') continue;  // tokenizer.chat_templates: only the names
    if (sources.templates.size() == kNamedTemplatesMax) break;
    LANTERN_ASSIGN(std::string source, metadata.get_string(key));
    sources.templates.emplace(name.empty() ? name : name.substr(1), std::move(source));
  }
  return sources;
}

// Nothing where there is no such file.
Result<std::optional<std::string>> read_optional(const fs::path& path, uint64_t bytes_max) {
  auto content = base::read_text_file(path, bytes_max);
  if (content.ok()) return std::optional<std::string>(std::move(content).value());
  if (content.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return std::move(content).error();
}

// `eos_token_id` of generation_config.json or config.json: one id or a list.
Status read_end_ids(const fs::path& path, std::vector<TokenId>& ids) {
  LANTERN_ASSIGN(auto content, read_optional(path, kConfigBytesMax));
  if (!content) return {};
  LANTERN_ASSIGN(Json config, base::parse_json(*content, path.string()));
  if (!config.is_object()) return {};
  auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return {};
  auto take = [&](const Json& id) -> Status {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
      return make_error(ErrorCode::kCorrupt, "{}: eos_token_id: {} is no token id", path.string(),
                        id.dump().substr(0, 40));
    ids.push_back(static_cast<TokenId>(id.get<uint64_t>()));
    return {};
  };
  if (!found->is_array()) return take(*found);
  for (const Json& id : *found) LANTERN_TRY(take(id));
  return {};
}

// tokenizer_config.json's chat_template: a text, or a list of {name, template}.
Status read_templates(const Json& config, const std::string& what, Templates& templates) {
  auto found = config.find("chat_template");
  if (found == config.end() || found->is_null()) return {};
  if (found->is_string()) {
    templates.emplace("", found->get<std::string>());
    return {};
  }
  auto wrong = [&] {
    return make_error(ErrorCode::kCorrupt,
                      "{}: chat_template: neither text nor a list of {{name, template}}", what);
  };
  if (!found->is_array() || found->size() > kNamedTemplatesMax) return wrong();
  for (const Json& item : *found) {
    if (!item.is_object() || !item.contains("name") || !item.contains("template") ||
        !item["name"].is_string() || !item["template"].is_string())
      return wrong();
    auto name = item["name"].get<std::string>();
    if (name == "default") name.clear();
    templates.emplace(std::move(name), item["template"].get<std::string>());
  }
  return {};
}

constexpr std::string_view kNamedTemplatesFolder = "additional_chat_templates";

std::vector<fs::path> named_template_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder / kNamedTemplatesFolder, error), end;
       !error && it != end && files.size() < kNamedTemplatesMax; it.increment(error))
    if (it->path().extension() == ".jinja") files.push_back(it->path());
  std::sort(files.begin(), files.end());
  return files;
}

Result<Sources> from_folder(const fs::path& folder) {
  Sources sources;
  const fs::path tokenizer = folder / "tokenizer.json";
  auto json = base::read_text_file(tokenizer, kTokenizerJsonBytesMax);
  if (!json.ok() && json.error().code == ErrorCode::kNotFound)
    return make_error(ErrorCode::kNotFound,
                      "{}: no such file, and a Hugging Face folder needs it (a tokenizer.model "
                      "alone is not read)",
                      tokenizer.string());
  if (!json.ok()) return std::move(json).error();
  LANTERN_ASSIGN(sources.spec, text::parse_tokenizer_json(*json, tokenizer.string()));

  const fs::path config_path = folder / "tokenizer_config.json";
  LANTERN_ASSIGN(auto config_text, read_optional(config_path, kConfigBytesMax));
  if (config_text) {
    LANTERN_TRY(text::apply_tokenizer_config(*config_text, config_path.string(), sources.spec));
    LANTERN_ASSIGN(Json config, base::parse_json(*config_text, config_path.string()));
    if (config.is_object())
      LANTERN_TRY(read_templates(config, config_path.string(), sources.templates));
  }
  LANTERN_ASSIGN(auto jinja, read_optional(folder / "chat_template.jinja", kTemplateBytesMax));
  if (jinja) sources.templates[""] = std::move(*jinja);  // transformers prefers the file
  for (const fs::path& path : named_template_files(folder)) {
    LANTERN_ASSIGN(auto source, base::read_text_file(path, kTemplateBytesMax));
    sources.templates[path.stem().string()] = std::move(source);
  }

  LANTERN_TRY(read_end_ids(folder / "generation_config.json", sources.end_ids));
  if (sources.end_ids.empty()) LANTERN_TRY(read_end_ids(folder / "config.json", sources.end_ids));
  return sources;
}

}  // namespace

std::vector<fs::path> text_files(const format::Checkpoint& checkpoint) {
  std::vector<fs::path> files;
  if (in_metadata(checkpoint)) return files;
  const fs::path folder = checkpoint.files()[0].parent_path();
  constexpr std::array<std::string_view, 5> kNames = {
      "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
      "chat_template.jinja"};
  for (std::string_view name : kNames)
    if (std::error_code error; fs::exists(folder / name, error)) files.push_back(folder / name);
  for (fs::path& path : named_template_files(folder)) files.push_back(std::move(path));
  return files;
}

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

  void parse_templates(Templates sources);
  Status collect_end_ids(std::vector<TokenId> ids);
  void fill_special_tokens(text::RenderInput& input) const;
  [[nodiscard]] std::optional<std::string> spelling(std::optional<TokenId> id) const;

  text::Tokenizer tokenizer;
  std::map<std::string, text::ChatTemplate, std::less<>> templates;
  std::vector<TokenId> end_ids;
  std::vector<std::string> notices;
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

void TextIo::Impl::parse_templates(Templates sources) {
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

TextIo::TextIo(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TextIo::TextIo(TextIo&&) noexcept = default;
TextIo& TextIo::operator=(TextIo&&) noexcept = default;
TextIo::~TextIo() = default;

Result<TextIo> TextIo::load(const format::Checkpoint& checkpoint) {
  LANTERN_ASSIGN(auto sources, in_metadata(checkpoint)
                                   ? from_metadata(checkpoint.metadata())
                                   : from_folder(checkpoint.files()[0].parent_path()));
  LANTERN_ASSIGN(auto tokenizer, text::Tokenizer::create(std::move(sources.spec)));
  auto impl = std::make_unique<Impl>(std::move(tokenizer));
  impl->parse_templates(std::move(sources.templates));
  LANTERN_TRY(impl->collect_end_ids(std::move(sources.end_ids)));
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

const std::vector<std::string>& TextIo::notices() const { return impl_->notices; }

}  // namespace lantern::engine
