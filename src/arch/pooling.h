// How a model that embeds makes one vector of a text's hidden states.
#pragma once

namespace lantern::arch {

/// GGUF's <architecture>.pooling_type, and what a sentence-transformers folder's 1_Pooling says:
/// the mean of all tokens' states, the first token's, the last one's. kNone: the file says nothing.
enum class Pooling { kNone, kMean, kCls, kLast };

}  // namespace lantern::arch
