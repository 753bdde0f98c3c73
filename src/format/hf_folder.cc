#include "format/hf_folder.h"

#include <algorithm>

#include "base/file.h"
#include "base/printable.h"
#include "format/safetensors.h"

namespace lantern::format {
namespace {

using base::Json;
using base::printable;
namespace fs = std::filesystem;

// The largest seen: a config of 50 KiB, a tokenizer_config of 1.2 MB, tokenizer.json of 35 MB.
constexpr uint64_t kJsonBytesMax = 16 << 20;
constexpr uint64_t kTokenizerBytesMax = 256 << 20;
constexpr uint64_t kTemplateBytesMax = 1 << 20;
constexpr uint64_t kModelCardBytesMax = 4 << 20;
constexpr size_t kTemplatesMax = 64;

Result<std::optional<std::string>> read_if_there(const fs::path& path, uint64_t max_bytes) {
  auto text = base::read_text_file(path, max_bytes);
  if (text.ok()) return std::optional<std::string>(std::move(text).value());
  if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return std::move(text).error();
}

/// An object; {} where the file is missing.
Result<Json> read_object_if_there(const fs::path& path) {
  LANTERN_ASSIGN(auto text, read_if_there(path, kJsonBytesMax));
  if (!text) return Json::object();
  LANTERN_ASSIGN(Json json, base::parse_json(*text, path.string()));
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: is {}, an object is needed", path.string(),
                      json.type_name());
  return json;
}

Status read_template_files(HfFolder& folder) {
  LANTERN_ASSIGN(auto text, read_if_there(folder.path / "chat_template.jinja", kTemplateBytesMax));
  if (text) folder.chat_templates["default"] = std::move(*text);
  std::error_code error;
  fs::directory_iterator files(folder.path / "additional_chat_templates", error);
  if (error) return {};  // not there
  for (; files != fs::directory_iterator(); files.increment(error)) {
    if (error) break;
    if (files->path().extension() != ".jinja") continue;
    if (folder.chat_templates.size() >= kTemplatesMax)
      return make_error(ErrorCode::kExhausted, "{}: more than {} chat templates",
                        files->path().parent_path().string(), kTemplatesMax);
    LANTERN_ASSIGN(folder.chat_templates[files->path().stem().string()],
                   base::read_text_file(files->path(), kTemplateBytesMax));
  }
  if (error) return make_error(ErrorCode::kIo, "{}: {}", folder.path.string(), error.message());
  return {};
}

/// A chat_template value: a string, or a list of {"name": ..., "template": ...}.
Status take_templates(const Json& value, const std::string& source,
                      std::map<std::string, std::string>& templates) {
  auto wrong = [&] {
    return make_error(ErrorCode::kCorrupt,
                      "{}: key chat_template: a string or a list of {{name, template}} is needed",
                      source);
  };
  if (value.is_null()) return {};
  if (value.is_string()) {
    templates["default"] = value.get<std::string>();
    return {};
  }
  if (!value.is_array() || value.size() > kTemplatesMax) return wrong();
  for (const Json& entry : value) {
    if (!entry.is_object()) return wrong();
    auto name = entry.find("name"), text = entry.find("template");
    if (name == entry.end() || text == entry.end() || !name->is_string() || !text->is_string())
      return wrong();
    if (!templates.emplace(name->get<std::string>(), text->get<std::string>()).second)
      return make_error(ErrorCode::kCorrupt, "{}: key chat_template: \"{}\" stands twice", source,
                        printable(name->get<std::string>()));
  }
  return {};
}

Status read_templates(HfFolder& folder) {
  LANTERN_TRY(read_template_files(folder));
  if (folder.chat_templates.empty()) {
    auto value = folder.tokenizer_config.find("chat_template");
    if (value != folder.tokenizer_config.end())
      LANTERN_TRY(take_templates(*value, (folder.path / "tokenizer_config.json").string(),
                                 folder.chat_templates));
  }
  if (folder.chat_templates.empty()) {
    fs::path path = folder.path / "chat_template.json";
    LANTERN_ASSIGN(Json json, read_object_if_there(path));
    if (json.contains("chat_template"))
      LANTERN_TRY(take_templates(json["chat_template"], path.string(), folder.chat_templates));
  }
  return {};
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kAround = " \t\r\"'";
  size_t begin = text.find_first_not_of(kAround);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kAround) - begin + 1);
}

