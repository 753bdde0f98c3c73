// tokenizer.json is a pipeline: normalizer, pre_tokenizer, model, post_processor, decoder, and
// the added tokens. Of each only the forms that models of ours use are known, and recognised
// exactly; a pipeline that differs in any part would give other tokens, so it is refused.
#include "text/tokenizer_json.h"

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/json_builder.h"
#include "text/flat_hash.h"
#include "text/piece_bytes.h"
#include "text/pretokenizer.h"

namespace lantern::text {
namespace {

using base::Json;

constexpr size_t kPipelineStepsMax = 64;

/// The member `key` of an object; null where there is none or it is JSON's null.
const Json* member(const Json& object, const char* key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<bool> bool_or(const Json& object, const char* key, bool otherwise) {
  const Json* value = member(object, key);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean())
    return make_error(ErrorCode::kCorrupt, "\"{}\" is not true or false", key);
  return value->get<bool>();
}

/// "" where it is missing or no string.
std::string string_or_empty(const Json& object, const char* key) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

Error no_token_id(std::string_view value) {
  return make_error(ErrorCode::kCorrupt, "{} is no token id, 0 to {}", value, kTokensMax - 1);
}

Result<TokenId> token_id(const Json& value) {
  if (!value.is_number_integer() ||
      (value.is_number_unsigned() && value.get<uint64_t>() >= kTokensMax) ||
      value.get<int64_t>() < 0 || value.get<int64_t>() >= static_cast<int64_t>(kTokensMax))
    return no_token_id(value.dump(-1, ' ', true).substr(0, 40));
  return static_cast<TokenId>(value.get<int64_t>());
}

/// Keeps a tokenizer.json as values but for model.vocab and model.merges, which are most of it:
/// those go straight into tables, and are left empty among the values.
class Reader : public base::JsonBuilder<Json> {
 public:
  Reader() : JsonBuilder(base::JsonLimits().depth_max) {}

  StringTable vocab;               // in the file's order
  std::vector<TokenId> vocab_ids;  // of each
  StringTable merges;              // "left right"

  bool null() override { return outside() ? JsonBuilder::null() : misplaced("null"); }
  bool boolean(bool value) override {
    return outside() ? JsonBuilder::boolean(value) : misplaced(value ? "true" : "false");
  }
  bool number_integer(int64_t value) override {
    return outside() ? JsonBuilder::number_integer(value) : misplaced(std::to_string(value));
  }
  bool number_unsigned(uint64_t value) override {
    if (outside()) return JsonBuilder::number_unsigned(value);
    if (inside_ != Inside::kVocab || value >= kTokensMax) return misplaced(std::to_string(value));
    vocab_ids.push_back(static_cast<TokenId>(value));
    return true;
  }
  bool number_float(double value, const std::string& text) override {
    return outside() ? JsonBuilder::number_float(value, text) : misplaced(text);
  }
  bool string(std::string& value) override {
    if (outside()) return JsonBuilder::string(value);
    if (inside_ == Inside::kVocab) return misplaced('"' + value.substr(0, 40) + '"');
    if (inside_ == Inside::kMerge) return add_part(value);
    ++n_merges_;
    merges.push_back(value);
    return true;
  }

  bool start_object(size_t size) override {
    if (!outside()) return misplaced("an object");
    if (!JsonBuilder::start_object(size)) return false;
    if (++depth_ == 3 && at_member("vocab")) inside_ = Inside::kVocab;
    return true;
  }
  bool end_object() override {
    inside_ = Inside::kNothing;
    --depth_;
    return JsonBuilder::end_object();
  }
  bool start_array(size_t size) override {
    if (inside_ == Inside::kMerges) {
      inside_ = Inside::kMerge;
      n_parts_ = 0;
      return true;
    }
    if (!outside()) return misplaced("a list");
    if (!JsonBuilder::start_array(size)) return false;
    if (++depth_ == 3 && at_member("merges")) inside_ = Inside::kMerges;
    return true;
  }
  bool end_array() override {
    if (inside_ == Inside::kMerge) {
      inside_ = Inside::kMerges;
      return end_pair();
    }
    inside_ = Inside::kNothing;
    --depth_;
    return JsonBuilder::end_array();
  }
  bool key(std::string& name) override {
    if (inside_ == Inside::kVocab) {
      vocab.push_back(name);
      return true;
    }
    if (depth_ <= 2) keys_[depth_ - 1] = name;
    if (depth_ == 1) keys_[1].clear();
    return JsonBuilder::key(name);
  }

