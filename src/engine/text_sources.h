// What a model's files say of its text side, before anything is built from it.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"
#include "text/tokenizer.h"

namespace lantern::engine {

struct TextSources {
  text::TokenizerSpec spec;
  std::map<std::string, std::string, std::less<>> templates;  // name -> source; "" is the default
  std::vector<text::TokenId> end_ids;                         // generation_config's list
};

/// From GGUF metadata, or from the files beside a Hugging Face folder's weights. Errors: kCorrupt,
/// kUnsupported, kNotFound where there is no tokenizer.
Result<TextSources> read_text_sources(const format::Checkpoint& checkpoint);

/// The files beside the weights of a Hugging Face folder that shape an answer, those that exist:
/// configs, tokenizer, templates, the index of shards. Empty for GGUF. They are part of the
/// model's identity.
std::vector<std::filesystem::path> text_files(const format::Checkpoint& checkpoint);

}  // namespace lantern::engine
