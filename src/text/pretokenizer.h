// Pre-tokenizers of byte-level BPE: they cut a text into the words that merges may not cross.
//
// Each is defined by a regular expression in its models' tokenizer.json (quoted in
// pretokenizer.cc), matched again and again from the left. All of them are matched here by hand:
// one pass, no backtracking engine, linear in the text.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"

namespace lantern::text {

/// Given a non-empty text [begin, end), the end of its first word.
using WordEnd = const char* (*)(const char* begin, const char* end);

struct PreTokenizer {
  std::string_view name;  // GGUF's `tokenizer.ggml.pre`
  WordEnd word_end = nullptr;
  bool nfc = false;            // the models' normalizer, which GGUF does not tell
  bool ignore_merges = false;  // a word that is a token needs no merges
  bool add_bos = false;        // where the file does not say
};

/// kUnsupported, naming it, for one that is not known exactly.
Result<PreTokenizer> find_pre_tokenizer(std::string_view gguf_name);

/// The GGUF name of the pre-tokenizer whose tokenizer.json has exactly this Split pattern.
std::optional<std::string_view> pre_tokenizer_of_pattern(std::string_view pattern);

}  // namespace lantern::text
