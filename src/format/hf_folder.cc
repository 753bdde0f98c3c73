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

constexpr char kTemplateFile[] = "chat_template.jinja", kModelCard[] = "README.md",
               kTemplateFolder[] = "additional_chat_templates";
constexpr char kModulesFile[] = "modules.json", kPoolingFile[] = "1_Pooling/config.json";
constexpr const char* kLicenceFiles[] = {"LICENSE", "LICENSE.txt", "LICENSE.md",
                                         "LICENCE", "LICENCE.txt", "License.txt"};

/// The file's text; its digest goes into `folder`.
Result<std::optional<std::string>> read_if_there(const Folder& files, const std::string& name,
                                                 uint64_t max_bytes, HfFolder& folder) {
  auto text = files.read_text(name, max_bytes);
  if (text.ok()) {
    folder.digests[name] = base::sha256(*text);
    return std::optional<std::string>(std::move(text).value());
  }
  if (text.error().code == ErrorCode::kNotFound) return std::optional<std::string>();
  return std::move(text).error();
}

/// An object; {} where the file is missing.
Result<Json> read_object_if_there(const Folder& files, const char* name, HfFolder& folder) {
  LANTERN_ASSIGN(auto text, read_if_there(files, name, kJsonBytesMax, folder));
  if (!text) return Json::object();
  const fs::path path = files.path() / name;
  LANTERN_ASSIGN(Json json, base::parse_json(*text, path.string()));
  if (!json.is_object())
    return make_error(ErrorCode::kCorrupt, "{}: is {}, an object is needed", path.string(),
                      json.type_name());
  return json;
}

Status read_sentence_files(const Folder& files, HfFolder& folder) {
  LANTERN_ASSIGN(folder.pooling, read_object_if_there(files, kPoolingFile, folder));
  LANTERN_ASSIGN(auto text, read_if_there(files, kModulesFile, kJsonBytesMax, folder));
  if (!text) return {};
  const std::string path = (files.path() / kModulesFile).string();
  LANTERN_ASSIGN(folder.modules, base::parse_json(*text, path));
  if (!folder.modules.is_array())
    return make_error(ErrorCode::kCorrupt, "{}: is {}, an array is needed", path,
                      folder.modules.type_name());
  return {};
}

Status read_template_files(const Folder& files, HfFolder& folder) {
  LANTERN_ASSIGN(auto text, read_if_there(files, kTemplateFile, kTemplateBytesMax, folder));
  if (text) folder.chat_templates["default"] = std::move(*text);
  LANTERN_ASSIGN(const std::vector<std::string> names, files.names_in(kTemplateFolder));
  for (const std::string& name : names) {
    const fs::path file(name);
    if (file.extension() != ".jinja") continue;
    if (folder.chat_templates.size() >= kTemplatesMax)
      return make_error(ErrorCode::kTooLarge, "{}: more than {} chat templates",
                        (files.path() / kTemplateFolder).string(), kTemplatesMax);
    LANTERN_ASSIGN(auto found, read_if_there(files, std::string(kTemplateFolder) + "/" + name,
                                             kTemplateBytesMax, folder));
    if (found) folder.chat_templates[file.stem().string()] = std::move(*found);
  }
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

Status read_templates(const Folder& files, HfFolder& folder) {
  LANTERN_TRY(read_template_files(files, folder));
  if (folder.chat_templates.empty()) {
    auto value = folder.tokenizer_config.find("chat_template");
    if (value != folder.tokenizer_config.end())
      LANTERN_TRY(take_templates(*value, (folder.path / "tokenizer_config.json").string(),
                                 folder.chat_templates));
  }
  if (folder.chat_templates.empty()) {
    LANTERN_ASSIGN(Json json, read_object_if_there(files, "chat_template.json", folder));
    if (json.contains("chat_template"))
      LANTERN_TRY(take_templates(json["chat_template"],
                                 (folder.path / "chat_template.json").string(),
                                 folder.chat_templates));
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

void read_licence(const Folder& files, HfFolder& folder) {
  if (const std::string name = HfFolder::licence_name(files); !name.empty())
    folder.licence_file = folder.path / name;
  auto card = files.read_text(kModelCard, kModelCardBytesMax);
  if (card.ok()) folder.licence_id = licence_of_card(*card);
}

}  // namespace

bool HfFolder::looks_like_one(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored) && fs::is_regular_file(path / "config.json", ignored);
}

Result<HfFolder> HfFolder::open(const fs::path& path) { return open(DiskFolder(path)); }

Result<HfFolder> HfFolder::open(const Folder& files) {
  HfFolder folder;
  folder.path = files.path();
  if (!files.has("config.json"))
    return make_error(ErrorCode::kNotFound,
                      "{}: no config.json in it: not a Hugging Face model's folder",
                      folder.path.string());
  LANTERN_ASSIGN(folder.config, read_object_if_there(files, "config.json", folder));
  LANTERN_ASSIGN(folder.generation_config,
                 read_object_if_there(files, "generation_config.json", folder));
  LANTERN_ASSIGN(folder.tokenizer_config,
                 read_object_if_there(files, "tokenizer_config.json", folder));
  LANTERN_ASSIGN(folder.special_tokens_map,
                 read_object_if_there(files, "special_tokens_map.json", folder));
  LANTERN_ASSIGN(folder.tokenizer_json,
                 read_if_there(files, "tokenizer.json", kTokenizerBytesMax, folder));
  LANTERN_TRY(read_templates(files, folder));
  LANTERN_TRY(read_sentence_files(files, folder));
  read_licence(files, folder);
  LANTERN_ASSIGN(std::unique_ptr<Checkpoint> weights, open_safetensors(files, ""));
  folder.weights = std::move(weights);
  return folder;
}

std::string HfFolder::licence_name(const Folder& folder) {
  for (const char* name : kLicenceFiles)
    if (folder.has(name)) return name;
  return "";
}

Result<std::vector<std::string>> HfFolder::readable_names(const Folder& folder) {
  constexpr std::string_view kByName[] = {"config.json",
                                          "adapter_config.json",
                                          "adapter_model.bin",
                                          "generation_config.json",
                                          "tokenizer_config.json",
                                          "tokenizer.json",
                                          "special_tokens_map.json",
                                          "chat_template.json",
                                          "pytorch_model.bin",
                                          "pytorch_model.bin.index.json",
                                          "model.safetensors.index.json",
                                          kTemplateFile,
                                          kModulesFile,
                                          kModelCard};
  LANTERN_ASSIGN(const std::vector<std::string> all, folder.names_in(""));
  std::vector<std::string> names;
  for (const std::string& name : all)
    if (std::find(std::begin(kByName), std::end(kByName), name) != std::end(kByName) ||
        std::find(std::begin(kLicenceFiles), std::end(kLicenceFiles), name) !=
            std::end(kLicenceFiles) ||
        name.ends_with(".safetensors"))
      names.push_back(name);
  LANTERN_ASSIGN(const std::vector<std::string> templates, folder.names_in(kTemplateFolder));
  for (const std::string& name : templates)
    if (name.ends_with(".jinja")) names.push_back(std::string(kTemplateFolder) + "/" + name);
  if (folder.has(kPoolingFile)) names.emplace_back(kPoolingFile);
  return names;
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
