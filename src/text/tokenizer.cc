// A text's way: tokens that are matched before the model runs are cut out (first those matched
// in the raw text, then those matched in the normalized one); what is between them is
// normalized, cut into words, and each word is merged.
#include "text/tokenizer.h"

#include <algorithm>
#include <cmath>

#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/piece_bytes.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"
#include "text/wordpiece.h"

namespace lantern::text {
namespace {

constexpr size_t kMergesMax = 16u << 20;

bool looks_like_marker(std::string_view text) {
  const auto framed = [&](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) &&
           text.ends_with(close);
  };
  return framed("<|", "|>") || framed("<\xEF\xBD\x9C", "\xEF\xBD\x9C>");
}

bool is_only_spaces(std::string_view spelling) {
  while (!spelling.empty()) {
    if (spelling.starts_with(' '))
      spelling.remove_prefix(1);
    else if (spelling.starts_with(kVisibleSpace))
      spelling.remove_prefix(kVisibleSpace.size());
    else
      return false;
  }
  return true;
}

/// Half-open ranges of bytes, ascending, none touching another.
struct Ranges {
  struct Range {
    size_t begin, end;
  };
  std::vector<Range> all;

  void add(size_t begin, size_t end) {
    if (begin == end) return;
    if (!all.empty() && all.back().end == begin)
      all.back().end = end;
    else
      all.push_back({begin, end});
  }
  [[nodiscard]] bool cover(size_t begin, size_t end) const {
    auto after = std::upper_bound(all.begin(), all.end(), begin,
                                  [](size_t x, const Range& r) { return x < r.begin; });
    return after != all.begin() && end <= std::prev(after)->end;
  }
};

Status check_id(std::optional<TokenId> id, std::string_view name, size_t n_tokens) {
  if (id && (*id < 0 || static_cast<size_t>(*id) >= n_tokens))
    return make_error(ErrorCode::kCorrupt, "{}: id {} lies outside the vocabulary of {}", name, *id,
                      n_tokens);
  return {};
}

Status check_spec(const TokenizerSpec& spec) {
  const size_t n = spec.tokens.size();
  if (n == 0) return make_error(ErrorCode::kCorrupt, "tokens: the vocabulary is empty");
  if (n > kTokensMax || spec.merges.size() > kMergesMax)
    return make_error(ErrorCode::kTooLarge, "tokens: {} tokens and {} merges, at most {} and {}", n,
                      spec.merges.size(), kTokensMax, kMergesMax);
  if (spec.tokens.overflowed() || spec.merges.overflowed())
    return make_error(ErrorCode::kTooLarge, "tokens: more than 4 GiB of text");
  if (!spec.types.empty() && spec.types.size() != n)
    return make_error(ErrorCode::kCorrupt, "token_type: {} values for {} tokens", spec.types.size(),
                      n);
  for (size_t i = 0; i < spec.types.size(); ++i)
    if (spec.types[i] < TokenType::kNormal || spec.types[i] > TokenType::kByte)
      return make_error(ErrorCode::kCorrupt, "token_type[{}]: {} is no type", i,
                        static_cast<int>(spec.types[i]));
  if (!spec.scores.empty() && spec.scores.size() != n)
    return make_error(ErrorCode::kCorrupt, "scores: {} values for {} tokens", spec.scores.size(),
                      n);
  for (size_t i = 0; i < spec.scores.size(); ++i)
    if (!std::isfinite(spec.scores[i]))
      return make_error(ErrorCode::kCorrupt, "scores[{}]: not a finite number", i);
  if (spec.merges.empty() && spec.kind == TokenizerKind::kByteLevelBpe &&
      n > 256 + spec.added.size() && !spec.ignore_merges.value_or(false))
    return make_error(ErrorCode::kCorrupt, "merges: missing");
  if (spec.merges.empty() && spec.kind == TokenizerKind::kSentencePieceBpe && spec.scores.empty())
    return make_error(ErrorCode::kCorrupt, "scores: missing, and there are no merges either");
  if (spec.remove_extra_whitespaces)
    return make_error(ErrorCode::kUnsupported, "remove_extra_whitespaces: not supported");
  LANTERN_TRY(check_id(spec.bos, "bos_token_id", n));
  LANTERN_TRY(check_id(spec.eos, "eos_token_id", n));
  LANTERN_TRY(check_id(spec.eot, "eot_token_id", n));
  LANTERN_TRY(check_id(spec.eom, "eom_token_id", n));
  LANTERN_TRY(check_id(spec.unk, "unknown_token_id", n));
  LANTERN_TRY(check_id(spec.pad, "padding_token_id", n));
  for (const AddedToken& token : spec.added) LANTERN_TRY(check_id(token.id, "added_tokens", n));
  return {};
}

}  // namespace

