// GGUF's tokenizer.ggml.* keys as a TokenizerSpec.
#pragma once

#include "base/result.h"
#include "format/metadata.h"
#include "text/tokenizer.h"

namespace lantern::engine {

/// What the keys say, unchecked beyond their types (Tokenizer::create() checks the rest).
/// kNotFound without tokenizer.ggml.model, kUnsupported for a kind we have not, kCorrupt for a
/// key of a wrong type or an id that no vocabulary could hold.
Result<text::TokenizerSpec> tokenizer_from_metadata(const format::Metadata& metadata);

}  // namespace lantern::engine
