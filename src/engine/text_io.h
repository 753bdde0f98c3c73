// Between text and token ids: a model's tokenizer, its chat templates and the ids that end
// an answer, read from a checkpoint's metadata (GGUF) or from the files beside it (a Hugging
// Face folder). Needs no weights: `tokenize` and `template` use it alone.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "format/checkpoint.h"
#include "text/chat_template.h"
#include "text/grammar.h"
#include "text/message/message_syntax.h"
#include "text/tokenizer.h"

namespace lantern::engine {

/// The clock on the wall, for RenderInput::date.
text::LocalTime local_time_now();

/// Immutable once loaded; safe from any number of threads.
class TextIo {
 public:
  /// Errors: kCorrupt, kUnsupported (an unknown pre-tokenizer), kNotFound where there is no
  /// tokenizer. A chat template that does not parse is no error but a notice: the model still
  /// completes raw.
  static Result<TextIo> load(const format::Checkpoint& checkpoint);

  TextIo(TextIo&&) noexcept;
  TextIo& operator=(TextIo&&) noexcept;
  ~TextIo();

  [[nodiscard]] const text::Tokenizer& tokenizer() const;
  /// Null where there is none of that name; "" is the default one.
  [[nodiscard]] const text::ChatTemplate* chat_template(std::string_view name = {}) const;
  [[nodiscard]] std::vector<std::string> template_names() const;

  /// Ids that end an answer, ascending: eos, eot and eom of the metadata, generation_config's list,
  /// and the special token the template ends an assistant's turn with.
  [[nodiscard]] const std::vector<int32_t>& end_ids() const;
  [[nodiscard]] bool is_end(int32_t id) const;
  /// The tokens for masks, with the end ids; laid out when first asked for (0.1 s for 128,000).
  [[nodiscard]] std::shared_ptr<const text::GrammarVocabulary> grammar_vocabulary() const;

  /// What the default template says of reasoning and calls of tools in answers.
  [[nodiscard]] const text::MessageSyntax& message_syntax() const;
  /// The special tokens that it is written with, for GenerateOptions::markers.
  [[nodiscard]] const std::vector<int32_t>& message_markers() const;
  /// Whether `word` is one special token.
  [[nodiscard]] bool is_special_word(std::string_view word) const;

  /// Spans through template `name`, with bos_token, eos_token and the other special tokens filled
  /// in where `input` leaves them unset (the date is the caller's: local_time_now()). kUnsupported
  /// without such a template; the template's own errors.
  [[nodiscard]] Result<std::vector<text::Span>> render(text::RenderInput input,
                                                       std::string_view name = {}) const;

  /// Ids of rendered spans: only literal ones may become special tokens. Exactly one
  /// begin-of-sequence where the model wants one, whether the template writes it or not.
  [[nodiscard]] std::vector<int32_t> encode(const std::vector<text::Span>& spans) const;
  /// Ids of a user's plain text, begin-of-sequence first where the model wants one.
  [[nodiscard]] std::vector<int32_t> encode_raw(std::string_view text) const;

  /// Ids of a text that is to be embedded: framed at both ends as the model was trained. With
  /// `length_max` > 0 a longer text loses its end, not its frame.
  [[nodiscard]] std::vector<int32_t> encode_to_embed(std::string_view text,
                                                     int64_t length_max = 0) const;

  [[nodiscard]] const std::vector<std::string>& notices() const;

 private:
  struct Impl;
  explicit TextIo(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace lantern::engine