Result<TokenizerKind> tokenizer_kind_from_gguf(std::string_view model) {
  if (model == "llama") return TokenizerKind::kSentencePieceBpe;
  if (model == "gpt2") return TokenizerKind::kByteLevelBpe;
  if (model == "bert") return TokenizerKind::kWordPiece;
  return make_error(
      ErrorCode::kUnsupported,
      "tokenizer.ggml.model: \"{}\" is not supported; \"llama\", \"gpt2\" and \"bert\" are", model);
}

struct Tokenizer::Impl {
  TokenizerSpec spec;
  StringTable pieces;                        // bytes by id
  std::vector<uint8_t> usable;               // by id: ordinary text may yield it
  std::vector<uint8_t> special;              // by id
  std::optional<BpeModel> model;             // of the two kinds of BPE
  std::optional<WordPieceModel> word_piece;  // else
  AddedTokenMatcher raw_matcher, normalized_matcher;
  WordEnd word_end = nullptr;  // byte-level only
  SpacePrefix space_prefix = SpacePrefix::kNever;
  bool nfc = false;
  bool strip_leading_space = false;
  bool add_bos = false;
  // SentencePiece: no piece has a space after another character, so no merge crosses the
  // boundary before a space and each word can be merged alone.
  bool words_apart = false;
  // By ASCII character: no piece holds it beside another character, so it is a word of its own.
  std::array<bool, 256> alone{};

  [[nodiscard]] bool sentence_piece() const {
    return spec.kind == TokenizerKind::kSentencePieceBpe;
  }
  [[nodiscard]] bool is_word_piece() const { return spec.kind == TokenizerKind::kWordPiece; }
  [[nodiscard]] WordPieceSpelling spelling() const {
    return spec.marked_continuation ? WordPieceSpelling::kMarkedContinuation
                                    : WordPieceSpelling::kMarkedStart;
  }
  Status create_word_piece();
  [[nodiscard]] TokenType type(size_t id) const {
    return spec.types.empty() ? TokenType::kNormal : spec.types[id];
  }

  void derive_added();
  void add_pieces();
  Result<std::array<TokenId, 256>> byte_tokens() const;
  Status add_matchers();
  void find_boundaries();

  struct Job {
    BpeModel::Workspace workspace;
    std::vector<TokenId> out;
  };
  [[nodiscard]] std::vector<TokenId> encode(std::string_view text, const Ranges& literal,
                                            EncodeOptions options) const;
  /// `literal` are ranges of the whole text, of which `segment` begins at `offset`.
  void encode_segment(std::string_view segment, size_t offset, const Ranges& literal,
                      Job& job) const;
  void encode_normalized(std::string_view text, bool at_start, Job& job) const;
  void encode_words(std::string_view text, Job& job) const;
  [[nodiscard]] const char* word_before(const char* p, const char* end, bool at_spaces) const;
  [[nodiscard]] std::string normalize(std::string_view segment) const;
};

void Tokenizer::Impl::derive_added() {
  for (size_t id = 0; id < spec.tokens.size(); ++id) {
    const std::string_view spelling = spec.tokens[id];
    const bool control = type(id) == TokenType::kControl || type(id) == TokenType::kUnknown;
    if (!control && type(id) != TokenType::kUserDefined) continue;
    // Gemma's runs of spaces. In Hugging Face's form of the vocabulary they are matched as runs
    // of U+2581 before that stands for a space, so plain spaces reach them by merges alone.
    if (sentence_piece() && !control && is_only_spaces(spelling)) continue;
    spec.added.push_back({static_cast<TokenId>(id), control});
  }
}