 private:
  enum class Inside { kNothing, kVocab, kMerges, kMerge };

  [[nodiscard]] bool outside() const { return inside_ == Inside::kNothing; }
  [[nodiscard]] bool at_member(std::string_view name) const {
    return keys_[0] == "model" && keys_[1] == name;
  }
  bool misplaced(std::string_view value) {
    if (inside_ == Inside::kVocab) return fail(no_token_id(value).within("model.vocab"));
    return fail(make_error(ErrorCode::kCorrupt, "model.merges[{}]: not two tokens", n_merges_));
  }
  bool add_part(const std::string& part) {
    if (++n_parts_ > 2) return misplaced("a third token");
    (n_parts_ == 1 ? left_ : right_) = part;
    return true;
  }
  bool end_pair() {
    if (n_parts_ != 2) return misplaced("one token");
    ++n_merges_;
    // No text has a plain space once it is spelled as tokens are, so such a merge never applies;
    // leaving it out keeps the others' order.
    if ((left_ + right_).find(' ') == std::string::npos)
      merges.push_back(left_.append(1, ' ').append(right_));
    return true;
  }

  size_t depth_ = 0;                 // containers that are open, those inside the tables not
  std::array<std::string, 2> keys_;  // the last ones at depth 1 and 2
  Inside inside_ = Inside::kNothing;
  size_t n_merges_ = 0;
  int n_parts_ = 0;  // of the pair that is being read
  std::string left_, right_;
};

Error unsupported(std::string_view part, const Json& step) {
  return make_error(ErrorCode::kUnsupported, "{}: {} is not supported", part,
                    step.dump(-1, ' ', true, Json::error_handler_t::replace).substr(0, 300));
}

/// The steps of a pipeline's part, with a Sequence laid out flat (they do not nest in practice,
/// so a Sequence within one is an unsupported step like any other).
Result<std::vector<const Json*>> steps_of(const Json& root, const char* part, const char* list) {
  std::vector<const Json*> steps;
  const Json* value = member(root, part);
  if (value == nullptr) return steps;
  if (string_or_empty(*value, "type") != "Sequence") {
    steps.push_back(value);
    return steps;
  }
  const Json* items = member(*value, list);
  if (items == nullptr || !items->is_array() || items->size() > kPipelineStepsMax)
    return make_error(ErrorCode::kCorrupt, "{}.{}: no list of at most {} steps", part, list,
                      kPipelineStepsMax);
  for (const Json& item : *items) steps.push_back(&item);
  return steps;
}

bool is_replace(const Json& step, std::string_view from, std::string_view to) {
  const Json* pattern = member(step, "pattern");
  return string_or_empty(step, "type") == "Replace" && pattern != nullptr &&
         string_or_empty(*pattern, "String") == from && string_or_empty(step, "content") == to;
}

class Parser {
 public:
  explicit Parser(Reader& reader) : reader_(reader), root_(reader.take()) {}

  Result<TokenizerSpec> parse() {
    LANTERN_TRY(parse_model());
    LANTERN_TRY(parse_added_tokens());
    if (spec_.kind == TokenizerKind::kWordPiece) {
      LANTERN_TRY(parse_bert_pipeline());
    } else {
      LANTERN_TRY(parse_normalizer());
      LANTERN_TRY(parse_pre_tokenizer());
    }
    LANTERN_TRY(lay_out_tokens());
    LANTERN_TRY(parse_post_processor());
    LANTERN_TRY(parse_decoder());
    return std::move(spec_);
  }

