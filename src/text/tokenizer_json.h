// Hugging Face's tokenizer.json and tokenizer_config.json.
#pragma once

#include <string_view>

#include "base/result.h"
#include "text/tokenizer.h"

namespace lantern::text {

/// The spec that a tokenizer.json describes. `what` names the file in messages. Pre-tokenizers
/// are recognised by their exact pattern; anything else in the pipeline is kUnsupported by name.
/// kCorrupt for ids that are negative, missing, given twice or past the limits.
/// The ids of bos, eos, ... are not in this file: see apply_tokenizer_config().
Result<TokenizerSpec> parse_tokenizer_json(std::string_view json, std::string_view what);

/// Adds what tokenizer_config.json says to `spec`: bos, eos and pad tokens, add_bos_token,
/// add_eos_token. Tokens that the vocabulary lacks are left unset.
Status apply_tokenizer_config(std::string_view json, std::string_view what, TokenizerSpec& spec);

}  // namespace lantern::text