void Tokenizer::Impl::add_pieces() {
  const size_t n = spec.tokens.size();
  special.assign(n, 0);
  usable.assign(n, 0);
  std::vector<uint8_t> verbatim(n, 0);
  for (AddedToken& token : spec.added) {
    const auto id = static_cast<size_t>(token.id);
    const bool frames_a_text = token.id == spec.bos || token.id == spec.eos ||
                               token.id == spec.eot || token.id == spec.eom;
    if (frames_a_text || looks_like_marker(spec.tokens[id])) token.special = true;
    verbatim[id] = 1;
    if (token.special) special[id] = 1;
  }
  pieces.reserve(n, spec.tokens.n_bytes());
  std::string bytes;
  for (size_t id = 0; id < n; ++id) {
    const std::string_view spelling = spec.tokens[id];
    bytes.clear();
    const int byte = type(id) == TokenType::kByte ? byte_token_value(spelling) : -1;
    bool spelled_well = true;
    if (byte >= 0) {
      bytes += static_cast<char>(byte);
    } else if (is_word_piece()) {
      const bool is_special = special[id] != 0 || verbatim[id] != 0 ||
                              type(id) == TokenType::kControl || type(id) == TokenType::kUnknown;
      bytes += WordPieceModel::piece_of(spelling, is_special, this->spelling());
    } else if (verbatim[id] != 0 && !sentence_piece()) {
      bytes += spelling;
    } else {
      spelled_well = append_piece_bytes(spec.kind, spelling, bytes);
    }
    // U+2581 stands for every space of the text, so a piece with a plain one is never reached.
    const bool reachable = !sentence_piece() || verbatim[id] != 0 || is_only_spaces(spelling) ||
                           spelling.find(' ') == std::string_view::npos;
    if (type(id) == TokenType::kControl || type(id) == TokenType::kUnknown) special[id] = 1;
    usable[id] = spelled_well && reachable && special[id] == 0 && type(id) != TokenType::kByte;
    pieces.push_back(bytes);
  }
}

Result<std::array<TokenId, 256>> Tokenizer::Impl::byte_tokens() const {
  std::array<TokenId, 256> tokens;
  tokens.fill(-1);
  size_t n_found = 0;
  for (size_t id = 0; id < pieces.size(); ++id) {
    const bool is_byte = sentence_piece() ? type(id) == TokenType::kByte : usable[id] != 0;
    if (!is_byte || pieces[id].size() != 1) continue;
    TokenId& token = tokens[static_cast<uint8_t>(pieces[id][0])];
    if (token < 0) ++n_found;
    token = static_cast<TokenId>(id);
  }
  if (sentence_piece() && n_found != 0 && n_found != 256)
    return make_error(ErrorCode::kCorrupt, "tokens: {} of the 256 byte tokens are there", n_found);
  if (sentence_piece() && n_found == 0 && !spec.unk)
    return make_error(ErrorCode::kCorrupt, "tokens: neither byte tokens nor an unknown token");
  return tokens;
}

/// SentencePiece merges a text as one word. Cutting it where no piece reaches across gives the
/// same tokens, and words that are short and come again.
void Tokenizer::Impl::find_boundaries() {
  words_apart = true;
  // A run of unknown characters becomes one token, which a cut would make several.
  const bool may_cut = spec.byte_fallback && model->has_byte_tokens();
  for (size_t c = 0; c < 0x80; ++c) alone[c] = may_cut && c != ' ';
  for (size_t id = 0; id < pieces.size(); ++id) {
    const std::string_view piece = pieces[id];
    if (usable[id] == 0 || piece.size() < 2) continue;
    const size_t word = piece.find_first_not_of(' ');
    if (word != std::string_view::npos && piece.find(' ', word) != std::string_view::npos)
      words_apart = false;
    for (char c : piece) alone[static_cast<uint8_t>(c)] = false;
  }
}

Status Tokenizer::Impl::create_word_piece() {
  LANTERN_ASSIGN(
      word_piece,
      WordPieceModel::create({.tokens = &spec.tokens,
                              .special = &special,
                              .spelling = spelling(),
                              .normalizer = spec.bert.value_or(usual_bert_normalizer(spec.tokens)),
                              .unk = spec.unk.value_or(-1),
                              .word_characters_max = spec.word_characters_max}));
  return {};
}