 private:
  Status parse_model();
  Status parse_vocab();
  Status parse_word_piece();
  Status parse_bert_pipeline();
  Status parse_bert_frame(const Json& step);
  Status parse_added_tokens();
  Status parse_normalizer();
  Status parse_pre_tokenizer();
  Status parse_byte_level(const std::vector<const Json*>& steps);
  Status parse_metaspace(const std::vector<const Json*>& steps);
  Status lay_out_tokens();
  Status parse_post_processor();
  Status parse_template(const Json& step);
  Status parse_decoder();
  Status place(std::string_view token, TokenId id);

  [[nodiscard]] TokenId find_in_vocab(std::string_view token) const;

  Reader& reader_;
  const Json root_;
  const Json* model_ = nullptr;
  StringIndex vocab_index_;  // into reader_.vocab
  TokenizerSpec spec_;
  std::vector<std::string_view> tokens_;  // by id; empty: none yet
  size_t n_placed_ = 0;
  bool prepends_ = false;         // the normalizer puts a space in front
  bool replaces_spaces_ = false;  // the normalizer makes spaces visible
};

Status Parser::place(std::string_view token, TokenId id) {
  const auto at = static_cast<size_t>(id);
  if (tokens_.size() <= at) tokens_.resize(at + 1);
  if (!tokens_[at].empty() && tokens_[at] != token)
    return make_error(ErrorCode::kCorrupt, "id {} is given to \"{}\" and to \"{}\"", id,
                      tokens_[at], token);
  if (tokens_[at].empty()) ++n_placed_;
  tokens_[at] = token;
  return {};
}

Status Parser::parse_model() {
  model_ = member(root_, "model");
  if (model_ == nullptr) return make_error(ErrorCode::kCorrupt, "model: missing");
  const std::string type = string_or_empty(*model_, "type");
  // Files of before 2021 leave the type out; only BPE has merges.
  const bool word_piece = type == "WordPiece";
  if (word_piece) return parse_word_piece();
  if (type != "BPE" && !(type.empty() && member(*model_, "merges") != nullptr))
    return make_error(ErrorCode::kUnsupported,
                      "model.type: \"{}\" is not supported, BPE and WordPiece are", type);
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (!string_or_empty(*model_, key).empty())
      return make_error(ErrorCode::kUnsupported, "model.{}: not supported", key);
  if (const Json* dropout = member(*model_, "dropout");
      dropout != nullptr && !(dropout->is_number() && dropout->get<double>() == 0))
    return make_error(ErrorCode::kUnsupported, "model.dropout: not supported");
  LANTERN_ASSIGN(spec_.fuse_unk, bool_or(*model_, "fuse_unk", false));
  LANTERN_ASSIGN(spec_.byte_fallback, bool_or(*model_, "byte_fallback", false));
  LANTERN_ASSIGN(spec_.ignore_merges, bool_or(*model_, "ignore_merges", false));
  const Json* merges = member(*model_, "merges");
  if (merges == nullptr || !merges->is_array())
    return make_error(ErrorCode::kCorrupt, "model.merges: missing or no list");
  spec_.merges = std::move(reader_.merges);
  return parse_vocab();
}

Status Parser::parse_vocab() {
  const Json* vocab = member(*model_, "vocab");
  if (vocab == nullptr || !vocab->is_object())
    return make_error(ErrorCode::kCorrupt, "model.vocab: missing or no object");
  const StringTable& tokens = reader_.vocab;
  if (tokens.size() > kTokensMax || tokens.overflowed())
    return make_error(ErrorCode::kTooLarge, "model.vocab: {} tokens, at most {}", tokens.size(),
                      kTokensMax);
  std::random_device device;
  vocab_index_ = StringIndex(tokens.size(), device());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!vocab_index_.insert(tokens, static_cast<int32_t>(i)))
      return make_error(ErrorCode::kCorrupt, "model.vocab: \"{}\" stands twice", tokens[i]);
    if (Status placed = place(tokens[i], reader_.vocab_ids[i]); !placed.ok())
      return std::move(placed).error().within("model.vocab");
  }
  const TokenId unk = find_in_vocab(string_or_empty(*model_, "unk_token"));
  if (unk >= 0) spec_.unk = unk;
  return {};
}

