#include "engine/text_sources.h"

#include <algorithm>
#include <array>
#include <optional>
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
using Templates = decltype(TextSources::templates);

// Several times the largest published ones.
constexpr uint64_t kTokenizerJsonBytesMax = 128u << 20;
constexpr uint64_t kConfigBytesMax = 32u << 20;
constexpr uint64_t kTemplateBytesMax = 1u << 20;
constexpr size_t kNamedTemplatesMax = 32;

constexpr std::string_view kTokenizerModelKey = "tokenizer.ggml.model";
constexpr std::string_view kTemplateKey = "tokenizer.chat_template";

bool in_metadata(const format::Checkpoint& checkpoint) {
  return checkpoint.metadata().has(kTokenizerModelKey) || checkpoint.files().empty() ||
         checkpoint.files()[0].extension() == ".gguf";
}

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

Result<TextSources> from_folder(const fs::path& folder) {
  TextSources sources;
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

Result<TextSources> read_text_sources(const format::Checkpoint& checkpoint) {
  return in_metadata(checkpoint) ? from_metadata(checkpoint.metadata())
                                 : from_folder(checkpoint.files()[0].parent_path());
}

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

}  // namespace lantern::engine