Status Tokenizer::Impl::add_matchers() {
  std::vector<AddedTokenMatcher::Entry> raw, normalized;
  for (const AddedToken& token : spec.added) {
    const std::string_view spelling = spec.tokens[static_cast<size_t>(token.id)];
    if (is_word_piece() && token.normalized)
      return make_error(
          ErrorCode::kUnsupported,
          "added_tokens: \"{}\" is matched in normalized text, which WordPiece is not "
          "supported with",
          spelling);
    if (token.normalized)
      normalized.push_back({normalize(spelling), token});
    else
      raw.push_back({std::string(spelling), token});
  }
  LANTERN_ASSIGN(raw_matcher, AddedTokenMatcher::create(std::move(raw)));
  LANTERN_ASSIGN(normalized_matcher, AddedTokenMatcher::create(std::move(normalized)));
  return {};
}

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  LANTERN_TRY(check_spec(spec));
  auto impl = std::make_unique<Impl>();
  impl->spec = std::move(spec);
  TokenizerSpec& s = impl->spec;
  if (s.kind == TokenizerKind::kWordPiece) {
    // The frame [CLS] ... [SEP] is part of how such a model was trained.
    impl->add_bos = s.add_bos.value_or(true);
    if (!s.add_eos) s.add_eos = true;
    impl->strip_leading_space = true;
    if (s.added.empty()) impl->derive_added();
    impl->add_pieces();
    LANTERN_TRY(impl->create_word_piece());
    LANTERN_TRY(impl->add_matchers());
    return Tokenizer(std::move(impl));
  }
  BpeSpec bpe;
  if (s.kind == TokenizerKind::kByteLevelBpe) {
    LANTERN_ASSIGN(const PreTokenizer pre, find_pre_tokenizer(s.pre));
    impl->word_end = pre.word_end;
    impl->nfc = s.nfc.value_or(pre.nfc);
    impl->add_bos = s.add_bos.value_or(pre.add_bos);
    impl->space_prefix = s.space_prefix.value_or(SpacePrefix::kNever);
    impl->strip_leading_space = s.strip_leading_space.value_or(false);
    bpe.ignore_merges = s.ignore_merges.value_or(pre.ignore_merges);
  } else {
    impl->nfc = s.nfc.value_or(false);
    impl->add_bos = s.add_bos.value_or(true);
    impl->space_prefix = s.space_prefix.value_or(SpacePrefix::kEverySegment);
    impl->strip_leading_space =
        s.strip_leading_space.value_or(impl->space_prefix != SpacePrefix::kNever);
    bpe.ignore_merges = s.ignore_merges.value_or(false);
  }
  if (s.added.empty()) impl->derive_added();
  impl->add_pieces();
  LANTERN_ASSIGN(bpe.byte_tokens, impl->byte_tokens());
  // Control characters that a byte-level vocabulary lacks must not become a special token, such as
  // the <|endoftext|> that some files name as unknown.
  bpe.unk = s.unk.value_or(-1);
  if (s.kind == TokenizerKind::kByteLevelBpe && bpe.unk >= 0 &&
      impl->special[static_cast<size_t>(bpe.unk)] != 0)
    bpe.unk = -1;
  bpe.spec = &s;
  bpe.pieces = &impl->pieces;
  bpe.usable = &impl->usable;
  LANTERN_ASSIGN(impl->model, BpeModel::create(bpe));
  LANTERN_TRY(impl->add_matchers());

  if (impl->sentence_piece()) impl->find_boundaries();
  s.merges = {};
  s.scores = {};
  return Tokenizer(std::move(impl));
}

std::string Tokenizer::Impl::normalize(std::string_view segment) const {
  std::string out;
  if (sentence_piece()) {
    if (space_prefix == SpacePrefix::kEverySegment && !segment.empty()) out += ' ';
    append_with_plain_spaces(segment, out);
  } else {
    out = segment;
  }
  return nfc ? to_nfc(out) : out;
}

std::vector<TokenId> Tokenizer::Impl::encode(std::string_view text, const Ranges& literal,
                                             EncodeOptions options) const {
  Job job{BpeModel::Workspace(text.size()), {}};
  job.out.reserve(text.size() / 4 + 8);
  const bool bos = options.add_bos && spec.bos;
  if (bos) job.out.push_back(*spec.bos);
  const auto eligible = [&](const AddedToken& token, size_t begin, size_t end) {
    return special[static_cast<size_t>(token.id)] == 0 || literal.cover(begin, end);
  };
  size_t at = 0;
  AddedTokenMatcher::Match match;
  while (at < text.size() && raw_matcher.next(text, at, eligible, match)) {
    encode_segment(text.substr(at, match.begin - at), at, literal, job);
    job.out.push_back(match.id);
    at = match.end;
  }
  encode_segment(text.substr(at), at, literal, job);
  if (bos && job.out.size() > 1 && job.out[1] == *spec.bos) job.out.erase(job.out.begin());
  if (options.add_eos && spec.eos && (job.out.empty() || job.out.back() != *spec.eos))
    job.out.push_back(*spec.eos);
  return std::move(job.out);
}