Status Parser::parse_word_piece() {
  spec_.kind = TokenizerKind::kWordPiece;
  spec_.marked_continuation = true;
  spec_.byte_fallback = false;
  if (string_or_empty(*model_, "continuing_subword_prefix") != "##")
    return make_error(ErrorCode::kUnsupported,
                      "model.continuing_subword_prefix: WordPiece is supported with \"##\" alone");
  if (const Json* most = member(*model_, "max_input_chars_per_word")) {
    if (!most->is_number_unsigned() || most->get<uint64_t>() > (1u << 20))
      return make_error(ErrorCode::kCorrupt, "model.max_input_chars_per_word: no length");
    spec_.word_characters_max = static_cast<int64_t>(most->get<uint64_t>());
  }
  return parse_vocab();
}

/// BertNormalizer and BertPreTokenizer, nothing else.
Status Parser::parse_bert_pipeline() {
  const Json* normalizer = member(root_, "normalizer");
  if (normalizer == nullptr || string_or_empty(*normalizer, "type") != "BertNormalizer")
    return unsupported("normalizer", normalizer == nullptr ? Json() : *normalizer);
  BertNormalizer bert;
  LANTERN_ASSIGN(bert.clean_text, bool_or(*normalizer, "clean_text", true));
  LANTERN_ASSIGN(bert.handle_chinese_chars, bool_or(*normalizer, "handle_chinese_chars", true));
  LANTERN_ASSIGN(bert.lowercase, bool_or(*normalizer, "lowercase", true));
  LANTERN_ASSIGN(bert.strip_accents, bool_or(*normalizer, "strip_accents", bert.lowercase));
  spec_.bert = bert;
  const Json* pre = member(root_, "pre_tokenizer");
  if (pre == nullptr || string_or_empty(*pre, "type") != "BertPreTokenizer")
    return unsupported("pre_tokenizer", pre == nullptr ? Json() : *pre);
  return {};
}

/// -1 where it is not there.
TokenId Parser::find_in_vocab(std::string_view token) const {
  if (reader_.vocab.empty()) return -1;
  const int32_t i = vocab_index_.find(reader_.vocab, token);
  return i < 0 ? -1 : reader_.vocab_ids[static_cast<size_t>(i)];
}

Status Parser::parse_added_tokens() {
  const Json* list = member(root_, "added_tokens");
  if (list == nullptr) return {};
  if (!list->is_array() || list->size() > kTokensMax)
    return make_error(ErrorCode::kCorrupt, "added_tokens: no list of at most {}", kTokensMax);
  std::vector<TokenId> ids;
  for (const Json& item : *list) {
    const Json* content = member(item, "content");
    const Json* id_value = member(item, "id");
    if (content == nullptr || !content->is_string() || id_value == nullptr)
      return make_error(ErrorCode::kCorrupt, "added_tokens: one without \"id\" or \"content\"");
    const auto& text = content->get_ref<const std::string&>();
    if (text.empty()) continue;
    AddedToken token;
    LANTERN_ASSIGN(token.id, token_id(*id_value));
    if (const TokenId known = find_in_vocab(text); known >= 0 && known != token.id)
      return make_error(ErrorCode::kCorrupt, "added_tokens: \"{}\" has id {}, in model.vocab {}",
                        text, token.id, known);
    if (Status placed = place(text, token.id); !placed.ok())
      return std::move(placed).error().within("added_tokens");
    LANTERN_ASSIGN(token.special, bool_or(item, "special", false));
    LANTERN_ASSIGN(token.normalized, bool_or(item, "normalized", !token.special));
    LANTERN_ASSIGN(token.lstrip, bool_or(item, "lstrip", false));
    LANTERN_ASSIGN(token.rstrip, bool_or(item, "rstrip", false));
    LANTERN_ASSIGN(const bool single_word, bool_or(item, "single_word", false));
    if (single_word)
      return make_error(ErrorCode::kUnsupported,
                        "added_tokens: \"{}\" is single_word, which is not supported", text);
    ids.push_back(token.id);
    spec_.added.push_back(token);
  }
  std::sort(ids.begin(), ids.end());
  if (const auto twice = std::adjacent_find(ids.begin(), ids.end()); twice != ids.end())
    return make_error(ErrorCode::kCorrupt, "added_tokens: id {} is given twice", *twice);
  return {};
}

