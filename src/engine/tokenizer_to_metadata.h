// A tokenizer as GGUF's keys: what `lantern convert` writes beside the tensors.
#pragma once

#include "base/result.h"
#include "engine/text_sources.h"
#include "format/metadata.h"

namespace lantern::engine {

/// Adds tokenizer.ggml.* and tokenizer.chat_template* to `metadata`. A SentencePiece tokenizer
/// without scores gets them from the ranks of its merges, which is the order in which readers
/// that know scores alone will merge. `n_vocab` rows of the embedding beyond the tokens become
/// unused tokens. kUnsupported for what GGUF has no key for (NFC, spaces that are prefixed in other
/// ways).
Status tokenizer_to_metadata(const TextSources& sources, int64_t n_vocab,
                             format::Metadata& metadata);

}  // namespace lantern::engine