void Tokenizer::Impl::encode_segment(std::string_view segment, size_t offset, const Ranges& literal,
                                     Job& job) const {
  if (segment.empty()) return;
  if (word_piece) return word_piece->encode(segment, job.out);
  const bool prefix = sentence_piece() && space_prefix == SpacePrefix::kEverySegment;
  const bool visible_spaces =
      sentence_piece() && segment.find(kVisibleSpace) != std::string_view::npos;
  const bool recompose = nfc && !is_surely_nfc(segment);
  std::string changed;
  std::string_view text = segment;
  if (prefix || visible_spaces || recompose) {
    changed = normalize(segment);
    text = changed;
  }
  if (normalized_matcher.empty()) {
    encode_normalized(text, offset == 0, job);
    return;
  }
  // Where the text only moved, its places are known; where it changed, a special token is
  // recognised only if all of the segment is literal.
  const size_t shift = prefix ? 1 : 0;
  const bool all_literal = literal.cover(offset, offset + segment.size());
  const bool moved_only = !visible_spaces && !recompose;
  const auto eligible = [&](const AddedToken& token, size_t begin, size_t end) {
    if (special[static_cast<size_t>(token.id)] == 0 || all_literal) return true;
    const size_t first = std::max(begin, shift) - shift;
    return moved_only && end > shift && literal.cover(offset + first, offset + end - shift);
  };
  size_t at = 0;
  AddedTokenMatcher::Match match;
  while (at < text.size() && normalized_matcher.next(text, at, eligible, match)) {
    encode_normalized(text.substr(at, match.begin - at), offset + at == 0, job);
    job.out.push_back(match.id);
    at = match.end;
  }
  encode_normalized(text.substr(at), offset + at == 0, job);
}

void Tokenizer::Impl::encode_normalized(std::string_view text, bool at_start, Job& job) const {
  if (text.empty()) return;
  const bool wants_prefix = space_prefix == SpacePrefix::kEveryUnlessThere ||
                            (space_prefix == SpacePrefix::kFirstUnlessThere && at_start);
  if (!wants_prefix || text.front() == ' ') {
    encode_words(text, job);
    return;
  }
  std::string prefixed;
  prefixed.reserve(text.size() + 1);
  prefixed += ' ';
  prefixed += text;
  encode_words(prefixed, job);
}

void Tokenizer::Impl::encode_words(std::string_view text, Job& job) const {
  const char* p = text.data();
  const char* const end = p + text.size();
  const auto word = [&](const char* e) {
    model->encode_word({p, static_cast<size_t>(e - p)}, job.workspace, job.out);
    p = e;
  };
  if (!sentence_piece()) {
    while (p != end) word(word_end(p, end));
    return;
  }
  while (p != end) {
    const char* e = p + 1;
    if (!alone[static_cast<uint8_t>(*p)]) {
      if (spec.split_at_each_space) {
        e = word_before(e, end, true);
      } else {
        if (words_apart)
          while (e != end && e[-1] == ' ' && *e == ' ') ++e;
        e = word_before(e, end, words_apart);
      }
    }
    word(e);
  }
}

/// The first place at or after p where SentencePiece text may be cut.
const char* Tokenizer::Impl::word_before(const char* p, const char* end, bool at_spaces) const {
  while (p != end && !alone[static_cast<uint8_t>(*p)] && !(at_spaces && *p == ' ')) ++p;
  return p;
}

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

std::vector<TokenId> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  Ranges literal;
  if (options.special) literal.add(0, text.size());
  return impl_->encode(text, literal, options);
}

std::vector<TokenId> Tokenizer::encode(std::span<const Span> spans, EncodeOptions options) const {
  std::string text;
  Ranges literal;
  for (const Span& span : spans) {
    if (span.kind == SpanKind::kLiteral) literal.add(text.size(), text.size() + span.text.size());
    text += span.text;
  }
  return impl_->encode(text, literal, options);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, DecodeOptions options) const {
  StreamDecoder decoder(*this, options);
  std::string text;
  for (TokenId id : ids) text += decoder.push(id);
  return text + decoder.flush();
}

std::string_view Tokenizer::piece(TokenId id) const {
  return id >= 0 && id < size() ? impl_->pieces[static_cast<size_t>(id)] : std::string_view();
}

std::optional<TokenId> Tokenizer::find(std::string_view spelling) const {
  const auto is_it = [&](TokenId id) {
    return id >= 0 && impl_->spec.tokens[static_cast<size_t>(id)] == spelling;
  };
  if (impl_->model) {
    std::string bytes;
    append_piece_bytes(impl_->spec.kind, spelling, bytes);
    if (const TokenId id = impl_->model->find(bytes); is_it(id)) return id;
  }
  for (TokenId id = 0; id < size(); ++id)
    if (impl_->usable[static_cast<size_t>(id)] == 0 && is_it(id)) return id;
  for (TokenId id = 0; id < size(); ++id)
    if (is_it(id)) return id;
  return std::nullopt;
}