Status Parser::parse_normalizer() {
  LANTERN_ASSIGN(const auto steps, steps_of(root_, "normalizer", "normalizers"));
  spec_.nfc = false;
  for (const Json* step : steps) {
    const std::string type = string_or_empty(*step, "type");
    if (type == "NFC")
      spec_.nfc = true;
    else if (type == "Prepend" && string_or_empty(*step, "prepend") == kVisibleSpace)
      prepends_ = true;
    else if (is_replace(*step, " ", kVisibleSpace))
      replaces_spaces_ = true;
    else
      return unsupported("normalizer", *step);
  }
  return {};
}

Status Parser::parse_pre_tokenizer() {
  LANTERN_ASSIGN(const auto steps, steps_of(root_, "pre_tokenizer", "pretokenizers"));
  const bool byte_level = std::any_of(steps.begin(), steps.end(), [](const Json* step) {
    return string_or_empty(*step, "type") == "ByteLevel";
  });
  return byte_level ? parse_byte_level(steps) : parse_metaspace(steps);
}

Status Parser::parse_byte_level(const std::vector<const Json*>& steps) {
  spec_.kind = TokenizerKind::kByteLevelBpe;
  spec_.byte_fallback = false;
  if (prepends_ || replaces_spaces_)
    return make_error(ErrorCode::kUnsupported,
                      "normalizer: visible spaces before ByteLevel are not supported");
  const Json& last = *steps.back();
  if (string_or_empty(last, "type") != "ByteLevel" || steps.size() > 2)
    return unsupported("pre_tokenizer", *member(root_, "pre_tokenizer"));
  LANTERN_ASSIGN(const bool use_regex, bool_or(last, "use_regex", true));
  LANTERN_ASSIGN(const bool prefix, bool_or(last, "add_prefix_space", true));
  spec_.space_prefix = prefix ? SpacePrefix::kEveryUnlessThere : SpacePrefix::kNever;
  spec_.strip_leading_space = false;
  if (steps.size() == 1 && use_regex) {
    spec_.pre = "gpt-2";
    return {};
  }
  const Json& first = *steps.front();
  // After a first step the space would go in front of every piece it cut.
  if (steps.size() == 2 && !prefix) {
    if (string_or_empty(first, "type") == "Digits" && use_regex) {
      LANTERN_ASSIGN(const bool individual, bool_or(first, "individual_digits", false));
      if (individual) {
        spec_.pre = "smollm";
        return {};
      }
    }
    const Json* pattern = member(first, "pattern");
    if (string_or_empty(first, "type") == "Split" && pattern != nullptr && !use_regex) {
      LANTERN_ASSIGN(const bool invert, bool_or(first, "invert", false));
      // The known patterns match every character, so keeping only the matches is no other cut.
      const std::string behavior = string_or_empty(first, "behavior");
      const auto name = pre_tokenizer_of_pattern(string_or_empty(*pattern, "Regex"));
      if (name && ((behavior == "Isolated" && !invert) || (behavior == "Removed" && invert))) {
        spec_.pre = *name;
        return {};
      }
    }
  }
  return unsupported("pre_tokenizer", *member(root_, "pre_tokenizer"));
}

