// A model as Hugging Face publishes it: a folder with config.json, safetensors, tokenizer.json.
//
// Read here, mapped elsewhere: arch/ knows what an architecture's config and tensor names
// mean and turns the folder into a Checkpoint (renamed_checkpoint.h).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/json.h"
#include "base/result.h"
#include "format/checkpoint.h"
#include "format/folder.h"

namespace lantern::format {

struct HfFolder {
  std::filesystem::path path;
  /// Of an adapter (peft_folder.h): `config` is its adapter_config.json, and of the rest there are
  /// path and digests.
  bool is_adapter = false;

  /// SHA-256 of each file below as it was read, by its name in the folder: whoever admits the
  /// folder compares them, so that nothing is used that was not checked. The licence's are not
  /// among them.
  std::map<std::string, base::Digest> digests;

  /// config.json as it stands. transformers 4 writes rope_theta and rope_scaling, 5 writes
  /// rope_parameters; multimodal models have a text_config in it.
  base::Json config;
  base::Json generation_config = base::Json::object();  // these three: {} where there is none
  base::Json tokenizer_config = base::Json::object();
  base::Json special_tokens_map = base::Json::object();
  /// modules.json and 1_Pooling/config.json of sentence-transformers: what happens to the states.
  base::Json modules = base::Json::array();
  base::Json pooling = base::Json::object();
  std::optional<std::string> tokenizer_json;  // the text; text/ parses it

  /// By name; the one that is used when none is asked for is "default". From chat_template.jinja
  /// and additional_chat_templates/NAME.jinja where there are such files, else from
  /// tokenizer_config.json's chat_template, a string or a list of {name, template} (the precedence
  /// of transformers), else from chat_template.json.
  std::map<std::string, std::string> chat_templates;

  std::optional<std::filesystem::path> licence_file;  // LICENSE, LICENSE.txt, LICENSE.md or alike
  std::optional<std::string> licence_id;              // `license:` of the model card's front matter

  /// The weights under their own names; shapes [rows, cols].
  std::shared_ptr<const Checkpoint> weights;

  /// Errors: kNotFound without config.json or weights, kUnsupported with pickled weights alone,
  /// kCorrupt and kTooLarge as the parts' readers say.
  static Result<HfFolder> open(const std::filesystem::path& path);
  static Result<HfFolder> open(const Folder& folder);
  /// Names of the files in `folder` that open() may read, for who opens them for a confined
  /// process. kTooLarge past 100,000 files.
  static Result<std::vector<std::string>> readable_names(const Folder& folder);
  /// LICENSE or alike in `folder`; empty where there is none.
  static std::string licence_name(const Folder& folder);
  /// Whether `path` is a folder with a config.json.
  static bool looks_like_one(const std::filesystem::path& path);

  /// `config` with the text part of a multimodal model's in its place: text_config where there is
  /// one, else config itself.
  [[nodiscard]] const base::Json& text_config() const;
  /// The config's model_type ("llama"), of the text part.
  [[nodiscard]] Result<std::string> model_type() const;
  /// A special token's text ("bos_token", "eos_token", "pad_token", "unk_token") from
  /// tokenizer_config.json, else special_tokens_map.json; each gives a string or an object with
  /// `content`.
  [[nodiscard]] std::optional<std::string> special_token(std::string_view name) const;
};

}  // namespace lantern::format
