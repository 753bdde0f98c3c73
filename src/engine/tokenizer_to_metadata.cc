#include "engine/tokenizer_to_metadata.h"

#include <algorithm>
#include <limits>
#include <string>
#include <unordered_map>
#include <utility>

#include "text/piece_bytes.h"
#include "text/pretokenizer.h"
#include "text/wordpiece.h"

namespace lantern::engine {
namespace {

using format::Metadata;
using text::TokenId;
using text::TokenizerKind;
using text::TokenizerSpec;
using text::TokenType;

std::string ggml_key(std::string_view name) { return std::string("tokenizer.ggml.").append(name); }

void write_id(Metadata& metadata, std::string_view name, std::optional<TokenId> id) {
  if (id) metadata.set(ggml_key(name), static_cast<uint64_t>(*id));
}

std::vector<int64_t> token_types(const TokenizerSpec& spec, size_t n_vocab) {
  std::vector<int64_t> types(n_vocab, static_cast<int64_t>(TokenType::kUnused));
  for (size_t i = 0; i < spec.tokens.size(); ++i)
    types[i] = static_cast<int64_t>(i < spec.types.size() ? spec.types[i] : TokenType::kNormal);
  for (const text::AddedToken& added : spec.added)
    types[static_cast<size_t>(added.id)] =
        static_cast<int64_t>(added.special ? TokenType::kControl : TokenType::kUserDefined);
  return types;
}

/// Minus the lowest rank of a merge that makes the token; tokens that no merge makes come first or
/// never take part.
std::vector<float> scores_from_merges(const TokenizerSpec& spec, size_t n_vocab) {
  std::unordered_map<std::string, size_t> ids;
  for (size_t i = 0; i < spec.tokens.size(); ++i) ids.emplace(std::string(spec.tokens[i]), i);
  std::vector<float> scores(n_vocab, 0.0f);
  for (size_t rank = spec.merges.size(); rank-- > 0;) {
    std::string joined(spec.merges[rank]);
    if (const size_t space = joined.find(' '); space != std::string::npos) joined.erase(space, 1);
    if (auto found = ids.find(joined); found != ids.end())
      scores[found->second] = -static_cast<float>(rank + 1);
  }
  return scores;
}

Status check_expressible(const TokenizerSpec& spec) {
  // Readers of GGUF take both from the pre-tokenizer's name.
  text::PreTokenizer implied;
  if (spec.kind == TokenizerKind::kByteLevelBpe) {
    LANTERN_ASSIGN(implied, text::find_pre_tokenizer(spec.pre));
  }
  if (const bool nfc = spec.nfc.value_or(implied.nfc); nfc != implied.nfc)
    return make_error(ErrorCode::kUnsupported,
                      "tokenizer.json: {} the normalizer NFC has no place in a GGUF file whose "
                      "pre-tokenizer is \"{}\"",
                      nfc ? "with" : "without", spec.pre);
  if (const bool ignore = spec.ignore_merges.value_or(implied.ignore_merges);
      ignore != implied.ignore_merges)
    return make_error(ErrorCode::kUnsupported,
                      "tokenizer.json: ignore_merges {} has no place in a GGUF file whose "
                      "pre-tokenizer is \"{}\"",
                      ignore, spec.pre);
  for (const text::AddedToken& added : spec.added)
    if (!added.special && (added.lstrip || added.rstrip))
      return make_error(ErrorCode::kUnsupported,
                        "tokenizer.json: the added token {} takes the spaces beside it, which has "
                        "no place in a GGUF file",
                        added.id);
  if (spec.space_prefix == text::SpacePrefix::kEveryUnlessThere)
    return make_error(ErrorCode::kUnsupported,
                      "tokenizer.json: this way of prefixing spaces has no place in a GGUF file");
  if (spec.kind != TokenizerKind::kWordPiece) return {};
  const text::BertNormalizer usual = text::usual_bert_normalizer(spec.tokens);
  const text::BertNormalizer is = spec.bert.value_or(usual);
  if (is.clean_text != usual.clean_text || is.handle_chinese_chars != usual.handle_chinese_chars ||
      is.strip_accents != usual.strip_accents || is.lowercase != usual.lowercase)
    return make_error(
        ErrorCode::kUnsupported,
        "tokenizer.json: this BertNormalizer has no place in a GGUF file, whose readers "
        "lower the case and strip accents by the vocabulary");
  return {};
}

/// A token as GGUF spells it: those of WordPiece that begin a word carry U+2581, and no other does.
std::string spelling_of(const TokenizerSpec& spec, size_t id, int64_t type) {
  const std::string_view token = spec.tokens[id];
  const bool is_ordinary = type == static_cast<int64_t>(TokenType::kNormal);
  if (spec.kind != TokenizerKind::kWordPiece || !spec.marked_continuation || !is_ordinary)
    return std::string(token);
  if (token.starts_with("##")) return std::string(token.substr(2));
  return std::string(text::kVisibleSpace).append(token);
}

void write_vocabulary(const TokenizerSpec& spec, size_t n_vocab, Metadata& metadata) {
  const std::vector<int64_t> types = token_types(spec, n_vocab);
  format::StringArray tokens;
  for (size_t i = 0; i < spec.tokens.size(); ++i) tokens.push_back(spelling_of(spec, i, types[i]));
  for (size_t i = spec.tokens.size(); i < n_vocab; ++i) tokens.push_back(fmt::format("[PAD{}]", i));
  metadata.set(ggml_key("tokens"), std::move(tokens));
  metadata.set(ggml_key("token_type"), types, format::MetadataType::kInt32);
  if (!spec.merges.empty()) {
    format::StringArray merges;
    for (size_t i = 0; i < spec.merges.size(); ++i) merges.push_back(spec.merges[i]);
    metadata.set(ggml_key("merges"), std::move(merges));
  }
  if (spec.kind == TokenizerKind::kSentencePieceBpe) {
    std::vector<float> scores = spec.scores;
    if (scores.empty()) scores = scores_from_merges(spec, n_vocab);
    scores.resize(n_vocab, std::numeric_limits<float>::lowest());
    metadata.set(ggml_key("scores"), std::move(scores));
  }
}

/// The first end id is eos; GGUF has two more places.
void write_end_ids(const TextSources& sources, Metadata& metadata) {
  const TokenizerSpec& spec = sources.spec;
  std::vector<TokenId> more;
  for (TokenId id : sources.end_ids)
    if (id != spec.eos && id != spec.eot && id != spec.eom) more.push_back(id);
  auto eos = spec.eos, eot = spec.eot, eom = spec.eom;
  auto next = more.begin();
  for (auto* place : {&eos, &eot, &eom})
    if (!*place && next != more.end()) *place = *next++;
  write_id(metadata, "eos_token_id", eos);
  write_id(metadata, "eot_token_id", eot);
  write_id(metadata, "eom_token_id", eom);
}

}  // namespace

Status tokenizer_to_metadata(const TextSources& sources, int64_t n_vocab, Metadata& metadata) {
  const TokenizerSpec& spec = sources.spec;
  LANTERN_TRY(check_expressible(spec));
  const auto n = std::max(static_cast<size_t>(n_vocab), spec.tokens.size());
  for (const text::AddedToken& added : spec.added)
    if (added.id < 0 || static_cast<size_t>(added.id) >= n)
      return make_error(ErrorCode::kCorrupt,
                        "tokenizer.json: added token {} is outside the vocabulary", added.id);
  const bool sentence_piece = spec.kind == TokenizerKind::kSentencePieceBpe;
  const bool word_piece = spec.kind == TokenizerKind::kWordPiece;
  metadata.set(ggml_key("model"), std::string(word_piece       ? "bert"
                                              : sentence_piece ? "llama"
                                                               : "gpt2"));
  metadata.set(ggml_key("pre"), spec.pre.empty() && (sentence_piece || word_piece)
                                    ? std::string("default")
                                    : spec.pre);
  if (word_piece) {
    write_id(metadata, "cls_token_id", spec.bos);
    write_id(metadata, "seperator_token_id", spec.eos);  // as the specification spells it
  }
  write_vocabulary(spec, n, metadata);
  write_id(metadata, "bos_token_id", spec.bos);
  write_id(metadata, "unknown_token_id", spec.unk);
  write_id(metadata, "padding_token_id", spec.pad);
  write_end_ids(sources, metadata);
  if (spec.add_bos) metadata.set(ggml_key("add_bos_token"), *spec.add_bos);
  if (spec.add_eos) metadata.set(ggml_key("add_eos_token"), *spec.add_eos);
  if (sentence_piece)
    metadata.set(ggml_key("add_space_prefix"), spec.space_prefix != text::SpacePrefix::kNever);
  for (const auto& [name, source] : sources.templates)
    metadata.set("tokenizer.chat_template" + (name.empty() ? "" : "." + name), source);
  return {};
}

}  // namespace lantern::engine