Status Parser::parse_metaspace(const std::vector<const Json*>& steps) {
  spec_.kind = TokenizerKind::kSentencePieceBpe;
  spec_.space_prefix = prepends_ ? SpacePrefix::kEverySegment : SpacePrefix::kNever;
  if (steps.size() > 1) return unsupported("pre_tokenizer", *member(root_, "pre_tokenizer"));
  if (steps.empty()) {
    if (replaces_spaces_) return {};
    return make_error(ErrorCode::kUnsupported,
                      "pre_tokenizer: there is none, and the normalizer keeps spaces");
  }
  const Json& step = *steps.front();
  const std::string type = string_or_empty(step, "type");
  if (type == "Split") {
    // Gemma cuts at plain spaces, of which its normalizer has left none.
    const Json* pattern = member(step, "pattern");
    if (replaces_spaces_ && pattern != nullptr && string_or_empty(*pattern, "String") == " ")
      return {};
    return unsupported("pre_tokenizer", step);
  }
  if (type != "Metaspace" || string_or_empty(step, "replacement") != kVisibleSpace || prepends_)
    return unsupported("pre_tokenizer", step);
  // Before 2023 the scheme was a bool.
  LANTERN_ASSIGN(const bool prefix, bool_or(step, "add_prefix_space", true));
  std::string scheme = string_or_empty(step, "prepend_scheme");
  if (scheme.empty()) scheme = prefix ? "always" : "never";
  if (scheme == "always")
    spec_.space_prefix = SpacePrefix::kEveryUnlessThere;
  else if (scheme == "first")
    spec_.space_prefix = SpacePrefix::kFirstUnlessThere;
  else if (scheme != "never")
    return unsupported("pre_tokenizer", step);
  LANTERN_ASSIGN(spec_.split_at_each_space, bool_or(step, "split", true));
  return {};
}

/// Fills the spec's tokens and types. Ids that no token has are left unused, as long as they
/// are not the most.
Status Parser::lay_out_tokens() {
  if (tokens_.size() / 2 > n_placed_ + 1024)
    return make_error(ErrorCode::kCorrupt, "model.vocab: ids reach {} for {} tokens",
                      tokens_.size() - 1, n_placed_);
  size_t n_bytes = 0;
  for (std::string_view token : tokens_) n_bytes += token.size();
  spec_.tokens.reserve(tokens_.size(), n_bytes);
  spec_.types.reserve(tokens_.size());
  for (std::string_view token : tokens_) {
    const bool byte = spec_.byte_fallback && byte_token_value(token) >= 0;
    spec_.tokens.push_back(token);
    spec_.types.push_back(token.empty() ? TokenType::kUnused
                          : byte        ? TokenType::kByte
                                        : TokenType::kNormal);
  }
  for (const AddedToken& token : spec_.added) {
    TokenType& type = spec_.types[static_cast<size_t>(token.id)];
    if (type != TokenType::kByte)
      type = token.special ? TokenType::kControl : TokenType::kUserDefined;
  }
  return {};
}

Status Parser::parse_post_processor() {
  LANTERN_ASSIGN(const auto steps, steps_of(root_, "post_processor", "processors"));
  spec_.add_bos = false;
  spec_.add_eos = false;
  for (const Json* step : steps) {
    const std::string type = string_or_empty(*step, "type");
    if (type == "TemplateProcessing")
      LANTERN_TRY(parse_template(*step));
    else if (type == "BertProcessing" && spec_.kind == TokenizerKind::kWordPiece)
      LANTERN_TRY(parse_bert_frame(*step));
    else if (type != "ByteLevel")  // that one moves offsets, not tokens
      return unsupported("post_processor", *step);
  }
  return {};
}

/// {"cls": ["[CLS]", 101], "sep": ["[SEP]", 102]}
Status Parser::parse_bert_frame(const Json& step) {
  for (const char* name : {"cls", "sep"}) {
    const Json* pair = member(step, name);
    if (pair == nullptr || !pair->is_array() || pair->size() != 2)
      return unsupported("post_processor", step);
    LANTERN_ASSIGN(const TokenId id, token_id((*pair)[1]));
    (name[0] == 'c' ? spec_.bos : spec_.eos) = id;
  }
  spec_.add_bos = true;
  spec_.add_eos = true;
  return {};
}

