#include "engine/tokenizer_from_metadata.h"

#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace lantern::engine {
namespace {

using format::Metadata;
using text::TokenizerSpec;
using text::TokenType;

constexpr std::string_view kPrefix = "tokenizer.ggml.";

std::string key(std::string_view name) { return std::string(kPrefix).append(name); }

// Nothing where the key is missing.
Result<std::optional<text::TokenId>> read_id(const Metadata& metadata, std::string_view name) {
  const std::string whole = key(name);
  if (!metadata.has(whole)) return std::optional<text::TokenId>();
  LANTERN_ASSIGN(int64_t id, metadata.get_int(whole, 0, INT32_MAX));
  return std::optional<text::TokenId>(static_cast<text::TokenId>(id));
}

Result<std::optional<bool>> read_bool(const Metadata& metadata, std::string_view name) {
  const std::string whole = key(name);
  if (!metadata.has(whole)) return std::optional<bool>();
  LANTERN_ASSIGN(bool value, metadata.get_bool(whole));
  return std::optional<bool>(value);
}

Result<text::StringTable> read_strings(const Metadata& metadata, std::string_view name) {
  LANTERN_ASSIGN(const format::StringArray* strings, metadata.get_strings(key(name)));
  text::StringTable table;
  table.reserve(strings->size(), strings->size() * 8);
  for (std::string_view s : *strings) table.push_back(s);
  return table;
}

Status read_ids(const Metadata& metadata, TokenizerSpec& spec) {
  using Field = std::optional<text::TokenId> TokenizerSpec::*;
  constexpr std::array<std::pair<std::string_view, Field>, 6> kIds = {
      {{"bos_token_id", &TokenizerSpec::bos},
       {"eos_token_id", &TokenizerSpec::eos},
       {"eot_token_id", &TokenizerSpec::eot},
       {"eom_token_id", &TokenizerSpec::eom},
       {"unknown_token_id", &TokenizerSpec::unk},
       {"padding_token_id", &TokenizerSpec::pad}}};
  for (const auto& [name, field] : kIds) {
    LANTERN_ASSIGN(spec.*field, read_id(metadata, name));
  }
  return {};
}

}  // namespace

Result<TokenizerSpec> tokenizer_from_metadata(const Metadata& metadata) {
  TokenizerSpec spec;
  LANTERN_ASSIGN(std::string model, metadata.get_string(key("model")));
  LANTERN_ASSIGN(spec.kind, text::tokenizer_kind_from_gguf(model));
  LANTERN_ASSIGN(spec.pre, metadata.get_string_or(key("pre"), ""));

  LANTERN_ASSIGN(spec.tokens, read_strings(metadata, "tokens"));
  if (metadata.has(key("merges"))) {
    LANTERN_ASSIGN(spec.merges, read_strings(metadata, "merges"));
  }
  if (metadata.has(key("scores"))) {
    LANTERN_ASSIGN(spec.scores, metadata.get_floats(key("scores")));
  }
  if (metadata.has(key("token_type"))) {
    // 0, "undefined" in the specification, is what some writers give every ordinary token.
    LANTERN_ASSIGN(auto types,
                   metadata.get_ints(key("token_type"), 0, static_cast<int64_t>(TokenType::kByte)));
    spec.types.reserve(types.size());
    for (int64_t type : types)
      spec.types.push_back(type == 0 ? TokenType::kNormal : static_cast<TokenType>(type));
  }
  LANTERN_TRY(read_ids(metadata, spec));
  if (spec.kind == text::TokenizerKind::kWordPiece) {
    // BERT's own names for what frames a text, one of them as the specification misspells it.
    LANTERN_ASSIGN(const auto cls, read_id(metadata, "cls_token_id"));
    LANTERN_ASSIGN(const auto sep, read_id(metadata, "seperator_token_id"));
    if (cls) spec.bos = cls;
    if (sep) spec.eos = sep;
    // Files from before there were such keys go by the spelling.
    for (size_t id = 0; id < spec.tokens.size(); ++id) {
      const std::string_view token = spec.tokens[id];
      if (!token.starts_with('[')) continue;
      const auto is = static_cast<text::TokenId>(id);
      if (!spec.bos && token == "[CLS]") spec.bos = is;
      if (!spec.eos && token == "[SEP]") spec.eos = is;
      if (!spec.unk && token == "[UNK]") spec.unk = is;
    }
  }
  LANTERN_ASSIGN(spec.add_bos, read_bool(metadata, "add_bos_token"));
  LANTERN_ASSIGN(spec.add_eos, read_bool(metadata, "add_eos_token"));
  LANTERN_ASSIGN(auto add_space, read_bool(metadata, "add_space_prefix"));
  if (add_space == false) spec.space_prefix = text::SpacePrefix::kNever;
  LANTERN_ASSIGN(spec.remove_extra_whitespaces,
                 metadata.get_bool_or(key("remove_extra_whitespaces"), false));
  return spec;
}

}  // namespace lantern::engine
