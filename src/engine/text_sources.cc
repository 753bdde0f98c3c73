#include "engine/text_sources.h"

#include <array>
#include <optional>
#include <utility>

#include "base/json.h"
#include "base/printable.h"
#include "engine/tokenizer_from_metadata.h"
#include "format/hf_folder.h"
#include "format/peft_folder.h"
#include "text/tokenizer_json.h"

namespace lantern::engine {
namespace {

namespace fs = std::filesystem;
using base::Json;
using format::Metadata;
using text::TokenId;
using Templates = decltype(TextSources::templates);

// Several times what any published model has.
constexpr size_t kNamedTemplatesMax = 32;

constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

Result<TextSources> from_metadata(const Metadata& metadata) {
  TextSources sources;
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

// `eos_token_id` of generation_config.json or config.json: one id or a list.
Status read_end_ids(const Json& config, std::string_view what, std::vector<TokenId>& ids) {
  auto found = config.find("eos_token_id");
  if (found == config.end() || found->is_null()) return {};
  auto take = [&](const Json& id) -> Status {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
      return make_error(ErrorCode::kCorrupt, "{}: eos_token_id: {} is no token id", what,
                        base::printable(id.dump(), 40));
    ids.push_back(static_cast<TokenId>(id.get<uint64_t>()));
    return {};
  };
  if (!found->is_array()) return take(*found);
  for (const Json& id : *found) LANTERN_TRY(take(id));
  return {};
}

// The special tokens that only special_tokens_map.json names.
void fill_from_map(const format::HfFolder& folder, text::TokenizerSpec& spec) {
  using Field = std::optional<TokenId> text::TokenizerSpec::*;
  constexpr std::array<std::pair<std::string_view, Field>, 4> kTokens = {
      {{"bos_token", &text::TokenizerSpec::bos},
       {"eos_token", &text::TokenizerSpec::eos},
       {"unk_token", &text::TokenizerSpec::unk},
       {"pad_token", &text::TokenizerSpec::pad}}};
  for (const auto& [name, field] : kTokens) {
    if (spec.*field) continue;
    const auto spelling = folder.special_token(name);
    if (!spelling) continue;
    for (size_t id = 0; id < spec.tokens.size() && !(spec.*field); ++id)
      if (spec.tokens[id] == *spelling) spec.*field = static_cast<TokenId>(id);
  }
}

Result<TextSources> from_folder(const format::HfFolder& folder) {
  const fs::path& path = folder.path;
  const std::string tokenizer = (path / "tokenizer.json").string();
  if (!folder.tokenizer_json)
    return make_error(ErrorCode::kNotFound,
                      "{}: no such file, and a Hugging Face folder needs it (a tokenizer.model "
                      "alone is not read)",
                      tokenizer);
  TextSources sources;
  LANTERN_ASSIGN(sources.spec, text::parse_tokenizer_json(*folder.tokenizer_json, tokenizer));
  LANTERN_TRY(text::apply_tokenizer_config(
      folder.tokenizer_config.dump(), (path / "tokenizer_config.json").string(), sources.spec));
  fill_from_map(folder, sources.spec);
  for (const auto& [name, source] : folder.chat_templates)
    sources.templates.emplace(name == "default" ? "" : name, source);
  LANTERN_TRY(read_end_ids(folder.generation_config, (path / "generation_config.json").string(),
                           sources.end_ids));
  if (sources.end_ids.empty())
    LANTERN_TRY(
        read_end_ids(folder.text_config(), (path / "config.json").string(), sources.end_ids));
  return sources;
}

}  // namespace

Result<TextSources> read_text_sources(const format::Checkpoint& checkpoint) {
  return checkpoint.folder() == nullptr ? from_metadata(checkpoint.metadata())
                                        : from_folder(*checkpoint.folder());
}

std::vector<fs::path> text_files(const format::Checkpoint& checkpoint) {
  std::vector<fs::path> files;
  if (checkpoint.folder() == nullptr) return files;
  const fs::path& folder = checkpoint.folder()->path;
  if (checkpoint.folder()->is_adapter) return {folder / format::kPeftConfigFile};
  constexpr std::array<std::string_view, 10> kNames = {
      "config.json",          "generation_config.json",       "tokenizer_config.json",
      "tokenizer.json",       "special_tokens_map.json",      "chat_template.jinja",
      "chat_template.json",   "model.safetensors.index.json", "modules.json",
      "1_Pooling/config.json"};
  std::error_code error;
  for (std::string_view name : kNames)
    if (fs::exists(folder / name, error)) files.push_back(folder / name);
  for (fs::directory_iterator it(folder / "additional_chat_templates", error), end;
       !error && it != end; it.increment(error))
    if (it->path().extension() == ".jinja") files.push_back(it->path());
  return files;
}

}  // namespace lantern::engine