Status Parser::parse_template(const Json& step) {
  const Json* single = member(step, "single");
  if (single == nullptr || !single->is_array() || single->size() > kPipelineStepsMax)
    return make_error(ErrorCode::kCorrupt, "post_processor.single: no list");
  bool after_text = false;
  for (const Json& item : *single) {
    if (member(item, "Sequence") != nullptr) {
      if (after_text) return unsupported("post_processor", step);
      after_text = true;
      continue;
    }
    const Json* token = member(item, "SpecialToken");
    if (token == nullptr) return unsupported("post_processor", step);
    const Json* all = member(step, "special_tokens");
    const Json* entry =
        all == nullptr ? nullptr : member(*all, string_or_empty(*token, "id").c_str());
    const Json* ids = entry == nullptr ? nullptr : member(*entry, "ids");
    if (ids == nullptr || !ids->is_array() || ids->size() != 1)
      return unsupported("post_processor", step);
    LANTERN_ASSIGN(const TokenId id, token_id((*ids)[0]));
    if (static_cast<size_t>(id) >= tokens_.size())
      return make_error(ErrorCode::kCorrupt, "post_processor: id {} lies outside the vocabulary",
                        id);
    std::optional<bool>& adds = after_text ? spec_.add_eos : spec_.add_bos;
    if (*adds) return unsupported("post_processor", step);
    adds = true;
    (after_text ? spec_.eos : spec_.bos) = id;
  }
  return {};
}

Status Parser::parse_decoder() {
  LANTERN_ASSIGN(const auto steps, steps_of(root_, "decoder", "decoders"));
  const Json* whole = member(root_, "decoder");
  if (spec_.kind == TokenizerKind::kWordPiece) return {};  // nothing is written with it
  if (whole == nullptr) return make_error(ErrorCode::kUnsupported, "decoder: there is none");
  if (spec_.kind == TokenizerKind::kByteLevelBpe) {
    if (steps.size() == 1 && string_or_empty(*steps[0], "type") == "ByteLevel") return {};
    return unsupported("decoder", *whole);
  }
  // Replace, ByteFallback, Fuse, and Strip where encoding puts a space in front.
  const auto is = [&](size_t i, std::string_view type) {
    return string_or_empty(*steps[i], "type") == type;
  };
  if (steps.size() < 3 || steps.size() > 4 || !is_replace(*steps[0], kVisibleSpace, " ") ||
      !is(1, "ByteFallback") || !is(2, "Fuse"))
    return unsupported("decoder", *whole);
  spec_.strip_leading_space = steps.size() == 4;
  if (steps.size() == 4) {
    const Json& strip = *steps[3];
    const Json* start = member(strip, "start");
    const Json* stop = member(strip, "stop");
    if (!is(3, "Strip") || string_or_empty(strip, "content") != " " || start == nullptr ||
        *start != 1 || (stop != nullptr && *stop != 0))
      return unsupported("decoder", *whole);
  }
  return {};
}

std::optional<TokenId> find_spelling(const TokenizerSpec& spec, std::string_view spelling) {
  for (size_t id = 0; id < spec.tokens.size(); ++id)
    if (spec.tokens[id] == spelling) return static_cast<TokenId>(id);
  return std::nullopt;
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view json, std::string_view what) {
  Reader reader;
  LANTERN_TRY(base::build_json(json, what, {}, reader));
  auto spec = Parser(reader).parse();
  if (!spec.ok()) return std::move(spec).error().within(what);
  return spec;
}

Status apply_tokenizer_config(std::string_view json, std::string_view what, TokenizerSpec& spec) {
  LANTERN_ASSIGN(const Json root, base::parse_json(json, what));
  if (!root.is_object()) return make_error(ErrorCode::kCorrupt, "{}: no JSON object", what);
  const auto set = [&](const char* key, std::optional<TokenId>& id) {
    // Either the text itself or an object that describes the token.
    std::string spelling = string_or_empty(root, key);
    if (const Json* object = member(root, key); object != nullptr && object->is_object())
      spelling = string_or_empty(*object, "content");
    if (spelling.empty()) return;
    if (const auto found = find_spelling(spec, spelling)) id = found;
  };
  set("bos_token", spec.bos);
  set("eos_token", spec.eos);
  set("pad_token", spec.pad);
  if (member(root, "add_bos_token") != nullptr) {
    auto value = bool_or(root, "add_bos_token", false);
    if (!value.ok()) return std::move(value).error().within(what);
    spec.add_bos = *value;
  }
  if (member(root, "add_eos_token") != nullptr) {
    auto value = bool_or(root, "add_eos_token", false);
    if (!value.ok()) return std::move(value).error().within(what);
    spec.add_eos = *value;
  }
  return {};
}

}  // namespace lantern::text