TokenId Tokenizer::size() const { return static_cast<TokenId>(impl_->pieces.size()); }

bool Tokenizer::keeps(uint8_t byte) const { return !impl_->model || impl_->model->keeps(byte); }

TokenType Tokenizer::type(TokenId id) const {
  return id >= 0 && id < size() ? impl_->type(static_cast<size_t>(id)) : TokenType::kUnused;
}

bool Tokenizer::is_special(TokenId id) const {
  return id >= 0 && id < size() && impl_->special[static_cast<size_t>(id)] != 0;
}

std::optional<TokenId> Tokenizer::bos() const { return impl_->spec.bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->spec.eos; }
std::optional<TokenId> Tokenizer::eot() const { return impl_->spec.eot; }
std::optional<TokenId> Tokenizer::eom() const { return impl_->spec.eom; }
std::optional<TokenId> Tokenizer::unk() const { return impl_->spec.unk; }
std::optional<TokenId> Tokenizer::pad() const { return impl_->spec.pad; }
bool Tokenizer::add_bos() const { return impl_->add_bos; }
bool Tokenizer::add_eos() const { return impl_->spec.add_eos.value_or(false); }
bool Tokenizer::drops_first_space() const { return impl_->strip_leading_space; }

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, DecodeOptions options, StreamStart start)
    : tokenizer_(&tokenizer),
      options_(options),
      strip_space_(start == StreamStart::kText && tokenizer.impl_->strip_leading_space) {}

void StreamDecoder::emit(std::string_view text, std::string& out) {
  if (strip_space_ && !text.empty()) {
    strip_space_ = false;
    if (text.front() == ' ') text.remove_prefix(1);
  }
  out += text;
}

/// Byte-level: everything is bytes, and each broken part becomes one U+FFFD as soon as it is
/// known to be broken.
void StreamDecoder::append_bytes(std::string_view bytes, std::string& out) {
  held_ += bytes;
  std::string_view rest = held_;
  size_t valid = 0;  // rest[0, valid) are whole characters
  while (valid < rest.size()) {
    const Decoded d = decode_utf8(rest.substr(valid));
    if (d.state == Decoded::State::kValid) {
      valid += d.length;
      continue;
    }
    if (d.state == Decoded::State::kIncomplete) break;
    emit(rest.substr(0, valid), out);
    emit(kReplacementCharacter, out);
    rest.remove_prefix(valid + d.length);
    valid = 0;
  }
  emit(rest.substr(0, valid), out);
  held_.erase(0, held_.size() - (rest.size() - valid));
}

/// SentencePiece: a run of byte tokens is a text of its own. Hugging Face's ByteFallback turns
/// every byte of a run that is not valid into U+FFFD, those of its whole characters too, so
/// nothing of a run is known before its end.
void StreamDecoder::end_byte_run(std::string& out) {
  if (is_valid_utf8(held_))
    emit(held_, out);
  else
    for (size_t i = 0; i < held_.size(); ++i) emit(kReplacementCharacter, out);
  held_.clear();
}

std::string StreamDecoder::push(TokenId id) {
  const Tokenizer::Impl& t = *tokenizer_->impl_;
  std::string out;
  if (id < 0 || id >= tokenizer_->size()) return out;
  const auto at = static_cast<size_t>(id);
  if (t.special[at] != 0 && !options_.special) return out;
  if (!t.sentence_piece()) {
    append_bytes(t.pieces[at], out);
  } else if (t.type(at) == TokenType::kByte) {
    held_ += t.pieces[at];
  } else {
    end_byte_run(out);
    // A piece from a file need not be valid UTF-8; what leaves here is.
    append_bytes(t.pieces[at], out);
    append_broken_tail(out);
  }
  return out;
}

std::string StreamDecoder::flush() {
  std::string out;
  if (tokenizer_->impl_->sentence_piece())
    end_byte_run(out);
  else
    append_broken_tail(out);
  strip_space_ = false;
  return out;
}

/// What is held back of a character that nothing will complete.
void StreamDecoder::append_broken_tail(std::string& out) {
  if (!held_.empty()) emit(kReplacementCharacter, out);
  held_.clear();
}

}  // namespace lantern::text