/// `license: apache-2.0` between the two lines --- that begin a model card. A card says only what
/// the model may be used under; one that cannot be read is no reason not to load the model.
std::optional<std::string> licence_of_card(std::string_view card) {
  if (!card.starts_with("---\n") && !card.starts_with("---\r\n")) return std::nullopt;
  card.remove_prefix(card.find('\n') + 1);
  while (!card.empty()) {
    size_t end = std::min(card.find('\n'), card.size());
    std::string_view line = card.substr(0, end);
    card.remove_prefix(std::min(end + 1, card.size()));
    if (line.starts_with("---")) return std::nullopt;
    if (!line.starts_with("license:")) continue;
    std::string_view id = trim(line.substr(8));
    if (id.empty()) return std::nullopt;
    return printable(id);
  }
  return std::nullopt;
}

void read_licence(HfFolder& folder) {
  for (const char* name :
       {"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "License.txt"}) {
    std::error_code ignored;
    if (!fs::is_regular_file(folder.path / name, ignored)) continue;
    folder.licence_file = folder.path / name;
    break;
  }
  auto card = base::read_text_file(folder.path / "README.md", kModelCardBytesMax);
  if (card.ok()) folder.licence_id = licence_of_card(*card);
}

}  // namespace

bool HfFolder::looks_like_one(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::is_regular_file(path / "config.json", ignored);
}

Result<HfFolder> HfFolder::open(const fs::path& path) {
  HfFolder folder;
  folder.path = path;
  std::error_code ignored;
  if (!fs::is_regular_file(path / "config.json", ignored))
    return make_error(ErrorCode::kNotFound,
                      "{}: no config.json in it: not a Hugging Face model's folder", path.string());
  LANTERN_ASSIGN(folder.config, read_object_if_there(path / "config.json"));
  LANTERN_ASSIGN(folder.generation_config, read_object_if_there(path / "generation_config.json"));
  LANTERN_ASSIGN(folder.tokenizer_config, read_object_if_there(path / "tokenizer_config.json"));
  LANTERN_ASSIGN(folder.special_tokens_map, read_object_if_there(path / "special_tokens_map.json"));
  LANTERN_ASSIGN(folder.tokenizer_json, read_if_there(path / "tokenizer.json", kTokenizerBytesMax));
  LANTERN_TRY(read_templates(folder));
  read_licence(folder);
  LANTERN_ASSIGN(std::unique_ptr<Checkpoint> weights, open_safetensors(path));
  folder.weights = std::move(weights);
  return folder;
}

const Json& HfFolder::text_config() const {
  auto at = config.find("text_config");
  return at != config.end() && at->is_object() ? *at : config;
}

Result<std::string> HfFolder::model_type() const {
  for (const Json* from : {&text_config(), &config}) {
    auto at = from->find("model_type");
    if (at != from->end() && at->is_string()) return at->get<std::string>();
  }
  return make_error(ErrorCode::kCorrupt, "{}: key model_type: a string is needed",
                    (path / "config.json").string());
}

std::optional<std::string> HfFolder::special_token(std::string_view name) const {
  for (const Json* from : {&tokenizer_config, &special_tokens_map}) {
    auto at = from->find(name);
    if (at == from->end()) continue;
    if (at->is_string()) return at->get<std::string>();
    if (!at->is_object()) continue;
    auto content = at->find("content");
    if (content != at->end() && content->is_string()) return content->get<std::string>();
  }
  return std::nullopt;
}

}  // namespace lantern::format
